#include <polyak/polyak.hpp>

// Compiled without -ffast-math, and refused with it.
void watch(const Eigen::VectorXf& theta) {
  polyak::Ema<polyak::Compensated<float>> ema;
  ema.update(theta);
}
