#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta) {
  polyak::Averaged opt{[](Eigen::VectorXd& params, const Eigen::VectorXd& gradient) { params -= gradient; }};
  opt.step(theta);
}
