#pragma once

#include <cstdint>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/gains.hpp"

namespace polyak {

struct PolynomialAverageOptions {
  double eta = 3;           ///< η in [0, ∞): 0 is the uniform mean, more forgets the beginning faster
  std::uint64_t start = 0;  ///< the first step that folds, at least 1
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next
};

/// Polynomial-decay averaging by the gain (η + 1)/(k + η): the weight of iterate i grows about as i^η (Shamir & Zhang
/// 2013). η = 1 weights it by i (Lacoste-Julien, Schmidt & Bach 2012). Forgets the start at a polynomial rate without a
/// burn-in to choose. Throws std::invalid_argument on options out of range.
template <class Shadow = default_shadow>
class PolynomialAverage : public Averager<PolynomialGain, Shadow> {
  using Base = Averager<PolynomialGain, Shadow>;

 public:
  using Options = PolynomialAverageOptions;
  template <class Other>
  using with_shadow = PolynomialAverage<Other>;

  PolynomialAverage() : PolynomialAverage(Options{}) {}
  explicit PolynomialAverage(Options options)
      : Base("polyak::PolynomialAverage", {options.eta}, {options.start, options.every}) {
    detail::require_finite_nonnegative(options.eta, "polyak::PolynomialAverage", "eta must be finite and >= 0");
    detail::require(options.every >= 1, "polyak::PolynomialAverage", "every must be >= 1", options.every);
  }

  [[nodiscard]] Options options() const { return {this->gain().eta, this->cadence().start, this->cadence().every}; }
};

}  // namespace polyak
