#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/optimizers/coordinatewise.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

struct RMSpropOptions {
  Hyperparameter learning_rate = 0.01;    ///< η in [0, ∞), a number or a schedule
  double alpha = 0.99;                    ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                  ///< in [0, ∞)
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  Hyperparameter momentum = 0;            ///< μ in [0, ∞), a number or a schedule
  bool centered = false;                  ///< divides by the deviation from the mean gradient
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("alpha", alpha, detail::from_0_below_1);
    visit("epsilon", epsilon, detail::nonnegative);
    visit("weight_decay", weight_decay, detail::nonnegative);
    visit("momentum", momentum, detail::nonnegative);
    visit("centered", centered);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct RMSpropRule {
  using scalar_type = Scalar;
  using Options = RMSpropOptions;
  using T = compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::RMSprop";

  using Factors = StepNumbers;

  Options options;
  bool has_velocity = false;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> square = {}, mean = {}, velocity = {};

  Factors begin(std::uint64_t t, const StepNumbers& now, std::size_t n) {
    const auto size = static_cast<Eigen::Index>(n);
    if (t == 0) {
      square.setZero(size);
      if (options.centered) mean.setZero(size);
    }
    if (now.momentum != 0 && !has_velocity) velocity.setZero(size);
    return now;
  }
  void commit(const Factors& factors) noexcept { has_velocity |= factors.momentum != 0; }
  void reset() { *this = RMSpropRule{std::move(options)}; }

  void for_each_state(const auto& visit) {
    visit("square", square);
    if (options.centered) visit("mean", mean);
    visit("has_velocity", has_velocity);
    if (has_velocity) visit("velocity", velocity);
  }

  template <bool Centered, bool HasMomentum, class Grad>
  struct Move {
    static constexpr bool vectorised = vectorises<Scalar>;
    Scalar* params;
    Grad grad;
    T *square, *mean, *velocity;
    T descent, decay, alpha, intake, epsilon, momentum;

    [[gnu::always_inline]] T decayed(std::size_t i) const noexcept {
      return mul_add(decay, static_cast<T>(params[i]), static_cast<T>(grad[i]));
    }
    [[gnu::always_inline]] T radicand(std::size_t i) const noexcept {
      const T g = decayed(i);
      T v = mul_add(alpha, square[i], intake * g * g);
      square[i] = v;
      if constexpr (Centered) {
        const T m = mul_add(alpha, mean[i], intake * g);
        mean[i] = m;
        v = mul_add(-m, m, v);
        if (v < 0) v = 0;  // by rounding, where the gradient hardly changes
      }
      return v;
    }
    [[gnu::always_inline]] Scalar operator()(std::size_t i, T deviation) const noexcept {
      T step = decayed(i) / (deviation + epsilon);
      if constexpr (HasMomentum) velocity[i] = step = mul_add(momentum, velocity[i], step);
      return params[i] = static_cast<Scalar>(mul_add(descent, step, static_cast<T>(params[i])));
    }
  };

  template <class Grad, class F>
  void with_kernel(const Factors& factors, const Slice<Scalar, Grad>& slice, const F& f) noexcept {
    if (factors.momentum == 0) {
      options.centered ? f(move<true, false>(factors, slice)) : f(move<false, false>(factors, slice));
    } else {
      options.centered ? f(move<true, true>(factors, slice)) : f(move<false, true>(factors, slice));
    }
  }

 private:
  template <bool Centered, bool HasMomentum, class Grad>
  Move<Centered, HasMomentum, Grad> move(const Factors& factors, const Slice<Scalar, Grad>& slice) noexcept {
    return {.params = slice.params.data(),
            .grad = slice.grad,
            .square = square.data() + slice.offset,
            .mean = Centered ? mean.data() + slice.offset : nullptr,
            .velocity = HasMomentum ? velocity.data() + slice.offset : nullptr,
            .descent = static_cast<T>(-factors.rate),
            .decay = static_cast<T>(factors.decay),
            .alpha = static_cast<T>(options.alpha),
            .intake = static_cast<T>(1 - options.alpha),
            .epsilon = static_cast<T>(options.epsilon),
            .momentum = static_cast<T>(factors.momentum)};
  }
};

}  // namespace detail

/// RMSprop as torch.optim.RMSprop defines it (Tieleman & Hinton 2012; centred: Graves 2013):
///
///     g ← g + λθ;    v ← α v + (1 − α) g²;    m ← α m + (1 − α) g, v̄ = v − m² if centred, else v̄ = v;
///     b ← μ b + g / (√v̄ + ε);    θ ← θ − η b
///
/// The buffer b is used, and kept, only in steps with μ ≠ 0; in the others θ ← θ − η g / (√v̄ + ε). Costs n scalars of
/// memory, n more centred, n more from the first step with a momentum on. Throws std::invalid_argument on options out
/// of range, at construction or, where a schedule gives them, in the step that meets them.
template <FloatingPoint Scalar = double>
class RMSprop : public detail::Coordinatewise<detail::RMSpropRule<Scalar>> {
 public:
  explicit RMSprop(RMSpropOptions options = {})
      : detail::Coordinatewise<detail::RMSpropRule<Scalar>>(std::move(options)) {}
};

}  // namespace polyak
