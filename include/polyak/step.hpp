#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/gradient.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"

/// How a step runs: from its call through layers, each of which has advance(step, folds...), to one of two leaves,
/// where weights move and averages fold. All of it is in this file, long as that makes it, so that a step can be
/// followed without leaving it.

namespace polyak {

/// What wrappers do to a gradient on its way to the optimizer: g ↦ clamp(scale · g, −limit, limit). Closed under
/// composition.
struct GradFilter {
  double scale = 1;                                        ///< before it is clamped
  double limit = std::numeric_limits<double>::infinity();  ///< ≥ 0

  /// Whether it is more than g ↦ g.
  [[nodiscard]] bool changes() const noexcept { return scale != 1 || limit != std::numeric_limits<double>::infinity(); }
};

namespace detail {

/// Stands for a pointer to the gradient where a filter lies in between.
template <FloatingPoint Scalar>
struct Filtered {
  using T = lanes::compute_t<Scalar>;
  const Scalar* grad;
  T scale, limit;

  template <FloatingPoint To, std::size_t N>
  [[gnu::always_inline]] auto load(lanes::At<N> i) const noexcept {
    using V = lanes::Packet<T, N>;
    const V g = scale * lanes::load<T>(grad, i);
    const V most = lanes::all<V>(limit), least = lanes::all<V>(-limit);
    return lanes::convert<To>(g > most ? most : g < least ? least : g);  // NaN passes
  }
  T operator[](std::size_t i) const noexcept { return load<T>(lanes::At<1>{i}); }
  Filtered operator+(std::ptrdiff_t n) const noexcept { return {grad ? grad + n : grad, scale, limit}; }
  explicit operator bool() const noexcept { return grad != nullptr; }
};

template <FloatingPoint Scalar>
[[nodiscard]] Slice<Scalar, Filtered<Scalar>> filtered(const Slice<Scalar>& slice, const GradFilter& filter) noexcept {
  using T = lanes::compute_t<Scalar>;
  return {slice.block,
          slice.offset,
          slice.params,
          {slice.grad, static_cast<T>(filter.scale), static_cast<T>(filter.limit)}};
}

}  // namespace detail

/// Where the weights of a step are before it, if not in the parameters: for a layer that keeps them apart.
template <FloatingPoint Scalar>
struct Origin {
  const Scalar* weights;                         ///< flat; as many as there are parameters
  double decay = 0;                              ///< how much of what the parameters hold is taken from them first
  std::span<const BlockOptions> of_blocks = {};  ///< whose factors multiply the decay, unless it is empty

  /// Puts the weights of a slice in the place of its parameters.
  void put(const Slice<Scalar>& slice) const noexcept {
    using T = lanes::compute_t<Scalar>;
    double factor = decay;
    if (!of_blocks.empty())
      factor *= of_blocks[slice.block].learning_rate_factor * of_blocks[slice.block].weight_decay_factor;
    if (factor == 0) return lanes::copy(slice.params.data(), weights + slice.offset, slice.params.size());
    lanes::for_each<lanes::width<Scalar>>(slice.params.size(), [to = slice.params.data(), from = weights + slice.offset,
                                                                decays = static_cast<T>(-factor)](auto i) noexcept {
      lanes::store(to, i, lanes::mul_add(decays, lanes::load<T>(to, i), lanes::load<T>(from, i)));
    });
  }
};

/// The blocks of one step with their weights and their gradient. With Filters, wrappers may have put another gradient
/// in its place, which is still to go through filter().
template <FloatingPoint Scalar, bool Filters = false>
class StepView : public Layout {
 public:
  using scalar_type = Scalar;
  static constexpr bool filters = Filters;  ///< or has an origin

  /// Of one block, or of a list of them, which must outlive it.
  ///@{
  explicit StepView(const BlockRef& only) noexcept : Layout(&only, 1), list_(nullptr) {}
  explicit StepView(BlockList& list) noexcept : Layout(list.data(), list.size()), list_(&list) {}
  ///@}
  /// The step along another gradient, flat, or its own where that is null.
  template <bool FiltersBefore>
  StepView(const StepView<Scalar, FiltersBefore>& step, const GradFilter& filter, const Scalar* gradient,
           const Origin<Scalar>* origin) noexcept
      : Layout(step), list_(step.list_), filter_(filter), gradient_(gradient), origin_(origin) {}

  /// What the gradient still goes through, where it is another than the caller's, and where the weights are.
  ///@{
  [[nodiscard]] const GradFilter& filter() const noexcept { return filter_; }
  [[nodiscard]] const Scalar* gradient() const noexcept { return gradient_; }
  [[nodiscard]] const Origin<Scalar>* origin() const noexcept { return origin_; }
  ///@}

  /// Calls f with every block that has a gradient as a Slice, in order, its gradient as the wrappers further out have
  /// left it.
  template <class F>
  void for_each(const F& f) const {
    for_each_unfiltered([&](const Slice<Scalar>& slice) {
      if (!slice.grad) return;
      if constexpr (Filters) {
        f(detail::filtered(slice, filter_));
      } else {
        f(slice);
      }
    });
  }
  /// Calls f with every block. The gradient of one that is frozen is null.
  template <class F>
  void for_each_unfiltered(const F& f) const {
    for (std::size_t i = 0; i < blocks(); ++i) {
      const BlockRef& block = this->block(i);
      f(Slice<Scalar>{i,
                      block.offset,
                      {static_cast<Scalar*>(block.params), block.shape.size()},
                      gradient_ && block.grad ? gradient_ + block.offset : static_cast<const Scalar*>(block.grad)});
    }
  }

  /// Throws std::invalid_argument if a block of parameters overlaps another, or the gradient of another.
  void require_apart(std::string_view who) const {
    if (list_) list_->require_apart(sizeof(Scalar), who);
  }

 private:
  template <FloatingPoint, bool>
  friend class StepView;

  BlockList* list_;
  GradFilter filter_;
  const Scalar* gradient_ = nullptr;
  const Origin<Scalar>* origin_ = nullptr;
};

namespace detail {

/// A fold of the coordinates i, whose weights are at hand; what it returns is where they go from there.
template <class Weight, class Fold, std::size_t N>
[[gnu::always_inline]] inline void fold_lanes(const Fold& fold, Weight* weights, lanes::At<N> i,
                                              lanes::Packet<Weight, N>& weight) noexcept {
  static_assert(noexcept(fold(i, weight)), "polyak: what folds a coordinate, as fold.at(offset) does, is noexcept");
  if constexpr (std::is_void_v<decltype(fold(i, weight))>) {
    fold(i, weight);
  } else {
    static_assert(
        requires { typename Fold::moves_weights; },
        "polyak: what a fold returns is where the weight goes from there; where that is meant, as in a wrapper, the "
        "type that is called says using moves_weights = void");
    weight = lanes::store(weights, i, fold(i, weight));
  }
}
/// Moves the weights, and folds them from where they are now.
template <class Weight, class Move, class... Folds>
[[gnu::always_inline]] inline void move_then_fold(std::span<Weight> weights, const Move& move,
                                                  const Folds&... folds) noexcept {
  static_assert(noexcept(move(lanes::At<1>{})), "polyak: what moves a coordinate is noexcept");
  constexpr std::size_t width = (std::min)({lanes::width_of<Move>, lanes::width_of<Folds>...});
  lanes::for_each<width>(weights.size(), [move, w = weights.data(), ... fold = folds](auto i) noexcept {
    [[maybe_unused]] lanes::Packet<Weight, i.count> weight = move(i);
    (fold_lanes(fold, w, i, weight), ...);
  });
}
/// The same for a move without folds. A struct, since a lambda would be another type for each set of folds.
template <class Weight>
struct MoveAlone {
  std::span<Weight> weights;
  void operator()(const auto& move) const noexcept { move_then_fold(weights, move); }
};
/// Folds weights that stay where they are, but for folds that move them.
template <class Weight, class Fold>
[[gnu::flatten]] void fold_each(std::span<Weight> weights, const Fold& fold) noexcept {
  using Scalar = std::remove_const_t<Weight>;
  constexpr std::size_t width = (std::min)(lanes::width<Scalar>, lanes::width_of<Fold>);
  lanes::for_each<width>(weights.size(), [fold, w = const_cast<Scalar*>(weights.data())](auto i) noexcept {
    auto weight = lanes::load(w, i);
    fold_lanes(fold, w, i, weight);
  });
}

template <FloatingPoint Scalar, class Grad, class Body>
void for_each_slice(const Slice<Scalar, Grad>& whole, Body body) noexcept {
  constexpr std::size_t length = slice_bytes / sizeof(Scalar);
  for (std::size_t from = 0; from < whole.params.size(); from += length) {
    body(whole.sub(from, (std::min)(length, whole.params.size() - from)));
  }
}

/// Steps, or folds, after which what has become subnormal is set to 0: momenta, moments and averages of a coordinate
/// whose gradient, or weight, is exactly 0 decay so far, and stay there, since β times the smallest number rounds to
/// itself. A processor takes up to a hundred times as long for such numbers. In every step it would cost a third more
/// (n = 1024, float), in one of so many less than a hundredth.
inline constexpr std::uint64_t flush_period = 64;
[[nodiscard]] constexpr bool flushes(std::uint64_t steps_before) noexcept {
  return steps_before % flush_period == flush_period - 1;
}
/// By bits, since under -ffast-math NaN may pass for anything. Scalars other than float and double are left alone.
template <class T>
[[gnu::noinline]] void flush_subnormals(T* x, std::size_t n) noexcept {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    lanes::for_each<lanes::width<T>>(n, [x](auto i) noexcept {
      auto value = lanes::load(x, i);
      auto exponent = lanes::bits(value) & std::bit_cast<lanes::bits_t<T>>(std::numeric_limits<T>::infinity());
      lanes::store(x, i, exponent != decltype(exponent){} ? value : decltype(value){});
    });
  }
}

/// Calls f with every block of a step; where OpenMP is on, with parts of them from several threads at a time.
template <FloatingPoint Scalar, bool Filters, class F>
void for_each_part(const StepView<Scalar, Filters>& view, const F& f) noexcept {
  in_parts<Scalar>(
      view.size(), [&view](const auto& body) { view.for_each_unfiltered(body); }, f);
}
/// The same for parameters that were looked at before, so that nothing throws.
template <ReadableParameters P, class F>
void for_each_part(P& params, std::size_t size, const F& f) noexcept {
  using Scalar = scalar_of<P&>;
  const auto blocks = [&params](const auto& body) {
    std::size_t i = 0;
    for_each_block(params, "polyak", [&](std::size_t offset, auto block) {
      body(Slice<Scalar>{i++, offset, block, block.data()});
    });
  };
  in_parts<Scalar>(size, blocks, f);
}

/// With the gradient as wrappers have left it.
template <FloatingPoint Scalar, bool Filters, class F>
void for_each_filtered(const StepView<Scalar, Filters>& view, const F& f) noexcept {
  if constexpr (Filters) {
    if (view.filter().changes()) {
      return for_each_part(view, [&](const Slice<Scalar>& slice) { f(filtered(slice, view.filter())); });
    }
  }
  for_each_part(view, f);
}

/// What a fold asks for in this step.
template <class Fold>
[[nodiscard]] FoldBy by(const Fold& fold) noexcept {
  if constexpr (requires { fold.by(); }) {
    return fold.by();
  } else {
    return FoldsByCoordinate<Fold> ? FoldBy::coordinate : FoldBy::slice;
  }
}

/// A fold that says where weights go.
template <class Fold>
concept MovesWeights =
    FoldsByCoordinate<Fold> && requires(const Fold& fold) { typename decltype(fold.at(0))::moves_weights; };

/// Folds weights that have moved, or are frozen. No fold moves those.
template <class Fold, class Slice>
void after(const Fold& fold, const Slice& slice) noexcept {
  using Scalar = typename decltype(slice.params)::value_type;
  if constexpr (MovesWeights<Fold>) {
    if (!slice.grad) return;
  }
  const FoldBy how = by(fold);
  if constexpr (FoldsByCoordinate<Fold>) {
    if (how == FoldBy::coordinate) fold_each(slice.params, fold.at(slice.offset));
  }
  if constexpr (FoldsBySlice<Fold>) {
    if (how == FoldBy::slice) fold.after(slice.offset, std::span<const Scalar>(slice.params));
  }
}

/// Copies the weights of frozen blocks, which nothing but the user moves.
template <FloatingPoint Scalar, bool Filters, class To>
void copy_frozen(const StepView<Scalar, Filters>& view, To* to) noexcept {
  view.for_each_unfiltered([to](const auto& slice) {
    if (!slice.grad) lanes::copy(to + slice.offset, slice.params.data(), slice.params.size());
  });
}

/// Calls f with a view of parameters that are only read; `list` keeps the blocks of a set.
template <ReadableParameters P, class F>
void read(BlockList& list, const P& params, std::string_view who, const F& f) {
  using Scalar = scalar_of<const P&>;
  if constexpr (Scalars<const P&>) {
    const auto block = block_of(params, who);
    require_indexable(block.shape.size(), who);
    BlockRef only;
    put(only, block);
    only.grad = block.data;
    f(StepView<Scalar>(only));
  } else {
    list.look(params, params, who);
    f(StepView<Scalar>(list));
  }
}

/// A fold that must see the whole vector before it folds any of it: where looking(), it looks in the pass that moves
/// the weights, and accepted() folds in another, if it accepts().
template <class F>
concept LooksFirst = requires(const F& fold) {
  { fold.looking() } noexcept -> std::same_as<bool>;
  { fold.accepts() } noexcept -> std::same_as<bool>;
  { fold.accepted() } noexcept;
};
template <class Fold>
[[nodiscard]] bool looking(const Fold& fold) noexcept {
  if constexpr (LooksFirst<Fold>) return fold.looking();
  return false;
}
template <class Fold, class Slice>
void after_look(const Fold& fold, const Slice& slice) noexcept {
  if constexpr (LooksFirst<Fold>) {
    if (fold.looking() && fold.accepts()) after(fold.accepted(), slice);
  }
}

/// Folds the weights as they are.
template <class View, class... Folds>
void fold_all(const View& view, const Folds&... folds) noexcept {
  for_each_part(view, [&](const auto& part) {
    if constexpr (sizeof...(Folds) == 1) {
      (after(folds, part), ...);
    } else {
      for_each_slice(part, [&](const auto& slice) { (after(folds, slice), ...); });
    }
  });
}

/// A part of a block that has a gradient.
template <class Part, class WithKernel, class... Folds>
void move_and_fold_part(const Part& part, const WithKernel& with_kernel, const Folds&... folds) noexcept {
  using Alone = MoveAlone<typename decltype(part.params)::element_type>;
  if (((by(folds) == FoldBy::nothing) && ...)) return with_kernel(part, Alone{part.params});
  if constexpr ((FoldsByCoordinate<Folds> && ...)) {
    if (((by(folds) == FoldBy::coordinate) && ...)) {
      return with_kernel(part, [&](const auto& move) { move_then_fold(part.params, move, folds.at(part.offset)...); });
    }
  }
  for_each_slice(part, [&](const auto& slice) {
    with_kernel(slice, Alone{slice.params});
    (after(folds, slice), ...);
  });
}

}  // namespace detail

/// One leaf: a step by coordinates. with_kernel(slice, f) hands f the function of i that moves coordinate i of the
/// slice and returns its new value; every average folds in the same loop. Where a fold asks for slices, move and folds
/// pass over one cache-sized slice after the other. Blocks without a gradient do not move, and are folded as they are.
/// It is called by several threads at a time where OpenMP is on, and must not throw.
template <class View, class WithKernel, class... Folds>
[[gnu::flatten]] Outcome move_and_fold(const View& view, const WithKernel& with_kernel,
                                       const Folds&... folds) noexcept {
  detail::for_each_filtered(view, [&](const auto& part) {
    if (!part.grad) [[unlikely]] {
      return detail::for_each_slice(part, [&](const auto& slice) { (detail::after(folds, slice), ...); });
    }
    if constexpr (View::filters) {
      if (view.origin()) {
        return detail::for_each_slice(part, [&](const auto& slice) {
          view.origin()->put({slice.block, slice.offset, slice.params, nullptr});
          detail::move_and_fold_part(slice, with_kernel, folds...);
        });
      }
    }
    detail::move_and_fold_part(part, with_kernel, folds...);
  });
  return {.taken = true, .folds = sizeof...(folds)};
}

template <class Derived>
class OptimizerLayer;

namespace detail {

/// One block of a flat gradient, in a form in which an optimizer of such parameters can take it.
template <Scalars P, class Scalar>
[[nodiscard]] auto shaped(P& params, const Scalar* gradient) {
  if constexpr (!ScalarsInMemory<P>) {
    auto&& stands_for = known(params);
    return shaped(stands_for, gradient);
  } else if constexpr (EigenDense<P>) {
    return Eigen::Map<const typename P::PlainObject>(gradient, params.rows(), params.cols());
  } else {
    return std::span<const Scalar>(gradient, std::ranges::size(params));
  }
}
/// Hands f such blocks of all parameters, a set where they are one.
template <class P, class Scalar, class F>
decltype(auto) with_shaped(P& params, const Scalar* gradient, F f) {
  if constexpr (Scalars<P&>) {
    return f(shaped(params, gradient));
  } else {
    auto&& set = known(params);
    using Set = std::remove_cvref_t<decltype(set)>;
    if constexpr (is_parameter_set<Set>) {
      return f(set.like(gradient));
    } else {
      using Element = std::remove_reference_t<std::ranges::range_reference_t<Set>>;
      std::vector<decltype(shaped(std::declval<Element&>(), gradient))> blocks;
      for (auto&& block : set) {
        blocks.push_back(shaped(block, gradient));
        gradient += blocks.back().size();
      }
      return f(blocks);
    }
  }
}

/// A gradient that is the mean of so many samples.
template <class G>
struct WithSamples {
  const G& grad;
  double samples;
};
/// Stands for the gradient of a flush: a step that only takes what is pending further in.
struct NoGradient {};
/// Stands for a gradient that the optimizer has itself.
struct OwnGradient {};

template <class G>
[[nodiscard]] const G& gradient_of(const G& grad) noexcept {
  return grad;
}
template <class G>
[[nodiscard]] const G& gradient_of(const WithSamples<G>& given) noexcept {
  return given.grad;
}
template <class G>
[[nodiscard]] double samples_of(const G&) noexcept {
  return 1;
}
template <class G>
[[nodiscard]] double samples_of(const WithSamples<G>& given) noexcept {
  return given.samples;
}

/// A step on its way through the layers: the view of its blocks, and the parameters and the gradient as users gave
/// them, which an optimizer that steps whole is handed.
template <class View, class P, class G>
class Step : public View {
  using Given = std::remove_cvref_t<decltype(gradient_of(std::declval<const G&>()))>;

 public:
  using typename View::scalar_type;

  /// A View of `blocks`, from `first` on; built where it stays, or it would wait for the store buffer.
  template <class Blocks>
  Step(Blocks& blocks, BlockRef* first, P& params, const G& grad, std::string_view who) noexcept
      : View(blocks), first_(first), params_(params), grad_(grad), who_(who) {}

  /// For what needs no more: it is compiled once, whatever parameters and gradients are held in.
  [[nodiscard]] const View& view() const noexcept { return *this; }

  /// The step with its gradient put through a filter.
  [[nodiscard]] auto filtered(const GradFilter& next) const noexcept {
    const GradFilter& before = this->filter();
    return changed({before.scale * next.scale, (std::min)(before.limit * next.scale, next.limit)}, this->gradient(),
                   this->origin());
  }
  /// The step along another gradient, flat and final, which must stay until the step is taken.
  [[nodiscard]] auto along(const scalar_type* gradient) const noexcept { return changed({}, gradient, this->origin()); }
  /// The step from other weights than those that the parameters hold, which are overwritten before the gradient is
  /// read: its own, where that is null, must lie elsewhere.
  [[nodiscard]] auto from(const Origin<scalar_type>& origin, const scalar_type* gradient) const noexcept {
    return changed(this->filter(), gradient, &origin);
  }
  /// The same as a step of its own, with the weight of one sample: what is made of several gradients, or of a flush.
  [[nodiscard]] auto anew(const scalar_type* gradient) const noexcept {
    const Changed view(*this, {}, gradient, this->origin());
    return Step<Changed, P, P>(view, first_, params_, params_, who_);
  }

  /// How many samples the gradient is the mean of: 1 where nothing is said.
  [[nodiscard]] double samples() const noexcept { return samples_of(grad_); }

  /// f(params, grad), the gradient as wrappers have left it. One that is an expression was evaluated, once. f(params)
  /// where the optimizer has it itself.
  template <class F>
  decltype(auto) whole(F f) const {
    if constexpr (std::same_as<G, OwnGradient>) {
      return f(params_);
    } else if constexpr (std::same_as<View, Changed>) {
      if (this->gradient() && !this->filter().changes()) return with_flat(this->gradient(), f);
      std::vector<scalar_type> gradient(this->size());
      this->for_each([&](const auto& slice) {
        for (std::size_t i = 0; i < slice.params.size(); ++i) {
          gradient[slice.offset + i] = static_cast<scalar_type>(slice.grad[i]);
        }
      });
      return with_flat(gradient.data(), f);
    } else if constexpr (EigenDense<Given> && !EigenMemory<Given>) {
      return with_flat(static_cast<const scalar_type*>(first_->grad), f);
    } else {
      return f(params_, gradient_of(grad_));
    }
  }

  /// Takes the step whole from the origin of its weights. Where it is not taken, the parameters hold what they held.
  template <class F>
  bool take_from_origin(const F& take) const {
    std::vector<scalar_type> held(this->size());
    this->for_each_unfiltered([&](const auto& slice) {
      lanes::copy(held.data() + slice.offset, slice.params.data(), slice.params.size());
      if (slice.grad) this->origin()->put(slice);
    });
    PutBack put_back{*this, held.data()};
    put_back.taken = take();
    return put_back.taken;
  }

  /// Looks again at parameters that an optimizer has moved as a whole, and that may lie elsewhere now. Throws
  /// std::logic_error if their number has changed.
  void look_again() const {
    if (!look()) throw_bad_order(who_, "the optimizer changed the number of parameters");
  }

 private:
  using Changed = StepView<scalar_type, true>;

  /// False where their number has changed.
  [[nodiscard]] bool look() const {
    std::size_t i = 0;
    bool same = true;
    for_each_block(params_, who_, [&](std::size_t, auto block) {
      same = same && i < this->blocks() && block.size() == this->shape(i).size();
      if (same) first_[i++].params = block.data();
    });
    return same && i == this->blocks();
  }
  [[nodiscard]] auto changed(const GradFilter& filter, const scalar_type* gradient,
                             const Origin<scalar_type>* origin) const noexcept {
    const Changed view(*this, filter, gradient, origin);
    return Step<Changed, P, G>(view, first_, params_, grad_, who_);
  }
  template <class F>
  decltype(auto) with_flat(const scalar_type* gradient, const F& f) const {
    return with_shaped(params_, gradient, [&](const auto& shaped) -> decltype(auto) { return f(params_, shaped); });
  }

  /// What the parameters held, unless the step was taken, where there are as many of them as before.
  struct PutBack {
    const Step& step;
    const scalar_type* held;
    bool taken = false;

    ~PutBack() {
      if (taken || !step.look()) return;
      step.for_each_unfiltered(
          [this](const auto& slice) { lanes::copy(slice.params.data(), held + slice.offset, slice.params.size()); });
    }
  };

  BlockRef* first_;
  P& params_;
  const G& grad_;
  std::string_view who_;
};

#define POLYAK_OPTIMIZER                                                                                        \
  "polyak: an optimizer has advance(step, folds...), or step(params, grad), or is callable as (params, grad); " \
  "behind a wrapper it is given the gradient as an Eigen::Map, a std::span, or a set of them"

/// An optimizer that has the gradient itself.
template <class Optimizer, class P>
concept StepsAlone = requires(Optimizer& optimizer, P& params) { optimizer.step(params); } ||
                     requires(Optimizer& optimizer) { optimizer.step(); } || std::invocable<Optimizer&, P&> ||
                     std::invocable<Optimizer&>;

template <class Layer>
concept HandsOn = requires { typename Layer::hands_on_to; };
/// False if a layer hands on a step as it is, which it says by naming the optimizer it hands_on_to, and that optimizer
/// cannot take it: so the call of step can say so. What wrappers hand on in other types, advance_whole checks.
template <class Layer, class P, class G>
consteval bool takes_step() {
  constexpr bool alone = std::same_as<G, OwnGradient>;
  if constexpr (HandsOn<Layer> && (!EigenDense<G> || EigenMemory<G>)) {
    using Optimizer = typename Layer::hands_on_to;
    if constexpr (HandsOn<Optimizer>) {
      return takes_step<Optimizer, P, G>();
    } else {
      constexpr bool is_layer =
          requires(Optimizer& optimizer, const Step<StepView<scalar_of<P&>>, P, G>& step) { optimizer.advance(step); };
      return alone ? StepsAlone<Optimizer, P> && !is_layer : OptimizerOf<Optimizer, P, G> || is_layer;
    }
  }
  return !alone;
}

template <class Step>
inline constexpr bool is_flush = false;
template <class View, class P>
inline constexpr bool is_flush<Step<View, P, NoGradient>> = true;

/// With the gradient, or without one.
template <class Optimizer, class P, class... G>
bool call(Optimizer& optimizer, P& params, const G&... grad) {
  constexpr bool takes = sizeof...(G) == 0 || (OptimizerOf<Optimizer, P, G> && ...);
  static_assert(takes, POLYAK_OPTIMIZER);
  const auto run = [&]() -> decltype(auto) {
    if constexpr (requires { optimizer.step(params, grad...); }) {
      return optimizer.step(params, grad...);
    } else if constexpr (std::invocable<Optimizer&, P&, const G&...>) {
      return optimizer(params, grad...);
    } else if constexpr (requires { optimizer.step(); }) {
      return optimizer.step();
    } else if constexpr (std::invocable<Optimizer&>) {
      return optimizer();
    }
  };
  if constexpr (std::same_as<std::remove_cvref_t<decltype(run())>, bool>) {
    return run();
  } else {
    static_cast<void>(run());
    return true;
  }
}

/// The other leaf: an optimizer that takes its steps whole, of the user's own.
template <class Optimizer, class Step, class... Folds>
Outcome advance_whole(Optimizer& optimizer, const Step& step, const Folds&... folds) {
  const auto take = [&] {
    return step.whole([&optimizer](auto& params, const auto&... grad) { return call(optimizer, params, grad...); });
  };
  const bool taken = step.origin() ? step.take_from_origin(take) : take();
  if constexpr (sizeof...(Folds) > 0) {
    step.look_again();
    if (taken) fold_all(step.view(), folds...);
  }
  return {.taken = taken, .folds = sizeof...(folds)};
}

}  // namespace detail

/// Calls the layer inside: its advance(step, folds...), or one that has none as an optimizer that steps whole. A flush
/// ends where there is no layer further in.
template <class Optimizer, class Step, class... Folds>
Outcome advance(Optimizer& optimizer, const Step& step, const Folds&... folds) {
  if constexpr (requires { optimizer.advance(step, folds...); }) {
    static_assert(std::same_as<decltype(optimizer.advance(step, folds...)), Outcome>,
                  "polyak: a layer has Outcome advance(const auto& step, const auto&... folds)");
    if constexpr (detail::is_flush<Step> && !requires { optimizer.optimizer(); }) {
      return {};
    } else {
      return optimizer.advance(step, folds...);
    }
  } else {
    static_assert(!std::derived_from<Optimizer, OptimizerLayer<Optimizer>>,
                  "polyak: a layer has Outcome advance(const auto& step, const auto&... folds)");
    if constexpr (detail::is_flush<Step>) {
      return {};
    } else {
      return detail::advance_whole(optimizer, step, folds...);
    }
  }
}

namespace detail {

/// A step of the optimizer inside with folds of a layer's own, which own(f) calls f with, and those of the layers
/// around it behind them. Where one of its own looks first, the others around wait for the second pass: what is folded
/// there, they may be about to move.
template <class Optimizer, class Step, class Own, class... Around>
Outcome advance_folding(Optimizer& optimizer, const Step& step, const Own& own, const Around&... around) {
  const auto with_own = [&](const auto&... fold) {
    Outcome outcome;
    const bool looks = (looking(fold) || ...);
    if (!looks) outcome = advance(optimizer, step, fold..., around...);
    if constexpr ((LooksFirst<std::remove_cvref_t<decltype(fold)>> || ...)) {
      if (looks) outcome = advance(optimizer, step, fold...);
      if (looks && outcome.taken) {
        outcome.folds += sizeof...(around);
        for_each_part(step, [&](const auto& part) {
          for_each_slice(part, [&](const auto& slice) { (after_look(fold, slice), ...), (after(around, slice), ...); });
        });
      }
    }
    if (!outcome.taken) return outcome;
    if (outcome.folds < sizeof...(fold) + sizeof...(around)) {
      throw_bad_order("polyak",
                      "a layer must hand on all folds that it is given, and return the Outcome of the layer inside, or "
                      "of move_and_fold");
    }
    outcome.folds -= sizeof...(fold);
    (fold.commit(outcome), ...);
    return outcome;
  };
  return own(with_own);
}

/// The options of blocks of the innermost layer, the optimizer; none where it has none.
template <class Layer>
[[nodiscard]] std::span<const BlockOptions> block_options(const Layer& layer) noexcept {
  if constexpr (requires { layer.optimizer(); }) {
    return block_options(layer.optimizer());
  } else if constexpr (requires { FrozenBlocks(&layer.options().blocks); }) {
    return layer.options().blocks;
  } else {
    return {};
  }
}

/// By the options of the innermost layer, the optimizer.
template <class Layer>
[[nodiscard]] FrozenBlocks frozen_blocks(const Layer& layer) noexcept {
  if constexpr (requires { layer.optimizer(); }) {
    return frozen_blocks(layer.optimizer());
  } else if constexpr (requires { FrozenBlocks(&layer.options().blocks); }) {
    return FrozenBlocks(&layer.options().blocks);
  } else {
    return {};
  }
}

}  // namespace detail

/// What gives step(params, grad) to a Derived class that has
///
///     Outcome advance(const auto& step, const auto&... folds)
///     name                                                      static, as errors are to call it
template <class Derived>
class OptimizerLayer {
 public:
  /// One step: checks parameters and gradient against each other, advances, and throws what was held back while the
  /// step was under way. True if a step was taken. Throws std::invalid_argument on shapes that do not fit, before
  /// anything is written. After the first step allocates nothing, unless the gradient is an expression, which is
  /// evaluated once, is stored in another order, or is changed by a wrapper around an optimizer that steps whole.
  template <class P, class G>
  bool step(P&& params, const G& grad) {
    static_assert(
        requires {
          { Derived::name } -> std::convertible_to<std::string_view>;
        }, "polyak: a layer has a static name, as errors are to call it");
    // Of concepts, and of functions in between, compilers tell more than anybody reads.
    constexpr bool parameters = Parameters<P>;
    constexpr bool scalar = !parameters || has_scalar<P>();
    constexpr bool gradient = !parameters || GradientOf<G, P>;
    static_assert(parameters, POLYAK_PARAMETERS);
    static_assert(scalar,
                  "polyak: ParametersOf an optimizer have its scalar: Sgd<float> for float weights, and "
                  "Accumulate<F, float> or Lookahead<F, float> around an F that does not say it");
    static_assert(gradient,
                  "polyak: GradientOf parameters has their scalar: for one block anything readable or an Eigen "
                  "expression, for a set a set");
    if constexpr (parameters && scalar && gradient) {
      constexpr bool optimizer = detail::takes_step<Derived, std::remove_reference_t<P>, G>();
      static_assert(optimizer, POLYAK_OPTIMIZER);
      if constexpr (optimizer) {
        return look(params, grad, grad);
      } else {
        return false;  // what does not compile needs no second warning
      }
    } else {
      return false;
    }
  }

  /// The same of an optimizer that has the gradient itself, with step(params) or step(), or callable as (params) or (),
  /// in an Averaged or a Lookahead.
  template <class P>
  bool step(P&& params) {
    constexpr bool parameters = Parameters<P>;
    static_assert(parameters, POLYAK_PARAMETERS);
    if constexpr (parameters) {
      constexpr bool alone =
          has_scalar<P>() && detail::takes_step<Derived, std::remove_reference_t<P>, detail::OwnGradient>();
      static_assert(
          alone,
          "polyak: step(params) is for an optimizer that has the gradient itself, with step(params) or step(), "
          "or callable as (params) or (), in an Averaged or a Lookahead; else it is step(params, grad)");
      if constexpr (alone) {
        return look(params, params, detail::OwnGradient{});
      } else {
        return false;
      }
    } else {
      return false;
    }
  }

  /// The same along a gradient that is the mean over so many samples: an Accumulate further in weighs it by that
  /// number, in (0, ∞). Throws std::invalid_argument on any other.
  template <class P, class G, class Layer = Derived>
  bool step(P&& params, const G& grad, double samples)
    requires(Parameters<P> && Layer::template has_scalar<P>() && GradientOf<G, P> &&
             requires(Layer& layer) { layer.optimizer(); })
  {
    detail::OptionChecker{Derived::name}("samples", samples, detail::positive);
    return look(params, grad, detail::WithSamples<G>{grad, samples});
  }

  /// Takes the step that an Accumulate further in has pending, if there is one, along the mean of the gradients that it
  /// has: at the end of an epoch. Averages fold as in any step; wrappers around the Accumulate have seen its gradients
  /// already. True if a step was taken. Throws what step throws. Allocates a vector of the size of the parameters.
  template <Parameters P, class Layer = Derived>
  bool flush(P&& params)
    requires(Layer::template has_scalar<P>() && requires(Layer& layer) { layer.optimizer(); })
  {
    using Scalar = scalar_of<P&>;
    const std::vector<Scalar> zeros(detail::ShapesOf<std::remove_reference_t<P>>(params, Derived::name).size());
    return detail::with_shaped(params, zeros.data(),
                               [&](const auto& zero) { return look(params, zero, detail::NoGradient{}); });
  }

  /// Whether the scalar of parameters is that of the optimizer, or that is not known.
  template <class P>
  [[nodiscard]] static consteval bool has_scalar() {
    using Named = detail::scalar_or_any<Derived>;
    return std::same_as<Named, detail::AnyScalar> || ParametersOf<P, Named>;
  }

 private:
  /// One look at the parameters and their gradient, for a step along what is given.
  template <class P, class G, class Given>
  [[gnu::always_inline]] bool look(P& params, const G& grad, const Given& given) {
    using Scalar = scalar_of<P&>;
    const auto frozen = detail::frozen_blocks(static_cast<const Derived&>(*this));
    if constexpr (detail::Scalars<P&>) {
      detail::BlockWithGradient<Scalar> only(detail::known(params), detail::known(grad), Derived::name);
      if (frozen.contains(0)) only.block().grad = nullptr;
      return run<Scalar>(only.block(), &only.block(), params, given);
    } else {
      blocks_.look(params, grad, Derived::name, frozen);
      return run<Scalar>(blocks_, blocks_.data(), params, given);
    }
  }

  template <FloatingPoint Scalar, class Blocks, class P, class G>
  bool run(Blocks& blocks, BlockRef* first, P& params, const G& grad) {
    const detail::Step<StepView<Scalar>, P, G> step(blocks, first, params, grad, Derived::name);
    const Outcome outcome = polyak::advance(static_cast<Derived&>(*this), step);
    if (outcome.raised) std::rethrow_exception(outcome.raised);
    return outcome.taken;
  }

  BlockList blocks_;
};

}  // namespace polyak

// The sentences, also those of parameters.hpp: users need not have their names.
#undef POLYAK_PARAMETERS
#undef POLYAK_HOLDERS
#undef POLYAK_WAY_OUT
#undef POLYAK_OPTIMIZER
