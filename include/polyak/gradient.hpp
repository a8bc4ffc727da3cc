#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/parameters.hpp"

/// The one look that a step takes at its parameters and their gradient: what lies where, and that they fit.

namespace polyak {

/// What one block of a parameter set does differently from the rest: the parameter groups of torch.
struct BlockOptions {
  double learning_rate_factor = 1;  ///< in [0, ∞)
  double weight_decay_factor = 1;   ///< in [0, ∞): 0 for biases
  /// Weights and state of the block do not move, and nothing looks at its gradient, which in a set may be empty.
  /// Averages fold the weights as they are.
  bool frozen = false;
};

namespace detail {

/// Which blocks do not move. Pointer and number are copied, or the loop over blocks would load them for each.
class FrozenBlocks {
 public:
  FrozenBlocks() = default;
  explicit FrozenBlocks(const std::vector<BlockOptions>* options) noexcept
      : first_(options->data()), count_(options->size()) {}
  [[nodiscard]] bool contains(std::size_t block) const noexcept { return block < count_ && first_[block].frozen; }

 private:
  const BlockOptions* first_ = nullptr;
  std::size_t count_ = 0;
};

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_overlap(std::string_view who, std::size_t a, std::size_t b,
                                                                 bool gradient) {
  throw_bad_argument(who, (gradient ? "the gradient of block " : "block ") + std::to_string(a) +
                              " must not overlap block " + std::to_string(b) + " of the parameters");
}

/// A flat gradient fits whatever has its size, a matrix only a matrix of its shape: for a vector its coordinates would
/// have to be put in an order that nothing but the type of an expression decides.
[[nodiscard]] constexpr bool fits(BlockShape params, BlockShape grad) noexcept {
  return params.size() == grad.size() && (!grad.is_matrix() || (params.is_matrix() && params.rows == grad.rows));
}

inline void require_fit(const BlockShape& params, const BlockShape& grad, std::size_t block, std::size_t blocks,
                        std::string_view who) {
  if (fits(params, grad)) return;
  throw_bad_block(who, "the gradient must have the shape of the parameters", block, blocks, params, grad);
}

/// A gradient may be the very memory of its n parameters (that of ½‖θ‖²), but not lie across them.
template <FloatingPoint Scalar>
void check_gradient(const Scalar* params, const Scalar* grad, std::size_t n, std::size_t block, std::string_view who) {
  const std::less<const Scalar*> before;
  if (params != grad && before(params, grad + n) && before(grad, params + n)) throw_overlap(who, block, block, true);
}

/// True of the types of two matrices, if one is stored by rows and the other by columns.
template <class P, class G>
inline constexpr bool in_other_order = false;
template <EigenDense P, EigenDense G>
inline constexpr bool in_other_order<P, G> =
    !P::IsVectorAtCompileTime && !G::IsVectorAtCompileTime && bool(P::IsRowMajor) != bool(G::IsRowMajor);

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
  BlockWithGradient(P&& params, const G& grad, std::string_view who) {
    const auto block = block_of(params, who);
    put(block_, block);
    require_indexable(block.shape.size(), who);
    if constexpr (EigenDense<G>) {
      const auto rows = static_cast<std::size_t>(grad.rows());
      require_fit(block.shape, {rows, static_cast<std::size_t>(grad.cols()), G::IsRowMajor}, 0, 1, who);
      view<in_other_order<std::remove_cvref_t<P>, G>>(grad);
    } else {
      const auto given = block_of(grad, who);
      require_fit(block.shape, given.shape, 0, 1, who);
      block_.grad = given.data;
    }
    check_gradient(block.data, static_cast<const Scalar*>(block_.grad), block.shape.size(), 0, who);
  }
  BlockWithGradient(const BlockWithGradient&) = delete;
  BlockWithGradient& operator=(const BlockWithGradient&) = delete;

  [[nodiscard]] BlockRef& block() noexcept { return block_; }

 private:
  template <bool Reorder, class G>
  void view(const G& grad) {
    if constexpr (!Reorder && EigenMemory<G>) {
      if (is_contiguous(grad)) {
        block_.grad = grad.data();
        return;
      }
    }
    using Evaluated = Eigen::Matrix<Scalar, G::RowsAtCompileTime == 1 ? 1 : Eigen::Dynamic,
                                    G::ColsAtCompileTime == 1 ? 1 : Eigen::Dynamic,
                                    bool(G::IsRowMajor) != Reorder ? Eigen::RowMajor : Eigen::ColMajor>;
    evaluated_.resize(grad.size());
    Eigen::Map<Evaluated>(evaluated_.data(), grad.rows(), grad.cols()) = grad.derived();
    block_.grad = evaluated_.data();
  }

  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> evaluated_;
  BlockRef block_;
};

}  // namespace detail

/// The blocks of the parameter set that a step is about. Kept by what users call, so that only the first step
/// allocates, and that blocks are compared with each other only when one has moved.
class BlockList {
 public:
  /// Looks at a set of parameters and at its gradient, but for that of frozen blocks; what is only read is its own.
  /// Throws std::invalid_argument where they do not fit.
  template <detail::Blocks P, detail::Blocks G>
  void look(P& params, const G& grad, std::string_view who, detail::FrozenBlocks frozen = {}) {
    auto&& set = detail::known(params);
    auto&& gradients = detail::known(grad);
    const std::size_t n = detail::count_blocks(set);
    if (const std::size_t got = detail::count_blocks(gradients); got != n) {
      detail::throw_bad_size(who, "the gradient must have as many blocks as the parameters,", n, got);
    }
    blocks_.resize(n);
    std::size_t offset = 0;
    auto block = std::ranges::begin(set);
    auto gradient = std::ranges::begin(gradients);
    for (std::size_t i = 0; i < n; ++i, ++block, ++gradient) {
      const auto p = detail::block_in_set(*block, who, i);
      auto g = detail::block_in_set(*gradient, who, i);
      if (frozen.contains(i)) {
        g.data = nullptr;
      } else {
        detail::require_fit(p.shape, g.shape, i, n, who);
        if (g.shape.is_matrix() && p.shape.row_major != g.shape.row_major) {
          detail::throw_bad_argument(
              who, "the gradient of block " + std::to_string(i) + " must be stored in the order of the parameters");
        }
        detail::check_gradient(p.data, g.data, p.shape.size(), i, who);
      }
      BlockRef& known = blocks_[i];
      apart_ = apart_ && known.params == p.data && known.grad == g.data && known.shape.size() == p.shape.size();
      known = {const_cast<scalar_of<P&>*>(p.data), g.data, p.shape, offset};
      offset += p.shape.size();
    }
    detail::require_indexable(offset, who);
  }

  /// The blocks, as read last.
  ///@{
  [[nodiscard]] BlockRef* data() noexcept { return blocks_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size(); }
  ///@}

  /// Throws std::invalid_argument if a block of parameters overlaps another, or the gradient of another.
  void require_apart(std::size_t size_of_scalar, std::string_view who) {
    if (!apart_) check_apart(size_of_scalar, who);
  }

 private:
  struct Stretch {
    const std::byte *begin, *end;
    std::size_t block;
    bool gradient;
  };

  /// Finds overlaps in one pass over all stretches of memory in order of their begins. A gradient is either the very
  /// memory of its own block, and then need not be looked at, or apart from it.
  [[gnu::noinline]] void check_apart(std::size_t size_of_scalar, std::string_view who) {
    stretches_.clear();
    stretches_.reserve(2 * blocks_.size());
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const BlockRef& block = blocks_[i];
      const std::size_t bytes = block.shape.size() * size_of_scalar;
      const auto add = [&](const void* data, bool gradient) {
        const auto* const begin = static_cast<const std::byte*>(data);
        stretches_.push_back({begin, begin + bytes, i, gradient});
      };
      if (bytes == 0) continue;
      add(block.params, false);
      if (block.grad && block.grad != block.params) add(block.grad, true);
    }
    const std::less<const void*> before;
    std::sort(stretches_.begin(), stretches_.end(),
              [&](const Stretch& a, const Stretch& b) { return before(a.begin, b.begin); });
    const Stretch* params = nullptr;  // of those so far, the one that reaches furthest
    const Stretch* gradient = nullptr;
    const auto reaches = [&](const Stretch* a, const Stretch& b) { return a && before(b.begin, a->end); };
    for (const Stretch& each : stretches_) {
      if (reaches(params, each)) {
        if (each.gradient) detail::throw_overlap(who, each.block, params->block, true);
        detail::throw_overlap(who, (std::max)(each.block, params->block), (std::min)(each.block, params->block), false);
      }
      if (!each.gradient && reaches(gradient, each)) detail::throw_overlap(who, gradient->block, each.block, true);
      const Stretch*& furthest = each.gradient ? gradient : params;
      if (!furthest || before(furthest->end, each.end)) furthest = &each;
    }
    apart_ = true;
  }

  std::vector<BlockRef> blocks_;
  std::vector<Stretch> stretches_;
  bool apart_ = false;  // as they lie now
};

}  // namespace polyak
