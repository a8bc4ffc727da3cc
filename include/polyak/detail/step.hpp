#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/parameters.hpp"

namespace polyak::detail {

/// "who: what[ of block i], got rows x cols", against what was expected.
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_block(std::string_view who, std::string_view what,
                                                                   std::size_t block, std::size_t blocks,
                                                                   BlockShape expected, BlockShape got) {
  const auto text = [](const BlockShape& s) { return std::to_string(s.rows) + "x" + std::to_string(s.cols); };
  std::string message = std::string(who).append(": ").append(what);
  if (blocks > 1) message += " of block " + std::to_string(block);
  throw std::invalid_argument(message + ", " + text(expected) + ", got " + text(got));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_overlap(std::string_view who, std::size_t a, std::size_t b,
                                                                 bool gradient) {
  throw std::invalid_argument(std::string(who) + (gradient ? ": the gradient of block " : ": block ") +
                              std::to_string(a) + " must not overlap block " + std::to_string(b) +
                              " of the parameters");
}

[[nodiscard]] constexpr bool is_matrix(BlockShape s) noexcept { return s.rows > 1 && s.cols > 1; }

/// A flat gradient fits whatever has its size, a matrix only a matrix of its shape: for a vector its coordinates would
/// have to be put in an order that nothing but the type of an expression decides.
[[nodiscard]] constexpr bool fits(BlockShape params, BlockShape grad) noexcept {
  return params.size() == grad.size() && (!is_matrix(grad) || (is_matrix(params) && params.rows == grad.rows));
}

template <class T, class U>
[[nodiscard]] bool overlap(std::span<T> a, std::span<U> b) noexcept {
  const std::less<const void*> before;
  return !a.empty() && !b.empty() && before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size());
}

/// A gradient may be the very memory of its parameters (that of ½‖θ‖²), but not lie across them.
template <FloatingPoint Scalar>
void check_gradient(std::span<Scalar> params, std::span<const Scalar> grad, std::size_t block, std::string_view who) {
  if (overlap(params, grad) && params.data() != grad.data()) throw_overlap(who, block, block, true);
}

template <class T>
inline constexpr bool is_matrix_type = false;
template <EigenDense T>
inline constexpr bool is_matrix_type<T> = !T::IsVectorAtCompileTime;
template <class T>
inline constexpr bool is_row_major = false;
template <EigenDense T>
inline constexpr bool is_row_major<T> = T::IsRowMajor;

/// The gradient of one block in the storage order of the parameters: a view where its memory is so already, else
/// evaluated once.
template <FloatingPoint Scalar>
class GradientOfBlock {
 public:
  template <class P, class G>
  GradientOfBlock(const P& params, const G& grad, std::string_view who) {
    const BlockShape expected = block_of(params, who).shape;
    if constexpr (EigenDense<G>) {
      const BlockShape got{static_cast<std::size_t>(grad.rows()), static_cast<std::size_t>(grad.cols()), G::IsRowMajor};
      if (!fits(expected, got))
        throw_bad_block(who, "the gradient must have the shape of the parameters", 0, 1, expected, got);
      constexpr bool both_matrices = is_matrix_type<P> && is_matrix_type<G>;
      constexpr bool row_major = both_matrices ? is_row_major<P> : is_row_major<G>;
      view<row_major == is_row_major<G>, row_major>(grad);
    } else {
      const auto block = block_of(grad, who);
      if (!fits(expected, block.shape)) {
        throw_bad_block(who, "the gradient must have the shape of the parameters", 0, 1, expected, block.shape);
      }
      data_ = block.data;
    }
  }
  GradientOfBlock(const GradientOfBlock&) = delete;
  GradientOfBlock& operator=(const GradientOfBlock&) = delete;

  [[nodiscard]] const Scalar* data() const noexcept { return data_; }

 private:
  template <bool SameOrder, bool RowMajor, class G>
  void view(const G& grad) {
    if constexpr (SameOrder && EigenMemory<G>) {
      if (is_contiguous(grad)) {
        data_ = grad.data();
        return;
      }
    }
    // Eigen refuses row-major columns and column-major rows, so a vector keeps its own order.
    constexpr bool row_major = G::IsVectorAtCompileTime ? bool(G::IsRowMajor) : RowMajor;
    using Evaluated =
        Eigen::Matrix<Scalar, G::RowsAtCompileTime == 1 ? 1 : Eigen::Dynamic,
                      G::ColsAtCompileTime == 1 ? 1 : Eigen::Dynamic, row_major ? Eigen::RowMajor : Eigen::ColMajor>;
    evaluated_.resize(grad.size());
    Eigen::Map<Evaluated>(evaluated_.data(), grad.rows(), grad.cols()) = grad.derived();
    data_ = evaluated_.data();
  }

  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> evaluated_;
  const Scalar* data_ = nullptr;
};

/// The blocks of a set and of its gradient, side by side.
template <class P, class G>
struct BlockPairs {
  P& params;
  const G& grad;

  static auto at(const void* self, std::size_t i) {
    const auto& pairs = *static_cast<const BlockPairs*>(self);
    using Scalar = scalar_of<P&>;
    return Slice<Scalar>{i, 0, block_at(pairs.params, i, "polyak").flat(), block_at(pairs.grad, i, "polyak").data};
  }
};

template <Blocks P, Blocks G>
void check_pairs(P& params, const G& grad, std::string_view who) {
  const std::size_t n = std::ranges::size(params);
  if (std::ranges::size(grad) != n) {
    throw_bad_size(who, "the gradient must have as many blocks as the parameters,", n, std::ranges::size(grad));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const auto p = block_at(params, i, who);
    const auto g = block_at(grad, i, who);
    if (!fits(p.shape, g.shape))
      throw_bad_block(who, "the gradient must have the shape of the parameters", i, n, p.shape, g.shape);
    if (is_matrix(p.shape) && is_matrix(g.shape) && p.shape.row_major != g.shape.row_major) {
      throw_bad_argument(
          who, "the gradient of block " + std::to_string(i) + " must be stored in the order of the parameters");
    }
    check_gradient(p.flat(), std::span<const scalar_of<P&>>(g.flat()), i, who);
  }
}

/// Explains at compile time what is wrong with the types of a step.
template <class Scalar, class P, class G>
constexpr bool explain_step() {
  static_assert(
      Parameters<P>,
      "polyak: Parameters are scalars in memory that can be written to: a contiguous Eigen object, Map or block, "
      "a std::vector, std::array or std::span of float, double, long double, half or bfloat16, or a set of them; "
      "neither const, nor strided by their type, nor a temporary about to vanish");
  if constexpr (Parameters<P>) {
    constexpr bool same_scalar = std::is_same_v<Scalar, AnyScalar> || std::is_same_v<Scalar, scalar_of<P>>;
    static_assert(same_scalar,
                  "polyak: ParametersOf an optimizer have its scalar: Sgd<float> for float weights, and "
                  "Accumulate<F, float> or Lookahead<F, float> around an F that does not say it");
    static_assert(
        GradientOf<G, P>,
        "polyak: GradientOf parameters has their scalar: for one block anything readable or an Eigen expression, "
        "for a set a set");
    return same_scalar && GradientOf<G, P>;
  }
  return false;
}

/// Checks parameters and gradient against each other and calls f with the view of the step.
template <class P, class G, class F>
auto with_view(P& params, const G& grad, std::string_view who, F f) {
  using Scalar = scalar_of<P&>;
  if constexpr (Scalars<P&>) {
    const auto weights = flat(params, who);
    const GradientOfBlock<Scalar> gradient(params, grad, who);
    check_gradient(weights, std::span<const Scalar>(gradient.data(), weights.size()), 0, who);
    return f(StepView<Scalar>(layout_of(params, who), {0, 0, weights, gradient.data()}));
  } else {
    check_pairs(params, grad, who);
    const BlockPairs<P, G> pairs{params, grad};
    return f(StepView<Scalar>(layout_of(params, who), pairs, &BlockPairs<P, G>::at));
  }
}

/// Stands for the view of a step that nobody looks at again.
struct NoView {
  template <class View>
  explicit NoView(const View&) noexcept {}
};

/// Throws what this part has held back while its step was under way.
template <class Part>
void throw_pending(Part& part) {
  if constexpr (requires { part.throw_pending(); }) part.throw_pending();
}
template <class Part>
void drop_pending(Part& part) noexcept {
  if constexpr (requires { part.drop_pending(); }) part.drop_pending();
}

/// A whole step of a slice-wise optimizer: all that can throw, then one pass that cannot, then the tick. True if a step
/// was taken.
template <class Optimizer, class P, class G>
bool step_in_slices(Optimizer& optimizer, P& params, const G& grad, std::string_view who) {
  return with_view(params, grad, who, [&](const auto& view) {
    auto update = optimizer.begin_step(view);
    for_each_part<Concurrent<decltype(update)>>(view, [&](const auto& slice) { update(slice); });
    update.commit();
    throw_pending(optimizer);
    return update.taken();
  });
}

/// A step of any optimizer as a whole. True unless it says that it took none.
template <class Optimizer, class P, class G>
bool step_whole(Optimizer& optimizer, P& params, const G& grad) {
  static_assert(OptimizerOf<Optimizer, P, G>,
                "polyak: an OptimizerOf parameters has step(params, grad), or is callable as (params, grad); behind a "
                "wrapper it is given the gradient as an Eigen::Map, a std::span, or a set of them");
  const auto run = [&]() -> decltype(auto) {
    if constexpr (requires { optimizer.step_quietly(params, grad); }) {
      return optimizer.step_quietly(params, grad);
    } else if constexpr (requires { optimizer.step(params, grad); }) {
      return optimizer.step(params, grad);
    } else {
      return optimizer(params, grad);
    }
  };
  if constexpr (std::is_same_v<decltype(run()), bool>) {
    return run();
  } else {
    static_cast<void>(run());
    return true;
  }
}

/// The same for who has memory of the size of the parameters: throws std::logic_error if that has changed.
template <class Optimizer, class P, class G>
bool step_whole_keeping_size(Optimizer& optimizer, P& params, const G& grad, std::string_view who) {
  const std::size_t size = layout_of(params, who).size();
  const bool taken = step_whole(optimizer, params, grad);
  if (layout_of(params, who).size() != size) {
    throw_bad_order(who, "the optimizer changed the number of parameters");
  }
  return taken;
}

}  // namespace polyak::detail
