#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Sgd<float> sgd;
  sgd.step(theta, gradient);
}
