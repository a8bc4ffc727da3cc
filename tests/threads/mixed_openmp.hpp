#pragma once

#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <Eigen/Core>

/// What one source file is compiled to do with OpenMP and another without: the same functions of the library, of which
/// the linker keeps one.
namespace mixed_openmp {

using Optimizer = polyak::Averaged<polyak::Sgd<>, polyak::Ema<>>;

void step_with(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad);
void step_without(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad);

}  // namespace mixed_openmp
