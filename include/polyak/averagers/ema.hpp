#pragma once

#include <cstdint>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct EmaOptions {
  Decay decay = 0.999;          ///< β in [0, 1], a number or a schedule of the folds already made
  bool bias_correction = true;  ///< off: the textbook form, started from the weights before the first fold
  std::uint64_t start = 0;      ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;      ///< ≥ 1: steps from one fold to the next
};

/// Exponential moving average s_k = β s_{k−1} + (1 − β) θ, in one of two sound forms:
///
/// with bias correction, s is started at 0 and divided by 1 − β^k (Kingma & Ba 2015), done here by the gain
/// a_k = (1 − β)/(1 − β^k), so nothing is divided on reading and the start has no weight;
/// without, s is started at the weights before the first fold (used alone: start_from), which keep the weight β^k.
///
/// Remembers about 1/(1 − β) folds. A fold with β = 1 leaves the average as it is, so a schedule may rise to 1. Throws
/// std::invalid_argument on every = 0 and on a decay outside [0, 1]: a number at construction, one that a schedule
/// gives in the step that meets it. With bias correction the first fold needs β < 1, and the step that makes it throws
/// otherwise.
template <class Shadow = default_shadow>
class Ema : public Averager<EmaGain, Shadow> {
  using Base = Averager<EmaGain, Shadow>;

 public:
  using Options = EmaOptions;
  template <class Other>
  using with_shadow = Ema<Other>;

  Ema() : Ema(Options{}) {}
  explicit Ema(Options options)
      : Base("polyak::Ema", EmaGain{std::move(options.decay), options.bias_correction, options.every},
             {options.start, options.every}) {
    if (const Decay& decay = this->gain().decay; decay.is_number()) {
      const double beta = decay.number();
      detail::require(detail::is_finite(beta) && beta >= 0 && beta <= 1, "polyak::Ema", "decay must be in [0, 1]",
                      beta);
    }
    detail::require(options.every >= 1, "polyak::Ema", "every must be >= 1", options.every);
  }

  [[nodiscard]] Options options() const {
    return {this->gain().decay, this->gain().bias_correction, this->cadence().start, this->cadence().every};
  }
};

}  // namespace polyak
