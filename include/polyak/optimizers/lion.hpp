#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/lanes.hpp"
#include "polyak/optimizers/coordinatewise.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

struct LionOptions {
  Hyperparameter learning_rate = 0.0001;  ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                     ///< in [0, 1): how much of the momentum the step takes
  double beta2 = 0.99;                    ///< in [0, 1): decay of the momentum
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: shrinks θ by 1 − ηλ
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("beta1", beta1, detail::from_0_below_1);
    visit("beta2", beta2, detail::from_0_below_1);
    visit("weight_decay", weight_decay, detail::nonnegative);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct LionRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Lion";

  LionOptions options;
  StateVector<Scalar> moments = {};

  void for_each_state(const auto& visit) { visit("moment", moments); }

  void with_kernel(const StepNumbers& now, std::size_t offset, const auto& f) noexcept {
    const T rate = T(now.rate), shrink = T(1 - now.rate * now.decay), beta1 = T(options.beta1),
            beta2 = T(options.beta2), intake1 = T(1 - options.beta1), intake2 = T(1 - options.beta2);
    f([=, moment = moments.data() + offset]<class V>(V p, V g, auto i) noexcept {
      const V m = lanes::load(moment, i);
      lanes::store(moment, i, lanes::mul_add(beta2, m, intake2 * g));
      const V c = lanes::mul_add(beta1, m, intake1 * g);
      // The sign of NaN is NaN: a step must not hide a diverged gradient.
      const V sign = c > V{} ? lanes::all<V>(1) : c < V{} ? lanes::all<V>(-1) : c;
      return lanes::mul_add(-rate, sign, shrink * p);
    });
  }
};

}  // namespace detail

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"):
///
///     θ ← (1 − ηλ) θ − η sign(β₁ m + (1 − β₁) g);    m ← β₂ m + (1 − β₂) g
///
/// Costs n scalars of memory. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
struct Lion : detail::Coordinatewise<detail::LionRule<Scalar>> {
  Lion(detail::NotOptions);
  explicit Lion(LionOptions options = {}) : Lion::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
