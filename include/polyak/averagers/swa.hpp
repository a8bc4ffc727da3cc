#pragma once

#include <cstdint>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct SwaOptions {
  std::uint64_t start = 0;   ///< the step of the first snapshot (0: the first is taken at step `period`)
  std::uint64_t period = 1;  ///< ≥ 1: steps from one snapshot to the next
};

/// Stochastic weight averaging (Izmailov et al. 2018): the mean of the snapshots θ_start, θ_{start+period}, … With a
/// LinearCycle of the same period, and a start that is a multiple of it, the snapshots are the ends of its cycles.
/// Steps without a snapshot cost O(1). Throws std::invalid_argument on period = 0.
template <class Shadow = default_shadow>
class Swa : public Averager<UniformGain, Shadow> {
  using Base = Averager<UniformGain, Shadow>;

 public:
  using Options = SwaOptions;
  template <class Other>
  using with_shadow = Swa<Other>;

  Swa() : Swa(Options{}) {}
  explicit Swa(Options options) : Base("polyak::Swa", {}, {options.start, options.period, "period"}) {
    detail::require(options.period >= 1, "polyak::Swa", "period must be >= 1", options.period);
  }

  [[nodiscard]] Options options() const { return {this->cadence().start, this->cadence().every}; }
};

}  // namespace polyak
