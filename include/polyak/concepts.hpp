#pragma once

#include "polyak/cpp20.hpp"

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <type_traits>

/// What each part must offer, one sentence and one concept each. Nothing needs to be derived from anything;
/// OptimizerLayer, in step.hpp, gives step(params, grad) to a layer that is.

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
  std::size_t rows = 0;    ///< n, of a vector
  std::size_t cols = 0;    ///< 1, of a vector
  bool row_major = false;  ///< the order in memory

  /// Coordinates.
  [[nodiscard]] constexpr std::size_t size() const noexcept { return rows * cols; }
  /// Whether its order in memory matters.
  [[nodiscard]] constexpr bool is_matrix() const noexcept { return rows > 1 && cols > 1; }
  bool operator==(const BlockShape&) const = default;  ///< in the same order too
};

/// One block of parameters in one step: where its weights and their gradient lie, in what shape, and how many
/// coordinates of the whole vector come before it. A frozen block has no gradient: null.
struct BlockRef {
  void* params = nullptr;      ///< of the scalar that the step is made for
  const void* grad = nullptr;  ///< as many of the same scalar
  BlockShape shape;            ///< of both
  std::size_t offset = 0;      ///< of params[0] in the whole vector
};

/// The blocks of a parameter vector, in order: one for an Eigen object, one for each layer's weights or biases in a
/// set.
class Layout {
 public:
  /// Refers to `count` blocks, which must outlive it.
  Layout(const BlockRef* first, std::size_t count) noexcept
      : first_(first), count_(count), size_(count == 0 ? 0 : first[count - 1].offset + first[count - 1].shape.size()) {}

  /// Coordinates in all.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The number of blocks, and block i of them.
  ///@{
  [[nodiscard]] std::size_t blocks() const noexcept { return count_; }
  [[nodiscard]] const BlockRef& block(std::size_t i) const noexcept { return first_[i]; }
  [[nodiscard]] const BlockShape& shape(std::size_t i) const noexcept { return first_[i].shape; }
  ///@}

 private:
  const BlockRef* first_;
  std::size_t count_;
  std::size_t size_;
};

/// A stretch of one block of parameters with its gradient: what an optimizer works on at a time. Grad is a pointer to
/// the gradient, null where the block is frozen, or what stands for one where a wrapper changes the gradient on its
/// way: grad[i] and grad + n.
template <FloatingPoint Scalar, class Grad = const Scalar*>
struct Slice {
  std::size_t block;         ///< index of the block in the set
  std::size_t offset;        ///< of params[0] in the whole vector
  std::span<Scalar> params;  ///< its weights
  Grad grad;                 ///< their gradient

  /// n coordinates of it, from `from` on.
  [[nodiscard]] Slice sub(std::size_t from, std::size_t n) const noexcept {
    const auto grad_from = [&]() -> Grad {
      if constexpr (std::is_pointer_v<Grad>) {
        if (!grad) return grad;
      }
      return grad + static_cast<std::ptrdiff_t>(from);
    };
    return {block, offset + from, params.subspan(from, n), grad_from()};
  }
};

/// What became of a step.
struct Outcome {
  bool taken = false;                   ///< the weights moved, and averages folded
  std::exception_ptr raised = nullptr;  ///< what step throws once all is done; of several, what the innermost had
  std::size_t folds = 0;                ///< how many of the folds handed in the weights met
};

/// Any object with step(params, grad), or callable as (params, grad), is an optimizer of those parameters, and takes
/// its steps whole. Where it returns a bool, false says that no step was taken.
template <class O, class Params, class Grad>
concept OptimizerOf = requires(O& optimizer, Params& params, const Grad& grad) { optimizer.step(params, grad); } ||
                      std::invocable<O&, Params&, const Grad&>;

/// A fold by coordinate is done when at(offset)(i, weight) is called for each i, with the weight after its move; the
/// calls are made in the loop that moves the weights, where OpenMP is on by several threads. What is called returns
/// nothing, but where its type says `using moves_weights = void` the place to which the weight goes from there: so
/// Lookahead moves weights after averages inside have folded them. A kernel as lanes.hpp describes it folds several
/// coordinates at once.
template <class F>
concept FoldsByCoordinate = requires(const F& fold, std::size_t offset) {
  { fold.at(offset) } noexcept;
};

/// A fold by slice is shown stretches of weights after they moved, in any order, where OpenMP is on by several threads.
template <class F>
concept FoldsBySlice = requires(const F& fold, std::size_t offset, std::span<const double> weights) {
  { fold.after(offset, weights) } noexcept;
};

/// What a fold that is both by coordinate and by slice asks for in this step.
enum class FoldBy { nothing, coordinate, slice };

/// A fold is what an averager does in one step: by coordinate or by slice, or both, and then by() says which. After the
/// pass over memory it is committed, once, if a step was taken. It cannot throw: all that can fail has been checked.
template <class F>
concept FoldLike = requires(const F& fold, Outcome& outcome) {
  { fold.commit(outcome) } noexcept;
} && (FoldsByCoordinate<F> || FoldsBySlice<F>)&&(!(FoldsByCoordinate<F> && FoldsBySlice<F>) || requires(const F& fold) {
                     { fold.by() } noexcept -> std::same_as<FoldBy>;
                   });

/// An averager's begin_fold(step) checks all that can fail, moves nothing, and returns a fold; average() reads what was
/// folded. The step is a const Layout&, or where begin_fold is a template the step itself, whose for_each_unfiltered
/// shows the weights of all blocks as they are before they move.
template <class A>
concept AveragerLike = requires(A& averager, const A& read, const Layout& step) {
  { averager.begin_fold(step) } -> FoldLike;
  { read.has_average() } -> std::convertible_to<bool>;
  read.average();
};

}  // namespace polyak
