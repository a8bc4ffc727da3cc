#pragma once

#include <array>
#include <optional>
#include <ostream>
#include <vector>

#include "common/optimum.hpp"
#include "logistic_regression/training.hpp"

namespace examples {

/// Which of the weights to show.
using Shown = std::array<bool, n_weights>;
/// "all", or "tail", "ema" or "swa" beside the last iterate.
[[nodiscard]] Shown shown_weights(const std::string& averager);

/// The table: mean ± standard deviation over the runs; one row for the optimum where it is known.
void print_report(std::ostream& out, const TrainTest& data, double l2, const std::vector<Run>& runs,
                  const std::optional<Optimum>& optimum, const std::array<double, n_weights>& seconds_per_step,
                  const Shown& shown);

/// The curves, one line for each seed and step. A cell is empty where there is no average yet.
void write_curves(std::ostream& out, const TrainingPlan& plan, const std::vector<Run>& runs, const Shown& shown);

}  // namespace examples
