#pragma once

#include <Eigen/Core>

#include "common/dataset.hpp"

namespace examples {

struct Optimum {
  Eigen::VectorXd weights;
  double objective = 0;      ///< cross-entropy + l2/2 ‖weights‖²
  double gradient_norm = 0;  ///< ‖weights − the true optimum‖ is at most this over l2
  int iterations = 0;
};

/// The minimum of softmax regression with an L2 penalty, which makes it unique (l2 > 0), by Newton's method: no
/// randomness and no learning rate, so that SGD has something exact to be measured against. Stops at a gradient norm of
/// 0.01 l2, that is, within 0.01 of the optimum; throws std::runtime_error should it not get there.
[[nodiscard]] Optimum find_optimum(const Dataset& data, double l2);

}  // namespace examples
