#pragma once

#include <cmath>
#include <cstddef>
#include <string_view>
#include <utility>

#include "polyak/averagers/tail_average.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/non_finite.hpp"
#include "polyak/schedules.hpp"
#include "polyak/sparse/sparse_linear.hpp"

namespace polyak {

struct SparseAdagradOptions {
  std::size_t features = 0;             ///< d ≥ 1
  std::size_t outputs = 1;              ///< k ≥ 1
  Hyperparameter learning_rate = 0.01;  ///< η in [0, ∞), a number or a schedule
  double l2 = 0;                   ///< λ₂ in [0, ∞), with η λ₂ ≤ 1: weights shrink by 1 − η λ₂ a step
  double l1 = 0;                   ///< λ₁ in [0, ∞): weights owe η λ₁ a step
  bool intercept = true;           ///< off: intercepts stay 0
  double intercept_rate = 1;       ///< in [0, ∞): factor of η for the intercepts, which have no penalty
  double initial_accumulator = 0;  ///< in [0, ∞): what the sums of squares start at
  double epsilon = 1e-10;          ///< in [0, ∞)
  NonFinite non_finite = NonFinite::propagate;  ///< what becomes of a row that would spoil the model

  void for_each_option(const auto& visit) const {
    detail::for_each_sparse_option(*this, visit);
    visit("initial_accumulator", initial_accumulator, detail::nonnegative);
    visit("epsilon", epsilon, detail::nonnegative);
  }
};

namespace detail {

struct SparseAdagradRule {
  using Options = SparseAdagradOptions;
  static constexpr std::string_view name = "polyak::SparseAdagrad";
  static constexpr bool has_state = true;

  Options options;

  [[nodiscard]] double initial_state() const noexcept { return options.initial_accumulator; }
  /// Where the divisor is 0, the gradient is so small that its square is 0: it moves nothing.
  [[nodiscard]] double descend(double rate, double gradient, double& sum) const noexcept {
    sum += gradient * gradient;
    const double divisor = std::sqrt(sum) + options.epsilon;
    return divisor == 0 ? 0 : -rate * gradient / divisor;
  }
};

}  // namespace detail

/// Adagrad (Duchi, Hazan & Singer 2011) on a linear model with sparse inputs x, averaged at O(nonzeros) by any gain.
/// With g_o the derivative of the loss by score o, a step is, for all j stored in x,
///
///     w ← (1 − η_t λ₂) w;    G_jo ← G_jo + (g_o x_j)²;    w_jo ← w_jo − η_t g_o x_j / (√G_jo + ε)
///
/// and for the intercepts the same with x = 1 and no shrinkage. Both penalties are decoupled: they depend on η_t, not
/// on G. All else is as in SparseSgd. Costs d k Scalars of memory more.
template <class Averager = TailAverage<>, class Scalar = double>
struct SparseAdagrad : detail::SparseLinear<detail::SparseAdagradRule, Averager, Scalar> {
  /// Throws std::invalid_argument that names an option out of its range, and on an averager in use. O(features).
  explicit SparseAdagrad(SparseAdagradOptions options, const Averager& averager = {})
      : SparseAdagrad::SparseLinear(std::move(options), averager) {}
};

}  // namespace polyak
