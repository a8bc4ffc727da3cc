#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "polyak/averagers/decays.hpp"
#include "polyak/detail/errors.hpp"

/// Gain sequences: the a_k of s_k = s_{k−1} + a_k (θ − s_{k−1}), k = 1, 2, … A gain sequence holds its options and
/// leaves its state to the caller, so that a step that fails changes nothing.

namespace polyak {

/// a_k = 1/k, the arithmetic mean (Polyak & Juditsky 1992).
struct UniformGain {
  struct State {};
  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept { return 1 / static_cast<double>(k); }
};

/// a_k = (1 − β_k)/W_k with W_k = β_k W_{k−1} + (1 − β_k), W_0 = 0; for a fixed β that is (1 − β)/(1 − β^k), Adam's
/// bias correction (Kingma & Ba 2015) written as a gain. Without correction a_k = 1 − β_k.
struct EmaGain {
  Decay decay;
  bool bias_correction;
  std::uint64_t every;

  /// W as a sum of two doubles: for β = 1 − 1e-6 it is the sum of millions of small terms.
  struct State {
    double weight = 0;
    double error = 0;
  };

  [[nodiscard]] double operator()(std::uint64_t k, State& state) const {
    const double c = decay.complement(k - 1, every);
    if (!(detail::is_finite(c) && c > 0 && c <= 1)) {
      detail::throw_bad_fold("polyak::Ema", "decay must be in [0, 1)", 1 - c, k);
    }
    if (!bias_correction || state.weight == 1) return c;
    // W + c (1 − W), with what rounding drops (Knuth's exact addition) carried over. Once W rounds to 1 it stays there:
    // what is missing no longer counts, and left alone it would shrink into slow subnormals.
    const double term = c * ((1 - state.weight) - state.error) + state.error;
    const double weight = state.weight + term;
    const double added = weight - state.weight;
    state.error = weight == 1 ? 0 : (state.weight - (weight - added)) + (term - added);
    state.weight = weight;
    return std::min(1.0, c / weight);
  }
};

/// a_k from the user's own callable of k.
struct CallableGain {
  std::function<double(std::uint64_t)> gain;
  struct State {};

  [[nodiscard]] double operator()(std::uint64_t k, State&) const {
    const double a = gain(k);
    if (!(detail::is_finite(a) && a >= 0 && a <= 1)) {
      detail::throw_bad_fold("polyak::GainAverage", "gain must be in [0, 1]", a, k);
    }
    return a;
  }
};

}  // namespace polyak
