#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

struct PolynomialAverageOptions {
  double eta = 3;           ///< η in [0, ∞): 0 is the uniform mean, more forgets the beginning faster
  std::uint64_t start = 0;  ///< the first step that folds, at least 1
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("eta", eta, detail::nonnegative);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k = (η + 1)/(k + η) (Shamir & Zhang 2013).
struct PolynomialGain {
  using Options = PolynomialAverageOptions;
  struct State {};
  static constexpr std::string_view name = "polyak::PolynomialAverage";

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept {
    return (options.eta + 1) / (static_cast<double>(k) + options.eta);
  }
};

/// Polynomial-decay averaging by the gain (η + 1)/(k + η): the weight of iterate i grows about as i^η (Shamir & Zhang
/// 2013). η = 1 weights it by i (Lacoste-Julien, Schmidt & Bach 2012). Forgets the start at a polynomial rate without a
/// burn-in to choose. Throws std::invalid_argument on options out of range.
template <class Shadow = default_shadow>
struct PolynomialAverage : Averager<PolynomialGain, Shadow> {
  PolynomialAverage() : PolynomialAverage(PolynomialAverageOptions{}) {}
  PolynomialAverage(detail::NotOptions);
  explicit PolynomialAverage(PolynomialAverageOptions options) : Averager<PolynomialGain, Shadow>(std::move(options)) {}
};

}  // namespace polyak
