#pragma once

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/bias_correction.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/lanes.hpp"
#include "polyak/optimizers/coordinatewise.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

namespace detail {

/// Of Adam, and with the weight decay decoupled of AdamW.
template <bool Decoupled>
struct AdamOptionsOf {
  Hyperparameter learning_rate = 0.001;  ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                    ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;                  ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                 ///< in [0, ∞)
  /// λ in [0, ∞), a number or a schedule: Adam adds λθ to the gradient, AdamW shrinks θ by 1 − ηλ
  Hyperparameter weight_decay = Decoupled ? 0.01 : 0;
  bool amsgrad = false;                   ///< divides by the largest second moment so far (Reddi et al. 2018)
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, nonnegative);
    visit("beta1", beta1, from_0_below_1);
    visit("beta2", beta2, from_0_below_1);
    visit("epsilon", epsilon, nonnegative);
    visit("weight_decay", weight_decay, nonnegative);
    visit("amsgrad", amsgrad);
  }
};

/// Adam, and with its weight decay decoupled AdamW.
template <FloatingPoint Scalar, bool Decoupled>
struct AdamRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = Decoupled ? "polyak::AdamW" : "polyak::Adam";

  struct Factors : StepNumbers {
    BiasCorrection first, second;
    double weight1, root2;  // 1 − β₁^t, √(1 − β₂^t)
  };

  AdamOptionsOf<Decoupled> options;
  BiasCorrection first = {}, second = {};
  StateVector<Scalar> moments = {}, squares = {}, largest = {};

  Factors begin(std::uint64_t, const StepNumbers& now, Eigen::Index) const noexcept {
    Factors factors{now, first, second, {}, {}};
    factors.weight1 = factors.first.advance(1 - options.beta1);
    factors.root2 = std::sqrt(factors.second.advance(1 - options.beta2));
    return factors;
  }
  void commit(const Factors& factors) noexcept {
    first = factors.first;
    second = factors.second;
  }

  void for_each_state(const auto& visit) {
    visit("first", first);
    visit("second", second);
    visit("moment", moments);
    visit("square", squares);
    if (options.amsgrad) visit("largest", largest);
  }

  void with_kernel(const Factors& factors, std::size_t offset, const auto& f) noexcept {
    options.amsgrad ? f(kernel<true>(factors, offset)) : f(kernel<false>(factors, offset));
  }

 private:
  template <bool Largest>
  auto kernel(const Factors& factors, std::size_t offset) noexcept {
    // With ρ = root2, η / (√v/ρ + ε) is ηρ / (√v + ρε): one division less a coordinate.
    const T descent = T(-factors.rate / factors.weight1 * factors.root2),
            epsilon = scaled_epsilon<T>(options.epsilon, factors.root2), decay = T(factors.decay),
            shrink = T(1 - factors.rate * factors.decay), beta1 = T(options.beta1), beta2 = T(options.beta2),
            intake1 = T(1 - options.beta1), intake2 = T(1 - options.beta2);
    T* const most = Largest ? largest.data() + offset : nullptr;
    return [=, moment = moments.data() + offset, square = squares.data() + offset](auto p, auto g, auto i) noexcept {
      if constexpr (!Decoupled) g = lanes::mul_add(decay, p, g);
      const auto m = lanes::store(moment, i, lanes::mul_add(beta1, lanes::load(moment, i), intake1 * g));
      auto v = lanes::store(square, i, lanes::mul_add(beta2, lanes::load(square, i), intake2 * g * g));
      if constexpr (Largest) {
        const auto before = lanes::load(most, i);
        v = lanes::store(most, i, before < v ? v : before);
      }
      const auto step = m / (lanes::square_root(v) + epsilon);
      return lanes::mul_add(descent, step, Decoupled ? shrink * p : p);
    };
  }
};

}  // namespace detail

using AdamOptions = detail::AdamOptionsOf<false>;  ///< the options of Adam
using AdamWOptions = detail::AdamOptionsOf<true>;  ///< the options of AdamW

/// Adam as torch.optim.Adam defines it (Kingma & Ba 2015):
///
///     g ← g + λθ;    m ← β₁ m + (1 − β₁) g;    v ← β₂ v + (1 − β₂) g²;
///     θ ← θ − η m̂ / (√v̂ + ε)    with m̂ = m/(1 − β₁^t), v̂ = v/(1 − β₂^t)
///
/// Costs 2n scalars of memory, 3n with amsgrad. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
struct Adam : detail::Coordinatewise<detail::AdamRule<Scalar, false>> {
  Adam(detail::NotOptions);
  explicit Adam(AdamOptions options = {}) : Adam::Coordinatewise(std::move(options)) {}
};

/// Adam with decoupled weight decay as torch.optim.AdamW defines it (Loshchilov & Hutter 2019): θ ← (1 − ηλ) θ, and
/// then Adam's step with λ = 0. Costs as Adam does.
template <FloatingPoint Scalar = double>
struct AdamW : detail::Coordinatewise<detail::AdamRule<Scalar, true>> {
  AdamW(detail::NotOptions);
  explicit AdamW(AdamWOptions options = {}) : AdamW::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
