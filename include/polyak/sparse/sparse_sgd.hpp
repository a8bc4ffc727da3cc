#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "polyak/averagers/tail_average.hpp"
#include "polyak/non_finite.hpp"
#include "polyak/schedules.hpp"
#include "polyak/sparse/sparse_linear.hpp"

namespace polyak {

struct SparseSgdOptions {
  std::size_t features = 0;             ///< d ≥ 1
  std::size_t outputs = 1;              ///< k ≥ 1
  Hyperparameter learning_rate = 0.01;  ///< η in [0, ∞), a number or a schedule
  double l2 = 0;              ///< λ₂ in [0, ∞), with η λ₂ ≤ 1: the penalty λ₂/2 |w|² on the weights
  double l1 = 0;              ///< λ₁ in [0, ∞): the penalty λ₁ Σ|w_j|
  bool intercept = true;      ///< off: intercepts stay 0
  double intercept_rate = 1;  ///< in [0, ∞): factor of η for the intercepts, which have no penalty
  NonFinite non_finite = NonFinite::propagate;  ///< what becomes of a row that would spoil the model

  void for_each_option(const auto& visit) const { detail::for_each_sparse_option(*this, visit); }
};

namespace detail {

struct SparseSgdRule {
  using Options = SparseSgdOptions;
  static constexpr std::string_view name = "polyak::SparseSgd";
  static constexpr bool has_state = false;

  Options options;
};

}  // namespace detail

/// Stochastic gradient descent on a linear model with sparse inputs x, averaged at O(nonzeros) by any gain. With g_o
/// the derivative of the loss by score o, a step is, for all j stored in x,
///
///     w ← (1 − η_t λ₂) w;    w_jo ← w_jo − η_t g_o x_j;    intercept_o ← intercept_o − η_t g_o
///
/// and then s ← s + a_t (w − s) for every coordinate, by the gain a_t of the averager. L1 is the cumulative penalty of
/// Tsuruoka, Tsujii & Ananiadou (2009): after its step, a weight whose feature is in x moves towards 0, but not past
/// it, by what it still owes of Σ η_t λ₁; other weights stay until their feature is next seen. If a weight becomes NaN
/// or infinite, so does its average, at once and for good, even if that step does not fold.
///
/// With NonFinite::skip or raise nothing is taken of a row that would do that: of one with a value or a derivative that
/// is NaN or infinite, or along which a number of the model might come within a factor of 256 of the largest Scalar, if
/// all of the row's nonzeros were of one feature. (A value of 1e200 does, in float.) Such a row is no step: weights,
/// average, penalty and steps() stay as they are, bit for bit, and skipped() counts it. A value is known to be bad
/// before the derivative is asked for; raise says which feature it is of. Works under -ffast-math. Rows that are taken
/// give the bits they give without. Costs 1 to 5 % of a step with 70 nonzeros, and a look at the weights of the row
/// where a value is not below 2^16.
///
/// Costs 2 d k Scalars of memory, allocated at construction, and d k doubles with L1. Scores, derivatives and averages
/// are doubles. For double, the average agrees with the dense recursion to some 1e-12 of the largest |w| so far. (With
/// one output, steps that are lost in the last digit of w may add 1e-16 of w each.) For float it agrees to 1e-4, and an
/// average of long memory keeps moving. Throws std::invalid_argument on options out of range, std::logic_error on an
/// averager in use.
template <class Averager = TailAverage<>, class Scalar = double>
struct SparseSgd : detail::SparseLinear<detail::SparseSgdRule, Averager, Scalar> {
  /// Throws std::invalid_argument that names an option out of its range, and on an averager in use. O(features).
  explicit SparseSgd(SparseSgdOptions options, const Averager& averager = {})
      : SparseSgd::SparseLinear(std::move(options), averager) {}
};

}  // namespace polyak
