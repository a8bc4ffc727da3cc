#pragma once

#include <array>

#include "logistic_regression/training.hpp"

namespace examples {

/// Seconds of processor time a training step takes, gradient included: [0] SGD alone, then SGD with each averager
/// alone.
///
/// The four train side by side in short turns, so that a change of the machine's speed hits all alike, after a first
/// turn that does not count and has touched all memory. Each is the median over its turns. An averager folds at its
/// usual cadence from the first step on.
[[nodiscard]] std::array<double, n_weights> time_per_step(const Dataset& train, const TrainingOptions& options);

}  // namespace examples
