#include <polyak/polyak.hpp>

void watch(const Eigen::Matrix<long double, Eigen::Dynamic, 1>& theta) {
  polyak::Ema ema;
  ema.update(theta);
}
