#include "mixed_openmp.hpp"

#if !defined(_OPENMP)
#error "to be compiled with OpenMP"
#endif

void mixed_openmp::step_with(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad) {
  optimizer.step(params, grad);
}
