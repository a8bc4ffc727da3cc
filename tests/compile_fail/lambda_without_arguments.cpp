#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{[] {}, polyak::Ema{}};
  opt.step(theta, gradient);
}
