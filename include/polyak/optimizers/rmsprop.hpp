#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/lanes.hpp"
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
struct RMSpropRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::RMSprop";

  RMSpropOptions options;
  bool has_velocity = false;
  StateVector<Scalar> squares = {}, means = {}, velocities = {};

  StepNumbers begin(std::uint64_t, const StepNumbers& now, Eigen::Index n) {
    if (now.momentum != 0 && !has_velocity) velocities.setZero(n);
    return now;
  }
  void commit(const StepNumbers& now) noexcept { has_velocity |= now.momentum != 0; }

  void for_each_state(const auto& visit) {
    visit("square", squares);
    if (options.centered) visit("mean", means);
    visit("has_velocity", has_velocity);
    if (has_velocity) visit("velocity", velocities);
  }

  void with_kernel(const StepNumbers& now, std::size_t offset, const auto& f) noexcept {
    if (now.momentum == 0) {
      options.centered ? f(kernel<true, false>(now, offset)) : f(kernel<false, false>(now, offset));
    } else {
      options.centered ? f(kernel<true, true>(now, offset)) : f(kernel<false, true>(now, offset));
    }
  }

 private:
  template <bool Centered, bool HasMomentum>
  auto kernel(const StepNumbers& now, std::size_t offset) noexcept {
    const T descent = T(-now.rate), decay = T(now.decay), alpha = T(options.alpha), intake = T(1 - options.alpha),
            epsilon = T(options.epsilon), momentum = T(now.momentum);
    T* const mean = Centered ? means.data() + offset : nullptr;
    T* const velocity = HasMomentum ? velocities.data() + offset : nullptr;
    return [=, square = squares.data() + offset]<class V>(V p, V g, auto i) noexcept {
      g = lanes::mul_add(decay, p, g);
      V v = lanes::store(square, i, lanes::mul_add(alpha, lanes::load(square, i), intake * g * g));
      if constexpr (Centered) {
        const V m = lanes::store(mean, i, lanes::mul_add(alpha, lanes::load(mean, i), intake * g));
        v = lanes::mul_add(-m, m, v);
        v = v < V{} ? V{} : v;  // by rounding, where the gradient hardly changes
      }
      V step = g / (lanes::square_root(v) + epsilon);
      if constexpr (HasMomentum) {
        step = lanes::store(velocity, i, lanes::mul_add(momentum, lanes::load(velocity, i), step));
      }
      return lanes::mul_add(descent, step, p);
    };
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
struct RMSprop : detail::Coordinatewise<detail::RMSpropRule<Scalar>> {
  RMSprop(detail::NotOptions);
  explicit RMSprop(RMSpropOptions options = {}) : RMSprop::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
