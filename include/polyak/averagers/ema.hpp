#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/decays.hpp"
#include "polyak/detail/bias_correction.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

struct EmaOptions {
  Decay decay = 0.999;          ///< β in [0, 1], a number or a schedule of the folds already made
  bool bias_correction = true;  ///< off: the textbook form, started from the weights before the first fold
  std::uint64_t start = 0;      ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;      ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("decay", decay, detail::from_0_to_1);
    visit("bias_correction", bias_correction);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k = (1 − β_k)/W_k, with the W_k of BiasCorrection, or without correction 1 − β_k.
struct EmaGain {
  using Options = EmaOptions;
  using State = detail::BiasCorrection;
  static constexpr std::string_view name = "polyak::Ema";

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State& weight) const {
    const double c = options.decay.complement(k - 1, options.every);
    if (!options.decay.is_number() && !detail::from_0_to_1.holds(c)) {
      detail::throw_bad_fold(name, "decay must be in [0, 1]", 1 - c, k);
    }
    if (!options.bias_correction) return c;
    const double w = weight.advance(c);
    if (w == 0) detail::throw_bad_fold(name, "decay must be < 1 in the first bias-corrected fold", 1, k);
    return w == 1 ? c : (std::min)(1.0, c / w);  // from some 37/(1 − β) folds on: no division to wait for
  }
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
/// otherwise: there is no W to divide by while nothing has come in.
///
/// A shadow narrower than the weights, as Ema<float> of double ones, becomes infinite by a weight that is too large for
/// it; one that is Guarded leaves that fold out.
template <class Shadow = default_shadow>
struct Ema : Averager<EmaGain, Shadow> {
  Ema() : Ema(EmaOptions{}) {}
  Ema(detail::NotOptions);
  explicit Ema(EmaOptions options) : Averager<EmaGain, Shadow>(std::move(options)) {}
};

}  // namespace polyak
