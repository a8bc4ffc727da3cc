#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/parameters.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

struct SgdOptions {
  Hyperparameter learning_rate = 0.01;  ///< η in [0, ∞), a number or a schedule
  Hyperparameter momentum = 0;          ///< μ in [0, ∞), a number or a schedule
  double dampening = 0;                 ///< finite; 0 with Nesterov
  bool nesterov = false;                ///< needs a momentum
  double weight_decay = 0;              ///< λ in [0, ∞): adds λθ to the gradient
};

/// Stochastic gradient descent as torch.optim.SGD defines it (Sutskever et al. 2013 for the momenta):
///
///     d_t = g_t + λ θ_t;    v_1 = d_t, then v ← μ v + (1 − dampening) d_t;    d_t ← v, or d_t + μ v with Nesterov;
///     θ_{t+1} = θ_t − η_t d_t
///
/// The velocity v is used, and kept, only in steps with μ ≠ 0. It costs n scalars of memory, allocated in the first of
/// them. g is the mean gradient over the mini-batch. Throws std::invalid_argument on options out of range, at
/// construction or, where a schedule gives them, in the step that meets them.
template <FloatingPoint Scalar = double>
class Sgd {
 public:
  using scalar_type = Scalar;
  using Options = SgdOptions;
  class Update;

  Sgd() : Sgd(Options{}) {}
  explicit Sgd(Options options) : options_(std::move(options)) {
    if (options_.learning_rate.is_number()) check_rate(options_.learning_rate(0));
    if (options_.momentum.is_number()) check_momentum(options_.momentum(0));
    detail::require(detail::is_finite(options_.dampening), name, "dampening must be finite", options_.dampening);
    detail::require_finite_nonnegative(options_.weight_decay, name, "weight_decay must be finite and >= 0");
    if (options_.nesterov) {
      detail::require(options_.dampening == 0, name, "dampening must be 0 with nesterov", options_.dampening);
      const bool has_momentum = !options_.momentum.is_number() || options_.momentum(0) > 0;
      detail::require(has_momentum, name, "momentum must be > 0 with nesterov", options_.momentum(0));
    }
  }

  /// Moves `params` one step along `grad`. Throws std::invalid_argument on sizes or shapes that differ, from each other
  /// or from those of the first step, before anything is written. Allocates in the first step, and in the first with a
  /// momentum, only; unless the gradient is an expression or not contiguous: then it is evaluated once.
  template <ParametersOf<Scalar> P, GradientOf<Scalar> G>
  void step(P&& params, const G& grad) {
    detail::step_in_slices(*this, params, grad, name);
  }

  /// Steps taken: the t that schedules are asked next.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  /// The η of the next step.
  [[nodiscard]] double learning_rate() const { return options_.learning_rate(steps_); }
  void set_learning_rate(Hyperparameter rate) {
    if (rate.is_number()) check_rate(rate(0));
    options_.learning_rate = std::move(rate);
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Back to the state after construction, with the learning rate as last set; frees the velocity.
  void reset() {
    steps_ = 0;
    size_ = 0;
    has_velocity_ = false;
    velocity_ = Velocity();
  }

  /// Begins a step over n parameters: throws as step does, and else changes nothing but the capacity of the velocity
  /// until the update is committed.
  [[nodiscard]] Update begin_step(std::size_t n) {
    if (steps_ > 0 && n != size_)
      detail::throw_bad_size(name, "parameters must keep the size of the first step,", size_, n);
    const double rate = options_.learning_rate(steps_);
    const double momentum = options_.momentum(steps_);
    check_rate(rate);
    check_momentum(momentum);
    if (momentum != 0 && !has_velocity_) velocity_.setZero(static_cast<Eigen::Index>(n));
    return Update(*this, n, rate, momentum);
  }

 private:
  using T = detail::compute_t<Scalar>;
  using Velocity = Eigen::Matrix<T, Eigen::Dynamic, 1>;
  static constexpr auto name = "polyak::Sgd";

  static void check_rate(double rate) {
    detail::require_finite_nonnegative(rate, name, "learning_rate must be finite and >= 0");
  }
  static void check_momentum(double momentum) {
    detail::require_finite_nonnegative(momentum, name, "momentum must be finite and >= 0");
  }

  Options options_;
  std::uint64_t steps_ = 0;
  std::size_t size_ = 0;
  bool has_velocity_ = false;
  Velocity velocity_;
};

/// One step's share of the work. Refers to its optimizer, which must stay where it is meanwhile.
template <FloatingPoint Scalar>
class Sgd<Scalar>::Update {
 public:
  void operator()(const Slice<Scalar>& slice) const noexcept {
    visit(slice, [n = slice.params.size()](auto move) { detail::for_each_index(n, move); });
  }

  /// Hands over the move of one coordinate, with what this step does not need left out at compile time.
  template <class Visitor>
  bool visit(const Slice<Scalar>& slice, const Visitor& visitor) const noexcept {
    if (decay_ == T(0)) {
      visit_momentum<false>(slice, visitor);
    } else {
      visit_momentum<true>(slice, visitor);
    }
    return true;
  }

  void commit() const noexcept {
    ++sgd_->steps_;
    sgd_->size_ = size_;
    sgd_->has_velocity_ |= momentum_ != T(0);
  }

 private:
  friend Sgd;
  enum class Momentum { none, heavy_ball, nesterov };

  Update(Sgd& sgd, std::size_t n, double rate, double momentum)
      : sgd_(&sgd),
        size_(n),
        descent_(static_cast<T>(-rate)),
        momentum_(static_cast<T>(momentum)),
        // The first velocity is d itself, undamped; its buffer is zero, so any factor on it will do.
        intake_(static_cast<T>(sgd.has_velocity_ ? 1 - sgd.options_.dampening : 1)),
        decay_(static_cast<T>(sgd.options_.weight_decay)) {}

  template <bool Decays, class Visitor>
  void visit_momentum(const Slice<Scalar>& slice, const Visitor& visitor) const noexcept {
    if (momentum_ == T(0)) {
      visitor(move<Decays, Momentum::none>(slice));
    } else if (sgd_->options_.nesterov) {
      visitor(move<Decays, Momentum::nesterov>(slice));
    } else {
      visitor(move<Decays, Momentum::heavy_ball>(slice));
    }
  }

  template <bool Decays, Momentum M>
  struct Move {
    static constexpr bool vectorised = detail::vectorises<Scalar>;
    Scalar* params;
    const Scalar* grad;
    T* velocity;
    T descent, momentum, intake, decay;

    [[gnu::always_inline]] Scalar operator()(std::size_t i) const noexcept {
      const T p = static_cast<T>(params[i]);
      T d = static_cast<T>(grad[i]);
      if constexpr (Decays) d = detail::mul_add(decay, p, d);
      if constexpr (M != Momentum::none) {
        const T v = detail::mul_add(momentum, velocity[i], intake * d);
        velocity[i] = v;
        d = M == Momentum::nesterov ? detail::mul_add(momentum, v, d) : v;
      }
      return params[i] = static_cast<Scalar>(detail::mul_add(descent, d, p));
    }
  };

  template <bool Decays, Momentum M>
  Move<Decays, M> move(const Slice<Scalar>& slice) const noexcept {
    T* const velocity = M == Momentum::none ? nullptr : sgd_->velocity_.data() + slice.offset;
    return {slice.params.data(), slice.grad.data(), velocity, descent_, momentum_, intake_, decay_};
  }

  Sgd* sgd_;
  std::size_t size_;
  T descent_;
  T momentum_;
  T intake_;
  T decay_;
};

}  // namespace polyak
