#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>

#include "polyak/averagers/decays.hpp"
#include "polyak/detail/bias_correction.hpp"
#include "polyak/detail/description.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/serialize.hpp"

/// Gain sequences: the a_k of s_k = s_{k−1} + a_k (θ − s_{k−1}), k = 1, 2, … A gain sequence holds its options and
/// leaves its state to the caller, so that a step that fails changes nothing.

namespace polyak {

/// a_k = 1/k, the arithmetic mean (Polyak & Juditsky 1992).
struct UniformGain {
  struct State {};
  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept { return 1 / static_cast<double>(k); }
};

/// a_k = (1 − β_k)/W_k with W_k = β_k W_{k−1} + (1 − β_k), W_0 = 0; for a fixed β that is (1 − β)/(1 − β^k), Adam's
/// bias correction (Kingma & Ba 2015) written as a gain. Without correction a_k = 1 − β_k. The first corrected fold
/// needs β < 1: there is no W to divide by while nothing has come in.
struct EmaGain {
  Decay decay;
  bool bias_correction;
  std::uint64_t every;

  using State = detail::BiasCorrection;

  [[nodiscard]] double operator()(std::uint64_t k, State& weight) const {
    const double c = decay.complement(k - 1, every);
    if (!(detail::is_finite(c) && c >= 0 && c <= 1)) {
      detail::throw_bad_fold("polyak::Ema", "decay must be in [0, 1]", 1 - c, k);
    }
    if (!bias_correction) return c;
    const double w = weight.advance(c);
    if (w == 0) detail::throw_bad_fold("polyak::Ema", "decay must be < 1 in the first bias-corrected fold", 1 - c, k);
    return std::min(1.0, c / w);
  }
  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("decay", decay);
    visit("bias_correction", bias_correction);
  }
};

/// a_k = (η + 1)/(k + η) (Shamir & Zhang 2013).
struct PolynomialGain {
  double eta;
  struct State {};
  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept {
    return (eta + 1) / (static_cast<double>(k) + eta);
  }
  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("eta", eta);
  }
};

/// a_k = 1 − (1 − 1/k)^(γ+1) (Karras et al. 2024).
struct PowerGain {
  double gamma;
  struct State {};
  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept {
    return k == 1 ? 1 : -std::expm1((gamma + 1) * std::log1p(-1 / static_cast<double>(k)));
  }
  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("gamma", gamma);
  }
};

/// a_k, the larger root of (1 − a)² q_{k−1} + a² = 1/(c k), with q_k the sum of squared weights; 1 while c k ≤ 1 (Le
/// Roux 2019).
struct AnytimeGain {
  double fraction;
  struct State {
    double squares = 1;

    template <class Archive>
    void serialize(Archive& archive, unsigned int) {
      detail::serialize_value(archive, squares);
    }
  };
  [[nodiscard]] double operator()(std::uint64_t k, State& state) const noexcept {
    const double q = state.squares;
    const double target = 1 / (fraction * static_cast<double>(k));
    if (target >= 1) return 1;
    // The smallest sum of squares in reach is q/(1 + q), one sample more than before.
    const double a = (q + std::sqrt(std::max(0.0, target * (1 + q) - q))) / (1 + q);
    state.squares = (1 - a) * (1 - a) * q + a * a;
    return std::min(1.0, a);
  }
  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("fraction", fraction);
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
  /// None that can be compared: a callable is the user's to bring again.
  template <class Visitor>
  void for_each_option(const Visitor&) const {}
};

}  // namespace polyak
