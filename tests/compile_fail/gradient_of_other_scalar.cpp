#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXf& gradient) {
  polyak::Sgd sgd;
  sgd.step(theta, gradient);
}
