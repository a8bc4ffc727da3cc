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

  static constexpr detail::Range dampening_of_nesterov{"must be 0 with nesterov", 0, 0};
  static constexpr detail::Range momentum_of_nesterov{"must be > 0 with nesterov", 0, detail::nonnegative.high, true};

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
struct SgdRule {
  using scalar_type = Scalar;
  using Options = SgdOptions;
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Sgd";

  struct Factors : StepNumbers {
    double intake;
  };

  Options options;
  bool has_velocity = false;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> velocity = {};

  Factors begin(std::uint64_t, const StepNumbers& now, std::size_t n) {
    if (now.momentum != 0 && !has_velocity) velocity.setZero(static_cast<Eigen::Index>(n));
    // The first velocity is d itself, undamped; its buffer is zero, so any factor on it will do.
    return {now, has_velocity ? 1 - options.dampening : 1};
  }
  void commit(const Factors& factors) noexcept { has_velocity |= factors.momentum != 0; }
  void reset() {
    has_velocity = false;
    velocity.resize(0);
  }

  void for_each_state(const auto& visit) {
    visit("has_velocity", has_velocity);
    if (has_velocity) visit("velocity", velocity);
  }

  enum class Momentum { none, heavy_ball, nesterov };

  template <bool Decays, Momentum M, class Grad>
  struct Move {
    static constexpr std::size_t width = lanes::width<Scalar>;
    Scalar* params;
    Grad grad;
    T* velocity;
    T descent, decay, shrink, momentum, intake;

    template <std::size_t N>
    auto operator()(lanes::At<N> i) const noexcept {
      auto p = lanes::load<T>(params, i);
      auto d = lanes::load<T>(grad, i);
      if constexpr (Decays) {
        if (decay != 0) d = lanes::mul_add(decay, p, d);  // 0 where decoupled, and 0 · ∞ would spoil the velocity
        p *= shrink;
      }
      if constexpr (M != Momentum::none) {
        const auto v = lanes::mul_add(momentum, lanes::load(velocity, i), intake * d);
        lanes::store(velocity, i, v);
        d = M == Momentum::nesterov ? lanes::mul_add(momentum, v, d) : v;
      }
      return lanes::store(params, i, lanes::mul_add(descent, d, p));
    }
  };

  template <class Grad, class F>
  void with_kernel(const Factors& factors, const Slice<Scalar, Grad>& slice, const F& f) noexcept {
    if (factors.decay == 0) {
      with_momentum<false>(factors, slice, f);
    } else {
      with_momentum<true>(factors, slice, f);
    }
  }

 private:
  template <bool Decays, class Grad, class F>
  void with_momentum(const Factors& factors, const Slice<Scalar, Grad>& slice, const F& f) noexcept {
    if (factors.momentum == 0) {
      f(move<Decays, Momentum::none>(factors, slice));
    } else if (options.nesterov) {
      f(move<Decays, Momentum::nesterov>(factors, slice));
    } else {
      f(move<Decays, Momentum::heavy_ball>(factors, slice));
    }
  }

  template <bool Decays, Momentum M, class Grad>
  Move<Decays, M, Grad> move(const Factors& factors, const Slice<Scalar, Grad>& slice) noexcept {
    const bool decoupled = options.decoupled_weight_decay;
    return {.params = slice.params.data(),
            .grad = slice.grad,
            .velocity = M == Momentum::none ? nullptr : velocity.data() + slice.offset,
            .descent = static_cast<T>(-factors.rate),
            .decay = static_cast<T>(decoupled ? 0 : factors.decay),
            .shrink = static_cast<T>(decoupled ? 1 - factors.rate * factors.decay : 1),
            .momentum = static_cast<T>(factors.momentum),
            .intake = static_cast<T>(factors.intake)};
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
/// construction or, where a schedule gives them, in the step that meets them.
template <FloatingPoint Scalar = double>
class Sgd : public detail::Coordinatewise<detail::SgdRule<Scalar>> {
 public:
  explicit Sgd(SgdOptions options = {}) : detail::Coordinatewise<detail::SgdRule<Scalar>>(std::move(options)) {}
};

}  // namespace polyak
