#include <polyak/polyak.hpp>

void train(Eigen::Matrix<long double, Eigen::Dynamic, 1>& theta) {
  // A callable does not say its scalar, so the window keeps doubles.
  polyak::Averaged opt{[](auto&, const auto&) {}, polyak::Lawa{}};
  opt.step(theta, theta);
}
