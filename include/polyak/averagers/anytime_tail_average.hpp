#pragma once

#include <cstdint>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct AnytimeTailAverageOptions {
  double fraction = 0.5;    ///< c in (0, 1]: the share of the iterates that the average is as good as
  std::uint64_t start = 0;  ///< the first step that folds, at least 1
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next
};

/// An average that at any time k has the effective sample size c k of the mean over the last c k iterates, without
/// storing them (Le Roux 2019, "Anytime Tail Averaging"): the gain is the larger root of (1 − a)² q_{k−1} + a² = 1/(c
/// k), q being the sum of squared weights so far. Throws std::invalid_argument on options out of range.
template <class Shadow = default_shadow>
class AnytimeTailAverage : public Averager<AnytimeGain, Shadow> {
  using Base = Averager<AnytimeGain, Shadow>;

 public:
  using Options = AnytimeTailAverageOptions;
  template <class Other>
  using with_shadow = AnytimeTailAverage<Other>;

  AnytimeTailAverage() : AnytimeTailAverage(Options{}) {}
  explicit AnytimeTailAverage(Options options)
      : Base("polyak::AnytimeTailAverage", {options.fraction}, {options.start, options.every}) {
    const double c = options.fraction;
    detail::require(detail::is_finite(c) && c > 0 && c <= 1, "polyak::AnytimeTailAverage", "fraction must be in (0, 1]",
                    c);
    detail::require(options.every >= 1, "polyak::AnytimeTailAverage", "every must be >= 1", options.every);
  }

  [[nodiscard]] Options options() const {
    return {this->gain().fraction, this->cadence().start, this->cadence().every};
  }
};

}  // namespace polyak
