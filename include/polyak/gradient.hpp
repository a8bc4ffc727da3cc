#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/parameters.hpp"

/// The one look that a step takes at its parameters and their gradient: what lies where, and that they fit. Longer than
/// most headers, since all that can be wrong with them is found here.

namespace polyak {

namespace detail {

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

/// Member by member: a copy of a struct right after it was written waits for the store buffer.
template <class Element>
void put(BlockRef& ref, const Block<Element>& block) noexcept {
  ref.params = const_cast<std::remove_const_t<Element>*>(block.data);
  ref.shape.rows = block.shape.rows;
  ref.shape.cols = block.shape.cols;
  ref.shape.row_major = block.shape.row_major;
}

/// The one look at a block of parameters that is all there is, and at its gradient, in the storage order of the
/// parameters: a view where its memory is so already, else evaluated once.
template <FloatingPoint Scalar>
class BlockWithGradient {
 public:
  template <class P, class G>
  BlockWithGradient(P& params, const G& grad, std::string_view who) {
    const auto block = block_of(params, who);
    put(block_, block);
    if constexpr (narrow_index) require_indexable(block.shape.size(), who);
    const auto check_shape = [&](const BlockShape& got) {
      if (fits(block_.shape, got)) return;
      throw_bad_block(who, "the gradient must have the shape of the parameters", 0, 1, block_.shape, got);
    };
    if constexpr (EigenDense<G>) {
      check_shape({static_cast<std::size_t>(grad.rows()), static_cast<std::size_t>(grad.cols()), G::IsRowMajor});
      constexpr bool both_matrices = is_matrix_type<P> && is_matrix_type<G>;
      constexpr bool row_major = both_matrices ? is_row_major<P> : is_row_major<G>;
      view<row_major == is_row_major<G>, row_major>(grad);
    } else {
      const auto given = block_of(grad, who);
      check_shape(given.shape);
      block_.grad = given.data;
    }
    check_gradient(block.flat(), std::span(static_cast<const Scalar*>(block_.grad), block_.shape.size()), 0, who);
  }
  BlockWithGradient(const BlockWithGradient&) = delete;
  BlockWithGradient& operator=(const BlockWithGradient&) = delete;

  [[nodiscard]] BlockRef& block() noexcept { return block_; }

 private:
  template <bool SameOrder, bool RowMajor, class G>
  void view(const G& grad) {
    if constexpr (SameOrder && EigenMemory<G>) {
      if (is_contiguous(grad)) {
        block_.grad = grad.data();
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
    block_.grad = evaluated_.data();
  }

  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> evaluated_;
  BlockRef block_;
};

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

}  // namespace detail

/// The blocks of the parameter set that a step is about. Kept by what users call, so that only the first step
/// allocates, and that blocks are compared with each other only when one has moved.
class BlockList {
 public:
  /// Looks at a set of parameters and at its gradient. Throws std::invalid_argument where they do not fit.
  template <detail::Blocks P, detail::Blocks G>
  void look(P& params, const G& grad, std::string_view who) {
    const std::size_t n = std::ranges::size(params);
    if (std::ranges::size(grad) != n) {
      detail::throw_bad_size(who, "the gradient must have as many blocks as the parameters,", n,
                             std::ranges::size(grad));
    }
    resize(n);
    std::size_t offset = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto p = detail::block_at(params, i, who);
      const auto g = detail::block_at(grad, i, who);
      check_shapes(i, n, p.shape, g.shape, who);
      detail::check_gradient(p.flat(), std::span<const scalar_of<P&>>(g.flat()), i, who);
      put(i, {p.data, g.data, p.shape, offset});
      offset += p.shape.size();
    }
    if constexpr (detail::narrow_index) detail::require_indexable(offset, who);
  }
  /// The same of parameters that are only read.
  template <detail::Blocks P>
  void look(const P& params, std::string_view who) {
    resize(std::ranges::size(params));
    std::size_t offset = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const auto p = detail::block_at(params, i, who);
      put(i, {const_cast<scalar_of<const P&>*>(p.data), p.data, p.shape, offset});
      offset += p.shape.size();
    }
    if constexpr (detail::narrow_index) detail::require_indexable(offset, who);
  }

  [[nodiscard]] BlockRef* data() noexcept { return blocks_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size(); }

  /// Throws std::invalid_argument if a block of parameters overlaps another, or the gradient of another.
  void require_apart(std::size_t size_of_scalar, std::string_view who) {
    if (!apart_) check_apart(size_of_scalar, who);
  }

 private:
  void resize(std::size_t n) {
    if (blocks_.size() == n) return;
    blocks_.assign(n, {});
    apart_ = false;
  }
  void put(std::size_t i, const BlockRef& block) noexcept {
    const BlockRef& known = blocks_[i];
    if (known.params != block.params || known.grad != block.grad || known.shape.size() != block.shape.size()) {
      apart_ = false;
    }
    blocks_[i] = block;
  }
  static void check_shapes(std::size_t i, std::size_t n, const BlockShape& params, const BlockShape& grad,
                           std::string_view who) {
    if (!detail::fits(params, grad)) {
      detail::throw_bad_block(who, "the gradient must have the shape of the parameters", i, n, params, grad);
    }
    if (detail::is_matrix(params) && detail::is_matrix(grad) && params.row_major != grad.row_major) {
      detail::throw_bad_argument(
          who, "the gradient of block " + std::to_string(i) + " must be stored in the order of the parameters");
    }
  }

  [[gnu::noinline]] void check_apart(std::size_t size_of_scalar, std::string_view who) {
    stretches_.clear();
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::size_t bytes = blocks_[i].shape.size() * size_of_scalar;
      if (bytes == 0) continue;
      for (const bool gradient : {false, true}) {
        const auto* const begin = static_cast<const std::byte*>(gradient ? blocks_[i].grad : blocks_[i].params);
        stretches_.push_back({begin, begin + bytes, i, gradient});
      }
    }
    check_stretches(who);
    apart_ = true;
  }

  struct Stretch {
    const void *begin, *end;
    std::size_t block;
    bool gradient;
  };

  /// In order of their begins, a stretch overlaps one before it if the one that reaches furthest.
  void check_stretches(std::string_view who) {
    const std::less<const void*> before;
    std::sort(stretches_.begin(), stretches_.end(),
              [&](const Stretch& a, const Stretch& b) { return before(a.begin, b.begin); });
    const Stretch* params = nullptr;
    const Stretch* gradient = nullptr;         // of the gradients so far, the one that reaches furthest,
    const Stretch* second_gradient = nullptr;  // and the one that does after it
    const auto reaches = [&](const Stretch* a, const Stretch& b) {
      return a && a->block != b.block && before(b.begin, a->end);
    };
    const auto further = [&](const Stretch* a, const Stretch* b) { return !a || before(a->end, b->end) ? b : a; };
    for (const Stretch& each : stretches_) {
      if (reaches(params, each)) {
        if (each.gradient) detail::throw_overlap(who, each.block, params->block, true);
        detail::throw_overlap(who, std::max(each.block, params->block), std::min(each.block, params->block), false);
      }
      if (each.gradient) {
        if (further(gradient, &each) == &each) {
          second_gradient = gradient;
          gradient = &each;
        } else {
          second_gradient = further(second_gradient, &each);
        }
      } else {
        if (reaches(gradient, each)) detail::throw_overlap(who, gradient->block, each.block, true);
        if (reaches(second_gradient, each)) detail::throw_overlap(who, second_gradient->block, each.block, true);
        params = further(params, &each);
      }
    }
  }

  std::vector<BlockRef> blocks_;
  std::vector<Stretch> stretches_;
  bool apart_ = false;  // as they lie now
};

}  // namespace polyak
