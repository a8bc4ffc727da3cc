#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/ema.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

namespace detail {

/// An averager with no shadow type named takes the one that suits the scalar of its optimizer, where that is known.
template <class Averager, class Optimizer>
struct fitted {
  using type = Averager;
};
template <class T>
inline constexpr bool names_no_shadow = std::same_as<T, default_shadow>;
template <template <class> class Outer, class T>
inline constexpr bool names_no_shadow<Outer<T>> = names_no_shadow<T>;
template <class Averager, class Optimizer>
  requires names_no_shadow<Averager> && requires { typename Averager::template with_shadow<float>; } &&
           FloatingPoint<typename Optimizer::scalar_type> &&
           (!std::same_as<wide_t<typename Optimizer::scalar_type>, double>)
struct fitted<Averager, Optimizer> {
  using type = typename Averager::template with_shadow<wide_t<typename Optimizer::scalar_type>>;
};

template <class To, class From>
To fit(From&& averager) {
  if constexpr (std::same_as<To, std::remove_cvref_t<From>>) {
    return std::forward<From>(averager);
  } else {
    if (averager.in_use()) throw_bad_order("polyak::Averaged", "an averager already in use must name its shadow type");
    if constexpr (std::constructible_from<To, const From&>) {
      return To(averager);
    } else {
      return To(averager.options());
    }
  }
}

/// The folds of one step, each built where it stays: copied as a whole right after it was written member by member, a
/// fold waits for the store buffer, and that costs as much as a step on a hundred weights.
template <class Numbers, class... Folds>
struct FoldPack;
template <std::size_t... Is, class... Folds>
struct FoldPack<std::index_sequence<Is...>, Folds...> : Numbered<Is, Folds>... {
  static constexpr bool elementwise = (ElementwiseFold<Folds> && ...);
  static constexpr bool concurrent = (Concurrent<Folds> && ...);
  static constexpr bool watchful = (WatchfulFold<Folds> || ...);

  template <class F>
  decltype(auto) apply(F f) const noexcept {
    return f(Numbered<Is, Folds>::it...);
  }
};

template <class... Averagers>
[[nodiscard]] auto begin_folds(std::tuple<Averagers...>& averagers, const Layout& layout) {
  using Pack =
      FoldPack<std::index_sequence_for<Averagers...>, decltype(std::declval<Averagers&>().begin_fold(layout))...>;
  return std::apply([&](auto&... each) { return Pack{{each.begin_fold(layout)}...}; }, averagers);
}

/// Shows a fold a slice that was moved: to fold it, or where it decides by the whole vector, to look at it.
template <class Fold, FloatingPoint Scalar>
void show(const Fold& fold, std::size_t offset, std::span<const Scalar> weights) noexcept {
  if constexpr (WatchfulFold<Fold>) {
    if (fold.watching()) return fold.watch(offset, weights);
  }
  fold.after(offset, weights);
}
/// Whether a fold has only looked so far, and is still to be made.
template <class Fold>
bool is_outstanding(const Fold& fold) noexcept {
  if constexpr (WatchfulFold<Fold>) return fold.watching() && fold.accepts();
  return false;
}
template <class Fold, FloatingPoint Scalar>
void catch_up(const Fold& fold, std::size_t offset, std::span<const Scalar> weights) noexcept {
  if (is_outstanding(fold)) fold.after(offset, weights);
}

/// An optimizer's update, with the folds of the averages in its loop where both sides allow it. Where they do not (a
/// first fold, a step that folds nothing), the update and each fold pass over one cache-sized slice after the other.
template <class Update, class Folds, class View>
class AveragedUpdate {
 public:
  static constexpr bool concurrent = Concurrent<Update> && Folds::concurrent;
  static constexpr bool late = LateUpdate<Update> || Folds::watchful;

  template <class Optimizer, class Averagers>
  AveragedUpdate(Optimizer& optimizer, Averagers& averagers, const View& view)
      : update_(optimizer.begin_step(view)), folds_(begin_folds(averagers, view.layout())), view_(view) {}

  template <FloatingPoint Scalar, class Grad>
  void operator()(const Slice<Scalar, Grad>& whole) noexcept {
    if (!taken() || all_idle()) return update_(whole);
    if (visit(whole, [n = whole.params.size()](const auto& move) { for_each_index(n, move); })) return;
    for_each_slice(whole, [this](const Slice<Scalar, Grad>& slice) {
      const std::span<const Scalar> weights = slice.params;
      folds_.apply([&](const auto&... fold) { (fold.before(slice.offset, weights), ...); });
      update_(slice);
      if constexpr (!LateUpdate<Update>) {
        folds_.apply([&](const auto&... fold) { (show(fold, slice.offset, weights), ...); });
      }
    });
  }

  template <FloatingPoint Scalar, class Grad, class Visitor>
  bool visit(const Slice<Scalar, Grad>& slice, const Visitor& visitor) noexcept {
    if constexpr (ElementwiseUpdateOf<Update, Scalar> && Folds::elementwise && !LateUpdate<Update>) {
      return taken() && folds_.apply([&](const auto&... fold) {
        return (fold.simple() && ...) &&
               update_.visit(slice, [&](const auto& move) { visitor(then(move, fold.at(slice.offset)...)); });
      });
    } else {
      return false;
    }
  }

  [[nodiscard]] bool taken() const noexcept { return update_.taken(); }

  void commit() noexcept {
    if constexpr (late) {
      const bool folds = taken();
      update_.commit();
      if (!folds) return;
      if (LateUpdate<Update> && !all_idle()) {
        pass([](const auto& fold, std::size_t offset, auto weights) { show(fold, offset, weights); });
      }
      if (folds_.apply([](const auto&... fold) { return (is_outstanding(fold) || ...); })) {
        pass([](const auto& fold, std::size_t offset, auto weights) { catch_up(fold, offset, weights); });
      }
      folds_.apply([](const auto&... fold) { (fold.commit(), ...); });
    } else {
      if (taken()) folds_.apply([](const auto&... fold) { (fold.commit(), ...); });
      update_.commit();
    }
  }

 private:
  [[nodiscard]] bool all_idle() const noexcept {
    return folds_.apply([](const auto&... fold) { return (fold.idle() && ...); });
  }
  /// Over all weights once more.
  template <class How>
  void pass(How how) const noexcept {
    view_.for_each([&](const auto& block) {
      for_each_slice(block, [&](const auto& slice) {
        const std::span<const typename decltype(slice.params)::value_type> weights = slice.params;
        folds_.apply([&](const auto&... fold) { (how(fold, slice.offset, weights), ...); });
      });
    });
  }

  Update update_;
  Folds folds_;
  [[no_unique_address]] std::conditional_t<late, View, NoView> view_;
};

template <class Optimizer, class Averagers, class View>
AveragedUpdate(Optimizer& optimizer, Averagers& averagers, const View& view)
    -> AveragedUpdate<decltype(optimizer.begin_step(view)), decltype(begin_folds(averagers, view.layout())), View>;

}  // namespace detail

/// An optimizer with one or more averages of the weights it trains, kept apart from them.
///
///     Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.999}}};
///     opt.step(theta, grad);     // theta moves, the average follows
///     evaluate(opt.average());   // a const reference
///
/// A slice-wise optimizer and its averages share one pass over memory; any other object with step(params, grad), or
/// callable as (params, grad), takes its step whole and is averaged after. Training is bit for bit what it is without
/// the averages. An Averaged is an optimizer itself, so it nests. With no averager named it keeps an Ema<>.
template <class Optimizer, class... Averagers>
class Averaged : public detail::ScalarOfOptimizer<Optimizer> {
  using Fitted =
      std::conditional_t<sizeof...(Averagers) == 0, std::tuple<typename detail::fitted<Ema<>, Optimizer>::type>,
                         std::tuple<typename detail::fitted<Averagers, Optimizer>::type...>>;
  static_assert(
      (AveragerLike<Averagers> && ...),
      "polyak: an AveragerLike type has begin_fold(layout), which returns a fold, average() and has_average()");
  static constexpr std::size_t n_averagers = std::tuple_size_v<Fitted>;
  static constexpr std::size_t only = static_cast<std::size_t>(-1);
  static constexpr std::string_view name = "polyak::Averaged";

 public:
  explicit Averaged(Optimizer trainer)
    requires(sizeof...(Averagers) == 0)
      : optimizer_(std::move(trainer)) {}

  explicit Averaged(Optimizer trainer, Averagers... averagers)
    requires(sizeof...(Averagers) > 0)
      : optimizer_(std::move(trainer)),
        averagers_(detail::fit<typename detail::fitted<Averagers, Optimizer>::type>(std::move(averagers))...) {}

  /// One step of the optimizer on `params`, then one of each averager. Throws what they throw; a slice-wise optimizer
  /// and the averagers do so before anything is written. Where an optimizer that steps whole throws, no average has
  /// moved.
  template <class P, class G>
  bool step(P&& params, const G& grad) {
    if constexpr (detail::explain_step<detail::scalar_or_any<Optimizer>, P, G>()) {
      if constexpr (SlicewiseOptimizer<Optimizer>) {
        return detail::step_in_slices(*this, params, grad, name);
      } else {
        const bool taken = step_quietly(params, grad);
        throw_pending();
        return taken;
      }
    }
  }

  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }

  // One averager is meant where there is one; where there are several, its index must be named: average<1>().

  template <std::size_t I = only>
  [[nodiscard]] auto& averager() noexcept {
    return std::get<pick<I>()>(averagers_);
  }
  template <std::size_t I = only>
  [[nodiscard]] const auto& averager() const noexcept {
    return std::get<pick<I>()>(averagers_);
  }
  template <std::size_t I = only>
  [[nodiscard]] const auto& average() const {
    return averager<I>().average();
  }
  /// The average of block i of a parameter set, in its own shape.
  template <std::size_t I = only>
  [[nodiscard]] auto average_block(std::size_t i) const {
    return averager<I>().average_block(i);
  }
  template <std::size_t I = only>
  [[nodiscard]] bool has_average() const noexcept {
    return averager<I>().has_average();
  }
  template <std::size_t I = only, ReadableParameters P>
  [[nodiscard]] auto average_or(const P& params) const {
    return averager<I>().average_or(params);
  }
  template <std::size_t I = only, Parameters P>
  void copy_average_to(P&& params) const {
    averager<I>().copy_average_to(params);
  }
  template <std::size_t I = only, Parameters P>
  [[nodiscard]] auto swap_in(P&& params) {
    require_not_swapped();
    return averager<I>().swap_in(params);
  }

  /// Throws std::logic_error while one of the averages, nested ones included, stands in the place of the weights.
  void require_not_swapped() const {
    detail::require_nothing_swapped(optimizer_);
    std::apply([](const auto&... each) { (detail::require_nothing_swapped(each), ...); }, averagers_);
  }

  /// A step taken as a whole; what averages have to throw of it is held back for throw_pending.
  template <class P, class G>
  bool step_quietly(P& params, const G& grad)
    requires(!SlicewiseOptimizer<Optimizer>)
  {
    using Weights = std::span<const scalar_of<P&>>;
    const auto folds = detail::begin_folds(averagers_, detail::layout_of(params, name));
    const auto pass = [&](auto how) {
      detail::for_each_part<Concurrent<decltype(folds)>>(params, name, [&](std::size_t offset, Weights weights) {
        folds.apply([&](const auto&... fold) { (how(fold, offset, weights), ...); });
      });
    };
    pass([](const auto& fold, std::size_t offset, Weights weights) { fold.before(offset, weights); });
    if (!detail::step_whole_keeping_size(optimizer_, params, grad, name)) return false;
    pass([](const auto& fold, std::size_t offset, Weights weights) { detail::show(fold, offset, weights); });
    if (folds.apply([](const auto&... fold) { return (detail::is_outstanding(fold) || ...); })) {
      pass([](const auto& fold, std::size_t offset, Weights weights) { detail::catch_up(fold, offset, weights); });
    }
    folds.apply([](const auto&... fold) { (fold.commit(), ...); });
    return true;
  }
  /// Throws what an average, of nested ones too, has held back while the step was under way: see Guarded. Of several,
  /// the first speaks for all.
  void throw_pending() {
    try {
      detail::throw_pending(optimizer_);
      std::apply([](auto&... each) { (detail::throw_pending(each), ...); }, averagers_);
    } catch (...) {
      std::apply([](auto&... each) { (detail::drop_pending(each), ...); }, averagers_);
      throw;
    }
  }

  /// Back to the state after construction, for the optimizer and the averagers that offer reset().
  void reset() {
    const auto reset_one = [](auto& part) {
      if constexpr (requires { part.reset(); }) part.reset();
    };
    reset_one(optimizer_);
    std::apply([&](auto&... each) { (reset_one(each), ...); }, averagers_);
  }

  /// Saves or loads the optimizer and every averager, as their own serialize does. An optimizer or averager of one's
  /// own has serialize(archive) or serialize(archive, version) too, or is empty, such as a lambda without captures.
  /// Throws what they throw; parts before the one that throws are loaded then, and std::logic_error on loading while an
  /// average is swapped in.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    if constexpr (detail::is_loading<Archive>) require_not_swapped();
    detail::serialize_version(archive, name);
    detail::serialize_option(archive, name, "number of averagers", std::uint64_t{n_averagers});
    detail::serialize_part(archive, "optimizer", optimizer_);
    std::apply(
        [&archive](auto&... each) {
          std::size_t i = 0;
          (detail::serialize_part(archive, "averager." + std::to_string(i++), each), ...);
        },
        averagers_);
  }

  /// Begins a step of the optimizer and of every averager; nothing moves before the update is committed.
  template <FloatingPoint Scalar>
    requires SlicewiseOptimizer<Optimizer>
  [[nodiscard]] auto begin_step(const StepView<Scalar>& view) {
    return detail::AveragedUpdate(optimizer_, averagers_, view);
  }

 private:
  template <std::size_t I>
  static constexpr std::size_t pick() {
    static_assert(I != only || n_averagers == 1,
                  "polyak::Averaged: name one of several averagers by index, as in average<1>()");
    return I == only ? 0 : I;
  }

  Optimizer optimizer_;
  Fitted averagers_;
};

}  // namespace polyak
