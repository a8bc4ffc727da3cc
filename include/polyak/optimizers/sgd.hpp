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

struct SgdOptions {
  Hyperparameter learning_rate = 0.01;    ///< η in [0, ∞), a number or a schedule
  Hyperparameter momentum = 0;            ///< μ in [0, ∞), a number or a schedule
  double dampening = 0;                   ///< finite; 0 with Nesterov
  bool nesterov = false;                  ///< needs a momentum
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  bool decoupled_weight_decay = false;    ///< shrinks θ by 1 − ηλ instead, past the momentum
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  /// What nesterov asks of the two.
  ///@{
  static constexpr detail::Range dampening_of_nesterov{"must be 0 with nesterov", 0, 0};
  static constexpr detail::Range momentum_of_nesterov{"must be > 0 with nesterov", 0, detail::nonnegative.high, true};
  ///@}

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("momentum", momentum, nesterov ? momentum_of_nesterov : detail::nonnegative);
    visit("dampening", dampening, nesterov ? dampening_of_nesterov : detail::finite);
    visit("nesterov", nesterov);
    visit("weight_decay", weight_decay, detail::nonnegative);
    visit("decoupled_weight_decay", decoupled_weight_decay);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct SgdRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Sgd";

  struct Factors : StepNumbers {
    double intake;
  };

  SgdOptions options;
  bool has_velocity = false;
  StateVector<Scalar> velocities = {};

  Factors begin(std::uint64_t, const StepNumbers& now, Eigen::Index n) {
    if (now.momentum != 0 && !has_velocity) velocities.setZero(n);
    // The first velocity is d itself, undamped; its buffer is zero, so any factor on it will do.
    return {now, has_velocity ? 1 - options.dampening : 1};
  }
  void commit(const Factors& factors) noexcept { has_velocity |= factors.momentum != 0; }

  void for_each_state(const auto& visit) {
    visit("has_velocity", has_velocity);
    if (has_velocity) visit("velocity", velocities);
  }

  enum class Momentum { none, heavy_ball, nesterov };

  void with_kernel(const Factors& factors, std::size_t offset, const auto& f) noexcept {
    factors.decay == 0 ? with_momentum<false>(factors, offset, f) : with_momentum<true>(factors, offset, f);
  }

 private:
  template <bool Decays>
  void with_momentum(const Factors& factors, std::size_t offset, const auto& f) noexcept {
    if (factors.momentum == 0) {
      f(kernel<Decays, Momentum::none>(factors, offset));
    } else if (options.nesterov) {
      f(kernel<Decays, Momentum::nesterov>(factors, offset));
    } else {
      f(kernel<Decays, Momentum::heavy_ball>(factors, offset));
    }
  }

  template <bool Decays, Momentum M>
  auto kernel(const Factors& factors, std::size_t offset) noexcept {
    const bool decoupled = options.decoupled_weight_decay;
    const T descent = T(-factors.rate), decay = T(decoupled ? 0 : factors.decay),
            shrink = T(decoupled ? 1 - factors.rate * factors.decay : 1), momentum = T(factors.momentum),
            intake = T(factors.intake);
    T* const velocity = M == Momentum::none ? nullptr : velocities.data() + offset;
    return [=](auto p, auto d, auto i) noexcept {
      if constexpr (Decays) {
        if (decay != 0) d = lanes::mul_add(decay, p, d);  // 0 where decoupled, and 0 · ∞ would spoil the velocity
        p *= shrink;
      }
      if constexpr (M != Momentum::none) {
        const auto v = lanes::mul_add(momentum, lanes::load(velocity, i), intake * d);
        lanes::store(velocity, i, v);
        d = M == Momentum::nesterov ? lanes::mul_add(momentum, v, d) : v;
      }
      return lanes::mul_add(descent, d, p);
    };
  }
};

}  // namespace detail

/// Stochastic gradient descent as torch.optim.SGD defines it (Sutskever et al. 2013 for the momenta):
///
///     d_t = g_t + λ θ_t;    v_1 = d_t, then v ← μ v + (1 − dampening) d_t;    d_t ← v, or d_t + μ v with Nesterov;
///     θ_{t+1} = θ_t − η_t d_t
///
/// With decoupled weight decay d_t = g_t and θ_{t+1} = (1 − η_t λ) θ_t − η_t d_t (SGDW, Loshchilov & Hutter 2019). The
/// velocity v is used, and kept, only in steps with μ ≠ 0. It costs n scalars of memory, allocated in the first of
/// them. g is the mean gradient over the mini-batch. Throws std::invalid_argument on options out of range, at
/// construction or, where a schedule gives them, in the step that meets them; a schedule may give a momentum of 0 with
/// Nesterov as well.
template <FloatingPoint Scalar = double>
struct Sgd : detail::Coordinatewise<detail::SgdRule<Scalar>> {
  Sgd(detail::NotOptions);
  explicit Sgd(SgdOptions options = {}) : Sgd::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
