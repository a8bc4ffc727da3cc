#pragma once

#include <Eigen/Core>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/cross_entropy.hpp"
#include "common/dataset.hpp"
#include "neural_network/layers.hpp"

namespace examples::neural_network {

/// What a run is evaluated with: the weights it trains, and three averages of them.
inline constexpr std::size_t n_weights = 4;
inline constexpr std::array<const char*, n_weights> weights_names = {"last iterate", "EMA", "SWA", "power EMA"};
inline constexpr std::array<const char*, n_weights> weights_keys = {"last", "ema", "swa", "power"};

struct TrainingOptions {
  std::uint64_t epochs = 10;
  Eigen::Index batch_size = 128;
  Eigen::Index hidden = 128;
  std::string schedule = "constant";  ///< or cosine: falls to 0 along one
  double sgd_learning_rate = 0.03;
  double momentum = 0.9;
  double sgd_weight_decay = 1e-4;
  double adamw_learning_rate = 1e-3;
  double adamw_weight_decay = 0.01;
  double ema_decay = 0.999;
  double swa_start = 0.75;      ///< share of the training before its first snapshot
  double relative_width = 0.1;  ///< of the power EMA
};

/// Numbers of steps that follow from the options and the size of the data.
struct TrainingPlan {
  std::uint64_t steps_per_epoch = 1;
  std::uint64_t steps = 1;
  std::uint64_t swa_start = 1;
  std::uint64_t snapshot_period = 1;  ///< of the SWA: a hundredth of the training
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
  std::vector<Layers<float>> weights;      ///< at the end, in the order of weights_names
  std::array<Evaluation, n_weights> test;  ///< of these
  std::vector<CurvePoint> curve;
};

/// One training run with "sgd" or "adamw". Records up to `curve_points` points of the curves (0: none), at even
/// distances and the last one at the end; calls `on_step` after every step. The averages, kept in double, are evaluated
/// as what would be shipped: float weights.
[[nodiscard]] Run train(const std::string& optimizer, const TrainTest& data, const TrainingOptions& options,
                        std::uint64_t seed, std::uint64_t curve_points, const std::function<void()>& on_step);

}  // namespace examples::neural_network
