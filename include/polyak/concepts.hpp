#pragma once

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>

/// What each part must offer, one sentence and one concept each. Nothing needs to be derived from anything.

namespace polyak {

/// A scalar of weights or shadows: float, double, long double, Eigen::half or Eigen::bfloat16.
template <class T>
concept FloatingPoint = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, long double> ||
                        std::same_as<T, Eigen::half> || std::same_as<T, Eigen::bfloat16>;

/// A schedule is a copyable function from the number of steps already taken to a number.
template <class F>
concept Schedule = std::copy_constructible<F> && std::regular_invocable<const F&, std::uint64_t> &&
                   std::convertible_to<std::invoke_result_t<const F&, std::uint64_t>, double>;

/// A stretch of the flat parameter vector with its gradient: what an optimizer works on at a time.
template <FloatingPoint Scalar>
struct Slice {
  std::size_t offset;  ///< of params[0] in the whole vector
  std::span<Scalar> params;
  std::span<const Scalar> grad;

  [[nodiscard]] Slice sub(std::size_t from, std::size_t n) const noexcept {
    return {offset + from, params.subspan(from, n), grad.subspan(from, n)};
  }
};

/// An update moves the parameters of each slice it is given and, once after the last one, commits the step; it cannot
/// throw.
template <class U, class Scalar>
concept UpdateOf = requires(U& update, const Slice<Scalar>& slice) {
  { update(slice) } noexcept;
  { update.commit() } noexcept;
};

/// An elementwise update also visits a slice: it hands over a function of i that moves coordinate i of the slice and
/// returns the new value, so that averages fold in the same loop; visit says false, and hands over nothing, where it
/// cannot.
template <class U, class Scalar>
concept ElementwiseUpdateOf = UpdateOf<U, Scalar> && requires(U& update, const Slice<Scalar>& slice) {
  {
    update.visit(slice, [](auto) {})
  } noexcept -> std::same_as<bool>;
};

/// A slice-wise optimizer's begin_step(n) checks all that can fail, moves nothing, and returns an update.
template <class O>
concept SlicewiseOptimizer = requires(O& optimizer, std::size_t n) {
  { optimizer.begin_step(n) } -> UpdateOf<typename O::scalar_type>;
};

/// Any object with step(params, grad), or callable as (params, grad), is an optimizer of those parameters.
template <class O, class Params, class Grad>
concept OptimizerOf = requires(O& optimizer, Params& params, const Grad& grad) { optimizer.step(params, grad); } ||
                      std::invocable<O&, Params&, const Grad&>;

/// A fold is shown every slice of weights before and after the optimizer moves it and, once after the last one,
/// commits; it cannot throw. Where it is idle, both do nothing. Where it is simple, `before` does nothing and `after`
/// is at(offset)(i, weight) for each i, which may then be done in the loop that moves the weights.
template <class F>
concept FoldLike = requires(F& fold, std::size_t offset, std::span<const double> weights) {
  { fold.before(offset, weights) } noexcept;
  { fold.after(offset, weights) } noexcept;
  { fold.idle() } noexcept -> std::same_as<bool>;
  { fold.simple() } noexcept -> std::same_as<bool>;
  { fold.at(offset)(offset, weights[0]) } noexcept;
  { fold.commit() } noexcept;
};

/// An averager's begin_fold(n) checks all that can fail, moves nothing, and returns a fold; average() reads what was
/// folded.
template <class A>
concept AveragerLike = requires(A& averager, const A& read, std::size_t n) {
  { averager.begin_fold(n) } -> FoldLike;
  { read.has_average() } -> std::convertible_to<bool>;
  read.average();
};

}  // namespace polyak
