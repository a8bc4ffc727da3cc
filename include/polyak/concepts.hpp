#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
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

/// Rows and columns of a block of parameters: a matrix, or a vector as a column.
struct BlockShape {
  std::size_t rows = 0;
  std::size_t cols = 0;
  bool row_major = false;

  [[nodiscard]] constexpr std::size_t size() const noexcept { return rows * cols; }
};

/// The blocks of a parameter vector, in order, as an optimizer or an averager is told of them: one for an Eigen object,
/// one for each layer's weights or biases in a set. Refers to what it was made from.
class Layout {
 public:
  explicit Layout(const BlockShape& only) noexcept : only_(only), size_(only.size()) {}
  template <class Set>
  Layout(const Set& set, std::size_t count, BlockShape (*shape_at)(const void*, std::size_t))
      : set_(&set), count_(count), shape_at_(shape_at) {
    for (std::size_t i = 0; i < count; ++i) size_ += shape(i).size();
  }

  /// Coordinates in all.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t blocks() const noexcept { return count_; }
  [[nodiscard]] BlockShape shape(std::size_t i) const { return shape_at_ ? shape_at_(set_, i) : only_; }

 private:
  BlockShape only_;
  const void* set_ = nullptr;
  std::size_t count_ = 1;
  BlockShape (*shape_at_)(const void*, std::size_t) = nullptr;
  std::size_t size_ = 0;
};

/// A stretch of one block of parameters with its gradient: what an optimizer works on at a time. Grad is a pointer to
/// the gradient, or what stands for one where a wrapper changes the gradient on its way: grad[i] and grad + n.
template <FloatingPoint Scalar, class Grad = const Scalar*>
struct Slice {
  std::size_t block;   ///< index of the block in the set
  std::size_t offset;  ///< of params[0] in the whole vector
  std::span<Scalar> params;
  Grad grad;

  [[nodiscard]] Slice sub(std::size_t from, std::size_t n) const noexcept {
    return {block, offset + from, params.subspan(from, n), grad + static_cast<std::ptrdiff_t>(from)};
  }
};

/// What wrappers do to a gradient on its way to the optimizer: g ↦ clamp(scale · g, −limit, limit). Closed under
/// composition.
struct GradFilter {
  double scale = 1;
  double limit = std::numeric_limits<double>::infinity();
};

/// The parameters and the gradient of one step, block by block. Refers to what it was made from.
template <FloatingPoint Scalar>
class StepView {
 public:
  StepView(const Layout& layout, const Slice<Scalar>& only) noexcept : layout_(layout), only_(only) {}
  template <class Source>
  StepView(const Layout& layout, const Source& source, Slice<Scalar> (*at)(const void*, std::size_t)) noexcept
      : layout_(layout), source_(&source), at_(at) {}

  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  /// What the gradient is still to be put through; updates are given slices that are filtered already.
  [[nodiscard]] const GradFilter& filter() const noexcept { return filter_; }
  [[nodiscard]] StepView filtered(const GradFilter& next) const noexcept {
    StepView view = *this;
    view.filter_ = {filter_.scale * next.scale, std::min(filter_.limit * next.scale, next.limit)};
    return view;
  }
  /// The same step along another gradient, flat and final.
  [[nodiscard]] StepView along(const Scalar* gradient) const noexcept {
    StepView view = *this;
    view.filter_ = {};
    view.gradient_ = gradient;
    return view;
  }

  /// Calls f with every block as a Slice, in order, its gradient unfiltered.
  template <class F>
  void for_each(F f) const {
    if (!at_ && !gradient_) return f(only_);
    std::size_t offset = 0;
    for (std::size_t i = 0; i < layout_.blocks(); ++i) {
      Slice<Scalar> slice = at_ ? at_(source_, i) : only_;
      slice.offset = offset;
      if (gradient_) slice.grad = gradient_ + offset;
      offset += slice.params.size();
      f(slice);
    }
  }

 private:
  Layout layout_;
  GradFilter filter_;
  Slice<Scalar> only_{};
  const Scalar* gradient_ = nullptr;
  const void* source_ = nullptr;
  Slice<Scalar> (*at_)(const void*, std::size_t) = nullptr;
};

/// An update moves the parameters of each slice it is given and, once after the last one, commits the step; it cannot
/// throw. Where taken() is false there is no step this time: it moves nothing, and commit notes as much.
template <class U, class Scalar>
concept UpdateOf = requires(U& update, const Slice<Scalar>& slice) {
  { update(slice) } noexcept;
  { update.taken() } noexcept -> std::same_as<bool>;
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

/// An update or a fold that says `concurrent` may be given slices from several threads at a time, each coordinate once
/// a step; so it is where OpenMP is on. It writes nothing then but what belongs to the coordinates at hand.
template <class T>
concept Concurrent = requires { requires T::concurrent; };

/// A late update (static constexpr bool late = true) reads the weights once more, or moves them, when it commits: what
/// goes around it leaves them alone until then, reads and moves them after it, and is late as well.
template <class U>
concept LateUpdate = requires { requires U::late; };

/// A slice-wise optimizer's begin_step(view) checks all that can fail, moves nothing, and returns an update.
template <class O>
concept SlicewiseOptimizer = requires(O& optimizer, const StepView<typename O::scalar_type>& view) {
  { optimizer.begin_step(view) } -> UpdateOf<typename O::scalar_type>;
};

/// Any object with step(params, grad), or callable as (params, grad), is an optimizer of those parameters. Where it
/// returns a bool, false says that no step was taken.
template <class O, class Params, class Grad>
concept OptimizerOf = requires(O& optimizer, Params& params, const Grad& grad) { optimizer.step(params, grad); } ||
                      std::invocable<O&, Params&, const Grad&>;

/// A fold is shown every slice of weights before and after the optimizer moves it and, once after the last one,
/// commits; it cannot throw. Where it is idle, both do nothing.
template <class F>
concept FoldLike = requires(const F& fold, std::size_t offset, std::span<const double> weights) {
  { fold.before(offset, weights) } noexcept;
  { fold.after(offset, weights) } noexcept;
  { fold.idle() } noexcept -> std::same_as<bool>;
  { fold.commit() } noexcept;
};

/// An elementwise fold is, where simple() says so, done when at(offset)(i, weight) is called for each i: `before` does
/// nothing then, and the calls may be made in the loop that moves the weights.
template <class F>
concept ElementwiseFold = FoldLike<F> && requires(F& fold, std::size_t offset, double weight) {
  { fold.simple() } noexcept -> std::same_as<bool>;
  { fold.at(offset)(offset, weight) } noexcept;
};

/// A watchful fold, where watching() says so, decides by the whole vector: it is shown every slice that was moved by
/// watch, and then, if it accepts(), every slice once more by `after`; it is committed either way.
template <class F>
concept WatchfulFold = FoldLike<F> && requires(const F& fold, std::size_t offset, std::span<const double> weights) {
  { fold.watching() } noexcept -> std::same_as<bool>;
  { fold.watch(offset, weights) } noexcept;
  { fold.accepts() } noexcept -> std::same_as<bool>;
};

/// An averager's begin_fold(layout) checks all that can fail, moves nothing, and returns a fold; average() reads what
/// was folded.
template <class A>
concept AveragerLike = requires(A& averager, const A& read, const Layout& layout) {
  { averager.begin_fold(layout) } -> FoldLike;
  { read.has_average() } -> std::convertible_to<bool>;
  read.average();
};

}  // namespace polyak
