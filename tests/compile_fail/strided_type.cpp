#include <polyak/polyak.hpp>

void train(Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<2>> theta, const Eigen::VectorXd& gradient) {
  polyak::Sgd sgd;
  sgd.step(theta, gradient);
}
