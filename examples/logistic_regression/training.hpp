#pragma once

#include <Eigen/Core>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/dataset.hpp"
#include "common/softmax_regression.hpp"

namespace examples {

/// What a run is evaluated with: the weights it trains, and three averages of them.
inline constexpr std::size_t n_weights = 4;
inline constexpr std::array<const char*, n_weights> weights_names = {"last iterate", "tail average", "EMA", "SWA"};
inline constexpr std::array<const char*, n_weights> weights_keys = {"last", "tail", "ema", "swa"};

struct TrainingOptions {
  std::uint64_t epochs = 1;
  Eigen::Index batch_size = 10;
  double learning_rate = 0.1;
  std::string schedule = "constant";
  double decay = 0.999;  ///< of the EMA
  double l2 = 1e-3;
};

/// Numbers of steps that follow from the options and the size of the data.
struct TrainingPlan {
  std::uint64_t steps_per_epoch = 1;
  std::uint64_t steps = 1;
  std::uint64_t averaging_start = 0;  ///< of tail average and SWA: half the training
  std::uint64_t snapshot_period = 1;  ///< of SWA: a hundredth of the training
};
[[nodiscard]] TrainingPlan make_plan(const TrainingOptions& options, const Dataset& train);

/// A point of the learning curves. An average that does not exist yet has NaN for its loss and accuracy.
struct CurvePoint {
  std::uint64_t step = 0;
  double learning_rate = 0;
  std::array<Evaluation, n_weights> test;
};

struct Run {
  std::uint64_t seed = 0;
  std::array<Eigen::VectorXd, n_weights> weights;  ///< at the end, in the order of weights_names
  std::vector<CurvePoint> curve;
};

/// One training run. Records `curve_points` points of the curves (0: none); calls `on_step` after every step.
[[nodiscard]] Run train(const TrainTest& data, const TrainingOptions& options, std::uint64_t seed,
                        std::uint64_t curve_points, const std::function<void()>& on_step);

}  // namespace examples
