#include "mixed_openmp.hpp"

#include <cstdlib>
#include <iostream>

// Whichever of the two the linker keeps, steps are the same to the last bit.

using namespace mixed_openmp;

void mixed_openmp::step_without(Optimizer& optimizer, Eigen::VectorXd& params, const Eigen::VectorXd& grad) {
  optimizer.step(params, grad);
}

int main() {
  Optimizer with{polyak::Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, polyak::Ema{{.decay = 0.9}}};
  Optimizer without = with, in_turn = with;
  Eigen::VectorXd theta = Eigen::VectorXd::LinSpaced((1 << 18) + 77, -1, 1);
  Eigen::VectorXd twin = theta, third = theta;
  const Eigen::VectorXd gradient = theta.reverse();
  for (int t = 0; t < 6; ++t) {
    step_with(with, theta, gradient);
    step_without(without, twin, gradient);
    (t % 2 == 0 ? step_with : step_without)(in_turn, third, gradient);
  }
  const bool good =
      theta == twin && theta == third && with.average() == without.average() && with.average() == in_turn.average();
  if (!good) std::cerr << "a step with OpenMP differs from one without\n";
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
