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

/// Of Adam and AdamW, which differ in what their weight decay is by default.
void for_each_adam_option(const auto& options, const auto& visit) {
  visit("learning_rate", options.learning_rate, nonnegative);
  visit("beta1", options.beta1, from_0_below_1);
  visit("beta2", options.beta2, from_0_below_1);
  visit("epsilon", options.epsilon, nonnegative);
  visit("weight_decay", options.weight_decay, nonnegative);
  visit("amsgrad", options.amsgrad);
}

}  // namespace detail

struct AdamOptions {
  Hyperparameter learning_rate = 0.001;   ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                     ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;                   ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                  ///< in [0, ∞)
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  bool amsgrad = false;                   ///< divides by the largest second moment so far (Reddi et al. 2018)
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const { detail::for_each_adam_option(*this, visit); }
};

struct AdamWOptions {
  Hyperparameter learning_rate = 0.001;   ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                     ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;                   ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                  ///< in [0, ∞)
  Hyperparameter weight_decay = 0.01;     ///< λ in [0, ∞), a number or a schedule: shrinks θ by 1 − ηλ
  bool amsgrad = false;                   ///< divides by the largest second moment so far (Reddi et al. 2018)
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const { detail::for_each_adam_option(*this, visit); }
};

namespace detail {

/// Adam, and with its weight decay decoupled AdamW.
template <FloatingPoint Scalar, class OptionsType, bool Decoupled>
struct AdamRule {
  using scalar_type = Scalar;
  using Options = OptionsType;
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = Decoupled ? "polyak::AdamW" : "polyak::Adam";

  struct Factors : StepNumbers {
    BiasCorrection first, second;
    double weight1, root2;  // 1 − β₁^t, √(1 − β₂^t)
  };

  Options options;
  BiasCorrection first = {}, second = {};
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> moment = {}, square = {}, largest = {};

  Factors begin(std::uint64_t t, const StepNumbers& now, std::size_t n) {
    if (t == 0) {
      const auto size = static_cast<Eigen::Index>(n);
      moment.setZero(size);
      square.setZero(size);
      if (options.amsgrad) largest.setZero(size);
    }
    Factors factors{now, first, second, 0, 0};
    factors.weight1 = factors.first.advance(1 - options.beta1);
    factors.root2 = std::sqrt(factors.second.advance(1 - options.beta2));
    return factors;
  }
  void commit(const Factors& factors) noexcept {
    first = factors.first;
    second = factors.second;
  }
  void reset() { *this = AdamRule{std::move(options)}; }

  void for_each_state(const auto& visit) {
    visit("first", first);
    visit("second", second);
    visit("moment", moment);
    visit("square", square);
    if (options.amsgrad) visit("largest", largest);
  }

  template <bool Largest, class Grad>
  struct Move {
    static constexpr std::size_t width = lanes::width<Scalar>;
    Scalar* params;
    Grad grad;
    T *moment, *square, *largest;
    T descent, decay, shrink, beta1, beta2, intake1, intake2, root, epsilon;

    template <std::size_t N>
    auto operator()(lanes::At<N> i) const noexcept {
      const auto p = lanes::load<T>(params, i);
      auto g = lanes::load<T>(grad, i);
      if constexpr (!Decoupled) g = lanes::mul_add(decay, p, g);
      const auto m = lanes::store(moment, i, lanes::mul_add(beta1, lanes::load(moment, i), intake1 * g));
      auto v = lanes::store(square, i, lanes::mul_add(beta2, lanes::load(square, i), intake2 * g * g));
      if constexpr (Largest) {
        const auto before = lanes::load(largest, i);
        v = lanes::store(largest, i, before < v ? v : before);
      }
      const auto step = m / (lanes::square_root(v) / root + epsilon);
      return lanes::store(params, i, lanes::mul_add(descent, step, Decoupled ? shrink * p : p));
    }
  };

  template <class Grad, class F>
  void with_kernel(const Factors& factors, const Slice<Scalar, Grad>& slice, const F& f) noexcept {
    if (options.amsgrad) {
      f(move<true>(factors, slice));
    } else {
      f(move<false>(factors, slice));
    }
  }

 private:
  template <bool Largest, class Grad>
  Move<Largest, Grad> move(const Factors& factors, const Slice<Scalar, Grad>& slice) noexcept {
    return {.params = slice.params.data(),
            .grad = slice.grad,
            .moment = moment.data() + slice.offset,
            .square = square.data() + slice.offset,
            .largest = Largest ? largest.data() + slice.offset : nullptr,
            .descent = static_cast<T>(-factors.rate / factors.weight1),
            .decay = static_cast<T>(factors.decay),
            .shrink = static_cast<T>(1 - factors.rate * factors.decay),
            .beta1 = static_cast<T>(options.beta1),
            .beta2 = static_cast<T>(options.beta2),
            .intake1 = static_cast<T>(1 - options.beta1),
            .intake2 = static_cast<T>(1 - options.beta2),
            .root = static_cast<T>(factors.root2),
            .epsilon = static_cast<T>(options.epsilon)};
  }
};

}  // namespace detail

/// Adam as torch.optim.Adam defines it (Kingma & Ba 2015):
///
///     g ← g + λθ;    m ← β₁ m + (1 − β₁) g;    v ← β₂ v + (1 − β₂) g²;
///     θ ← θ − η m̂ / (√v̂ + ε)    with m̂ = m/(1 − β₁^t), v̂ = v/(1 − β₂^t)
///
/// Costs 2n scalars of memory, 3n with amsgrad. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
class Adam : public detail::Coordinatewise<detail::AdamRule<Scalar, AdamOptions, false>> {
 public:
  explicit Adam(AdamOptions options = {})
      : detail::Coordinatewise<detail::AdamRule<Scalar, AdamOptions, false>>(std::move(options)) {}
};

/// Adam with decoupled weight decay as torch.optim.AdamW defines it (Loshchilov & Hutter 2019): θ ← (1 − ηλ) θ, and
/// then Adam's step with λ = 0. Costs as Adam does.
template <FloatingPoint Scalar = double>
class AdamW : public detail::Coordinatewise<detail::AdamRule<Scalar, AdamWOptions, true>> {
 public:
  explicit AdamW(AdamWOptions options = {})
      : detail::Coordinatewise<detail::AdamRule<Scalar, AdamWOptions, true>>(std::move(options)) {}
};

}  // namespace polyak
