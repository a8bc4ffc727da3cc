#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak {

struct RateWeightedAverageOptions {
  double rate_power = 2;    ///< p in [0, ∞)
  double step_power = 0;    ///< r in [0, ∞)
  std::uint64_t start = 0;  ///< the first step that folds, at least 1
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("rate_power", rate_power, detail::nonnegative);
    visit("step_power", step_power, detail::nonnegative);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k = w_k / Σ_{j≤k} w_j.
struct RateWeightedGain {
  using Options = RateWeightedAverageOptions;
  struct State {
    double largest = 0;  ///< rate so far
    double sum = 0;      ///< of the weights, that of such a rate being k^r: so any constant rate gives the same bits

    template <class Archive>
    void serialize(Archive& archive, unsigned int) {
      detail::serialize_value(archive, "largest", largest);
      detail::serialize_value(archive, "sum", sum);
    }
  };
  static constexpr std::string_view name = "polyak::RateWeightedAverage";

  Options options;
  double rate = 1;  ///< of the step

  [[nodiscard]] double operator()(std::uint64_t k, State& state) const noexcept {
    if (rate > state.largest) {
      state.sum *= std::pow(state.largest / rate, options.rate_power);
      state.largest = rate;
    }
    const bool counts = state.largest > 0 || options.rate_power == 0;
    const double weight = counts ? std::pow(static_cast<double>(k), options.step_power) : 0;
    state.sum += weight;
    return counts ? weight / state.sum : 0;
  }
};

/// The mean of the iterates weighted by w_k = k^r (max_{j≤k} γ_j)^p, where γ is the learning rate of the optimizer it
/// is with (Defazio et al. 2024, "The Road Less Scheduled"): what was made by the small rates of a warm-up counts for
/// little. Alone, or with an optimizer that has no learning_rate(), γ = 1. A rate of 0 before all others has no weight.
/// Throws std::invalid_argument on options out of range.
template <class Shadow = default_shadow>
struct RateWeightedAverage : Averager<RateWeightedGain, Shadow> {
  RateWeightedAverage() : RateWeightedAverage(RateWeightedAverageOptions{}) {}
  RateWeightedAverage(detail::NotOptions);
  explicit RateWeightedAverage(RateWeightedAverageOptions options)
      : Averager<RateWeightedGain, Shadow>(std::move(options)) {}
};

}  // namespace polyak
