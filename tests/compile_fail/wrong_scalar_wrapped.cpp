#include <polyak/polyak.hpp>

// Lookahead does not know the scalar of a callable and takes it for double.
void train(Eigen::VectorXf& theta, const Eigen::VectorXf& gradient) {
  polyak::Lookahead opt{[](Eigen::VectorXf&, const Eigen::VectorXf&) {}};
  opt.step(theta, gradient);
}
