#include <polyak/polyak.hpp>

void train(const Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Sgd sgd;
  sgd.step(Eigen::VectorXd(theta), gradient);
}
