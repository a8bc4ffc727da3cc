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

struct AdagradOptions {
  Hyperparameter learning_rate = 0.01;    ///< η in [0, ∞), a number or a schedule
  double learning_rate_decay = 0;         ///< in [0, ∞): η_t is divided by 1 + decay · t
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  double initial_accumulator = 0;         ///< in [0, ∞): what the sum of squares starts at
  double epsilon = 1e-10;                 ///< in [0, ∞)
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("learning_rate_decay", learning_rate_decay, detail::nonnegative);
    visit("weight_decay", weight_decay, detail::nonnegative);
    visit("initial_accumulator", initial_accumulator, detail::nonnegative);
    visit("epsilon", epsilon, detail::nonnegative);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct AdagradRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Adagrad";

  AdagradOptions options;
  StateVector<Scalar> sums = {};

  StepNumbers begin(std::uint64_t t, const StepNumbers& now, Eigen::Index) {
    if (t == 0) sums.setConstant(T(options.initial_accumulator));
    return {now.rate / (1 + static_cast<double>(t) * options.learning_rate_decay), now.decay, now.momentum};
  }

  void for_each_state(const auto& visit) { visit("sum", sums); }

  void with_kernel(const StepNumbers& now, std::size_t offset, const auto& f) noexcept {
    const T descent = T(-now.rate), decay = T(now.decay), epsilon = T(options.epsilon);
    f([=, sum = sums.data() + offset](auto p, auto g, auto i) noexcept {
      g = lanes::mul_add(decay, p, g);
      const auto s = lanes::store(sum, i, lanes::mul_add(g, g, lanes::load(sum, i)));
      return lanes::mul_add(descent, g / (lanes::square_root(s) + epsilon), p);
    });
  }
};

}  // namespace detail

/// Adagrad as torch.optim.Adagrad defines it (Duchi, Hazan & Singer 2011):
///
///     g ← g + λθ;    s ← s + g²;    θ ← θ − η_t g / (√s + ε)    with η_t = η / (1 + decay · t)
///
/// Costs n scalars of memory. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
struct Adagrad : detail::Coordinatewise<detail::AdagradRule<Scalar>> {
  Adagrad(detail::NotOptions);
  explicit Adagrad(AdagradOptions options = {}) : Adagrad::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
