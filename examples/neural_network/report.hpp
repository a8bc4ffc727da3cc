#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "neural_network/flatness.hpp"
#include "neural_network/training.hpp"

namespace examples::neural_network {

/// All runs of one optimizer, one for each seed.
struct Training {
  std::string optimizer;  ///< "sgd" or "adamw"
  std::vector<Run> runs;
};

/// "SGD" or "AdamW".
[[nodiscard]] std::string title(const std::string& optimizer);

/// The table of test losses and accuracies: mean ± standard deviation over the runs.
void print_accuracy(std::ostream& out, const std::vector<Run>& runs);

/// The table of losses on `data` and how they rise as the weights are perturbed; and by how much less than those of the
/// last iterate, as the mean over the perturbations, run by run.
void print_flatness(std::ostream& out, const std::vector<Run>& runs, const Dataset& data, std::uint64_t draws);

/// The curves, one line for each optimizer, seed and step. A cell is empty where there is no average yet.
void write_curves(std::ostream& out, const TrainingPlan& plan, const std::vector<Training>& trainings);

}  // namespace examples::neural_network
