#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/mul_add.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak {

struct AnytimeTailAverageOptions {
  double fraction = 0.5;    ///< c in (0, 1]: the share of the iterates that the average is as good as
  std::uint64_t start = 0;  ///< the first step that folds, at least 1
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("fraction", fraction, detail::above_0_to_1);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// The gain of AnytimeTailAverage; 1 while c k ≤ 1.
struct AnytimeGain {
  using Options = AnytimeTailAverageOptions;
  struct State {
    double squares = 1;  ///< q_{k−1}

    template <class Archive>
    void serialize(Archive& archive, unsigned int) {
      detail::serialize_value(archive, "squares", squares);
    }
  };
  static constexpr std::string_view name = "polyak::AnytimeTailAverage";

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State& state) const noexcept {
    const double q = state.squares;
    const double target = 1 / (options.fraction * static_cast<double>(k));
    if (target >= 1) return 1;
    // The smallest sum of squares in reach is q/(1 + q), one sample more than before.
    const double a = (q + std::sqrt((std::max)(0.0, detail::mul_add(target, 1 + q, -q)))) / (1 + q);
    state.squares = detail::mul_add((1 - a) * (1 - a), q, a * a);
    return a;
  }
};

/// An average that at any time k has the effective sample size c k of the mean over the last c k iterates, without
/// storing them (Le Roux 2019, "Anytime Tail Averaging"): the gain is the larger root of (1 − a)² q_{k−1} + a² = 1/(c
/// k), q being the sum of squared weights so far. Throws std::invalid_argument on options out of range.
template <class Shadow = default_shadow>
struct AnytimeTailAverage : Averager<AnytimeGain, Shadow> {
  AnytimeTailAverage() : AnytimeTailAverage(AnytimeTailAverageOptions{}) {}
  AnytimeTailAverage(detail::NotOptions);
  explicit AnytimeTailAverage(AnytimeTailAverageOptions options) : Averager<AnytimeGain, Shadow>(std::move(options)) {}
};

}  // namespace polyak
