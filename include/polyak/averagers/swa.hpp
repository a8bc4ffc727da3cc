#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/tail_average.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

struct SwaOptions {
  std::uint64_t start = 0;   ///< the step of the first snapshot (0: the first is taken at step `period`)
  std::uint64_t period = 1;  ///< ≥ 1: steps from one snapshot to the next

  static constexpr std::string_view name = "polyak::Swa";

  void for_each_option(const auto& visit) const {
    visit("start", start);
    visit("period", period, detail::at_least_1);
  }
};

/// Stochastic weight averaging (Izmailov et al. 2018): the mean of the snapshots θ_start, θ_{start+period}, … With a
/// LinearCycle of the same period, and a start that is a multiple of it, the snapshots are the ends of its cycles.
/// Steps without a snapshot cost O(1). Throws std::invalid_argument on period = 0.
template <class Shadow = default_shadow>
struct Swa : Averager<UniformGain<SwaOptions>, Shadow> {
  Swa() : Swa(SwaOptions{}) {}
  Swa(detail::NotOptions);
  explicit Swa(SwaOptions options) : Swa::Averager(std::move(options)) {}
};

}  // namespace polyak
