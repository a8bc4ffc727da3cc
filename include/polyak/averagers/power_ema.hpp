#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

/// The exponent γ of the power-function profile whose standard deviation is σ_rel of the run's length: the largest root
/// of γ³ + 7γ² + (16 − σ⁻²)γ + (12 − σ⁻²) = 0 (Karras et al. 2024). Throws std::invalid_argument unless 0 < σ_rel ≤
/// 1/√12, the width of the uniform mean.
[[nodiscard]] inline double power_of_relative_width(double relative_width) {
  // γ = 0 at the widest, which rounding may put a hair beyond 1/√12. The narrowest is where 1/σ overflows.
  const double s = relative_width;
  detail::require(detail::is_finite(s) && s > 0 && detail::is_finite(1 / s) && 12 * s * s < 1 + 1e-10,
                  "polyak::PowerEma", "relative_width must be in (0, 1/sqrt(12)]", s);
  // In x = σγ, whose terms cannot overflow. Convex from the largest root on: Newton's method descends to it from 1/σ.
  double x = 1;
  for (;;) {
    const double value = ((x + 7 * s) * x + (16 * s * s - 1)) * x + s * (12 * s * s - 1);
    const double slope = (3 * x + 14 * s) * x + (16 * s * s - 1);
    const double next = x - value / slope;
    if (!(next < x)) return (std::max)(x / s, 0.0);
    x = next;
  }
}

struct PowerEmaOptions {
  std::optional<double> gamma = {};           ///< γ in [0, ∞)
  std::optional<double> relative_width = {};  ///< σ_rel in (0, 1/√12], instead of γ; 0.10 if neither is given
  std::uint64_t start = 0;                    ///< the first step that folds, at least 1
  std::uint64_t every = 1;                    ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("gamma", gamma.value_or(0), detail::nonnegative);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k = 1 − (1 − 1/k)^(γ+1) (Karras et al. 2024).
struct PowerGain {
  using Options = PowerEmaOptions;
  struct State {};
  static constexpr std::string_view name = "polyak::PowerEma";

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept {
    return k == 1 ? 1 : -std::expm1((*options.gamma + 1) * std::log1p(-1 / static_cast<double>(k)));
  }
};

/// Power-function EMA (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"), by the
/// gain 1 − (1 − 1/k)^(γ+1): the weight of iterate i grows as i^γ, so the average is as long, relative to the run, at
/// any time. That k counts folds keeps the profile for every > 1 too. Throws std::invalid_argument on options out of
/// range or if both gamma and relative_width are given.
template <class Shadow = default_shadow>
class PowerEma : public Averager<PowerGain, Shadow> {
 public:
  PowerEma() : PowerEma(PowerEmaOptions{}) {}
  PowerEma(detail::NotOptions);
  explicit PowerEma(PowerEmaOptions options) : Averager<PowerGain, Shadow>(with_gamma(options)) {}

  /// γ, as given or as found from the relative width.
  [[nodiscard]] double gamma() const noexcept { return *this->options().gamma; }

 private:
  static PowerEmaOptions with_gamma(PowerEmaOptions options) {
    if (options.gamma && options.relative_width) {
      detail::throw_bad_value(PowerGain::name, "gamma and relative_width must not both be given",
                              *options.relative_width);
    }
    if (!options.gamma) options.gamma = power_of_relative_width(options.relative_width.value_or(0.10));
    options.relative_width.reset();
    return options;
  }
};

}  // namespace polyak
