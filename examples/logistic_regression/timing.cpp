#include "logistic_regression/timing.hpp"

#include <polyak/polyak.hpp>

#include <algorithm>
#include <ctime>
#include <functional>
#include <utility>
#include <vector>

#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"
#include "common/statistics.hpp"

namespace examples {

namespace {

/// Processor time: other programs on the machine take no part in it.
double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// A training that goes on for so many steps each time it is called.
template <class Optimizer>
std::function<void(int)> training(Optimizer optimizer, SoftmaxRegression& model, MiniBatches batches) {
  return [optimizer = std::move(optimizer), &model, batches = std::move(batches),
          weights = model.zero_weights()](int steps) mutable {
    for (int i = 0; i < steps; ++i) optimizer.step(weights, model.gradient(weights, batches.next()));
  };
}

}  // namespace

std::array<double, n_weights> time_per_step(const Dataset& train, const TrainingOptions& options) {
  const TrainingPlan plan = make_plan(options, train);
  SoftmaxRegression model(train);
  // Each has an order of its own: in the same order, one would warm the cache for the next.
  const auto batches = [&](std::uint64_t seed) { return MiniBatches(train.samples(), options.batch_size, seed); };
  const polyak::Sgd<float> sgd{{.learning_rate = options.learning_rate, .weight_decay = options.l2}};
  std::array turns = {
      training(sgd, model, batches(1)),
      training(polyak::Averaged{sgd, polyak::TailAverage{}}, model, batches(2)),
      training(polyak::Averaged{sgd, polyak::Ema{{.decay = options.decay}}}, model, batches(3)),
      training(polyak::Averaged{sgd, polyak::Swa{{.period = plan.snapshot_period}}}, model, batches(4)),
  };

  constexpr int first_steps = 5;
  const double before = now();
  for (auto& turn : turns) turn(first_steps);
  const double estimate = std::max((now() - before) / (first_steps * n_weights), 1e-7);

  constexpr double turn_seconds = 2e-3, budget_seconds = 2;
  constexpr int min_turns = 5, max_turns = 51;
  const int steps = static_cast<int>(std::clamp(turn_seconds / estimate, 1.0, 1000.0));
  std::array<std::vector<double>, n_weights> seconds;
  for (int turn = 0; turn < max_turns && (turn < min_turns || now() - before < budget_seconds); ++turn) {
    for (std::size_t k = 0; k < n_weights; ++k) {
      const std::size_t which = (k + static_cast<std::size_t>(turn)) % n_weights;
      const double start = now();
      turns[which](steps);
      if (turn > 0) seconds[which].push_back((now() - start) / steps);
    }
  }
  std::array<double, n_weights> medians{};
  std::transform(seconds.begin(), seconds.end(), medians.begin(), median);
  return medians;
}

}  // namespace examples
