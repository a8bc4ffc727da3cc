#pragma once

#include <cstdint>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct TailAverageOptions {
  std::uint64_t start = 0;  ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next
};

/// The arithmetic mean of the θ_t it folds, with every = 1 those of all t ≥ max(start, 1), by the gain 1/k (Ruppert
/// 1988; Polyak & Juditsky 1992). With a start past the transient it reaches the optimal asymptotic variance. Throws
/// std::invalid_argument on every = 0.
template <class Shadow = default_shadow>
class TailAverage : public Averager<UniformGain, Shadow> {
  using Base = Averager<UniformGain, Shadow>;

 public:
  using Options = TailAverageOptions;
  template <class Other>
  using with_shadow = TailAverage<Other>;

  TailAverage() : TailAverage(Options{}) {}
  explicit TailAverage(Options options) : Base("polyak::TailAverage", {}, {options.start, options.every}) {
    detail::require(options.every >= 1, "polyak::TailAverage", "every must be >= 1", options.every);
  }

  [[nodiscard]] Options options() const { return {this->cadence().start, this->cadence().every}; }
};

}  // namespace polyak
