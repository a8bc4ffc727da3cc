#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct GainAverageOptions {
  std::function<double(std::uint64_t)> gain;  ///< a_k in [0, 1] for k = 1, 2, …
  std::uint64_t start = 0;                    ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;                    ///< ≥ 1: steps from one fold to the next
};

/// An average by the user's own gain sequence. Where a_1 < 1 it is started from the weights before the first fold (used
/// alone: start_from). Throws std::invalid_argument on an empty gain, on every = 0 and, in the step that meets it, on a
/// gain outside [0, 1].
template <class Shadow = default_shadow>
class GainAverage : public Averager<CallableGain, Shadow> {
  using Base = Averager<CallableGain, Shadow>;

 public:
  using Options = GainAverageOptions;
  template <class Other>
  using with_shadow = GainAverage<Other>;

  explicit GainAverage(Options options)
      : Base("polyak::GainAverage", CallableGain{std::move(options.gain)}, {options.start, options.every}) {
    if (!this->gain().gain) detail::throw_bad_argument("polyak::GainAverage", "gain must be callable, got none");
    detail::require(options.every >= 1, "polyak::GainAverage", "every must be >= 1", options.every);
  }

  [[nodiscard]] Options options() const { return {this->gain().gain, this->cadence().start, this->cadence().every}; }
};

}  // namespace polyak
