#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <numbers>
#include <string_view>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"

/// Decay rates β_k of an EMA, asked with k, the number of folds already made. What an average does depends on 1 − β,
/// which is lost by subtraction when β is near 1 and came out of a formula; so a decay hands over its complement.

namespace polyak {

/// A decay schedule that knows 1 − β_k itself, given the number of folds already made and the steps between folds.
template <class F>
concept ComplementedDecay =
    std::copy_constructible<F> && requires(const F& decay, std::uint64_t k, std::uint64_t every) {
      { decay.complement(k, every) } -> std::convertible_to<double>;
    };

/// A decay is a number β in [0, 1], a callable of k that returns β, or an object with complement(k, every) that returns
/// 1 − β in [0, 1], where every is the number of steps from one fold to the next.
class Decay : public detail::NumberOrFunction<std::uint64_t, std::uint64_t> {
 public:
  /// The same β in every fold.
  template <detail::Number T>
  Decay(T beta) : NumberOrFunction(static_cast<double>(beta)) {}

  /// Throws std::invalid_argument on a std::function that holds none.
  template <class F>
    requires(!std::same_as<F, Decay> && (Schedule<F> || ComplementedDecay<F>))
  Decay(F beta)
      : NumberOrFunction(Complement<F>{std::move(beta)}, [](const Function& f) {
          return detail::describe(f.template target<Complement<F>>()->decay);
        }) {
    if constexpr (!ComplementedDecay<F>) {
      if (!std::function<double(std::uint64_t)>(function_.template target<Complement<F>>()->decay)) {
        detail::throw_bad_argument("polyak::Ema", "decay must be callable, got none");
      }
    }
  }

  [[nodiscard]] double complement(std::uint64_t k, std::uint64_t every) const {
    return is_number() ? 1 - number_ : function_(k, every);
  }

 private:
  template <class F>
  struct Complement {
    F decay;
    double operator()(std::uint64_t k, std::uint64_t every) const {
      if constexpr (ComplementedDecay<F>) {
        return decay.complement(k, every);
      } else {
        const double b = decay(k);
        if (!detail::from_0_to_1.holds(b)) detail::throw_bad_fold("polyak::Ema", "decay must be in [0, 1]", b, k + 1);
        return 1 - b;
      }
    }
  };
};

struct DecayWarmupOptions {
  double limit = 0.9999;  ///< β in [0, 1)

  void for_each_option(const auto& visit) const { visit("limit", limit, detail::from_0_below_1); }
};

/// β_k = min(β, (1 + k)/(10 + k)): averages short at first, as long as asked for in the end.
struct DecayWarmup : detail::FromOptions<DecayWarmup, DecayWarmupOptions> {
  static constexpr std::string_view name = "polyak::DecayWarmup";
  using FromOptions::FromOptions;

  [[nodiscard]] double complement(std::uint64_t k, std::uint64_t) const noexcept {
    return (std::max)(1 - options_.limit, 9 / (10 + static_cast<double>(k)));
  }
  [[nodiscard]] double operator()(std::uint64_t k) const noexcept { return 1 - complement(k, 1); }
};

struct InverseGammaDecayOptions {
  double gamma = 1;        ///< γ > 0, in folds
  double power = 2.0 / 3;  ///< p > 0: 2/3 suits runs of a million folds, 3/4 shorter ones
  double min = 0;          ///< in [0, max]
  double max = 0.9999;     ///< in [min, 1)

  void for_each_option(const auto& visit) const {
    visit("gamma", gamma, detail::positive);
    visit("power", power, detail::positive);
    visit("max", max, detail::from_0_below_1);
    visit("min", min, detail::Range{"must be in [0, max]", 0, max});
  }
};

/// β_k = 1 − (1 + k/γ)^−p, kept within [min, max].
struct InverseGammaDecay : detail::FromOptions<InverseGammaDecay, InverseGammaDecayOptions> {
  static constexpr std::string_view name = "polyak::InverseGammaDecay";
  using FromOptions::FromOptions;

  [[nodiscard]] double complement(std::uint64_t k, std::uint64_t) const noexcept {
    const double c = std::pow(1 + static_cast<double>(k) / options_.gamma, -options_.power);
    return std::clamp(c, 1 - options_.max, 1 - options_.min);
  }
  [[nodiscard]] double operator()(std::uint64_t k) const noexcept { return 1 - complement(k, 1); }
};

struct HalfLifeOptions {
  double steps = 1000;  ///< h > 0: after h steps an iterate counts half

  void for_each_option(const auto& visit) const { visit("steps", steps, detail::positive); }
};

/// β = 2^(−every/h): the same average over time however often it folds.
struct HalfLife : detail::FromOptions<HalfLife, HalfLifeOptions> {
  static constexpr std::string_view name = "polyak::HalfLife";
  using FromOptions::FromOptions;

  [[nodiscard]] double complement(std::uint64_t, std::uint64_t every) const noexcept {
    return -std::expm1(-std::numbers::ln2 * static_cast<double>(every) / options_.steps);
  }
  /// β of an average that folds every step.
  [[nodiscard]] double operator()(std::uint64_t k) const noexcept { return 1 - complement(k, 1); }
};

}  // namespace polyak
