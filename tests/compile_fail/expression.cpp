#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::Sgd{}};
  opt.step(2 * theta, gradient);
}
