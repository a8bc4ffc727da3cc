#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/averagers/ema.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

namespace detail {

/// An averager with no shadow type named takes the one that suits the scalar of its optimizer, where that is known.
template <class Averager, class Optimizer>
struct fitted {
  using type = Averager;
};
template <template <class> class Averager, class Optimizer>
  requires requires { typename Averager<default_shadow>::template with_shadow<float>; } &&
           FloatingPoint<typename Optimizer::scalar_type> &&
           (!std::same_as<wide_t<typename Optimizer::scalar_type>, double>)
struct fitted<Averager<default_shadow>, Optimizer> {
  using type = Averager<wide_t<typename Optimizer::scalar_type>>;
};

template <class To, class From>
To fit(From&& averager) {
  if constexpr (std::same_as<To, std::remove_cvref_t<From>>) {
    return std::forward<From>(averager);
  } else {
    if (averager.in_use()) throw_bad_order("polyak::Averaged", "an averager already in use must name its shadow type");
    return To(averager.options());
  }
}

/// The folds of one step, each built where it stays: copied as a whole right after it was written member by member, a
/// fold waits for the store buffer, and that costs as much as a step on a hundred weights.
template <std::size_t I, class Fold>
struct NumberedFold {
  Fold fold;
};
template <class Numbers, class... Folds>
struct FoldPack;
template <std::size_t... Is, class... Folds>
struct FoldPack<std::index_sequence<Is...>, Folds...> : NumberedFold<Is, Folds>... {
  template <class F>
  decltype(auto) apply(F f) const noexcept {
    return f(NumberedFold<Is, Folds>::fold...);
  }
};

template <class... Averagers>
[[nodiscard]] auto begin_folds(std::tuple<Averagers...>& averagers, std::size_t n) {
  using Pack = FoldPack<std::index_sequence_for<Averagers...>, decltype(std::declval<Averagers&>().begin_fold(n))...>;
  return std::apply([n](auto&... each) { return Pack{{each.begin_fold(n)}...}; }, averagers);
}

/// An optimizer's update, with the folds of the averages in its loop where both sides allow it. Where they do not (a
/// first fold, a step that folds nothing), the update and each fold pass over one cache-sized slice after the other.
template <class Update, class Folds>
class AveragedUpdate {
 public:
  template <class Optimizer, class Averagers>
  AveragedUpdate(Optimizer& optimizer, Averagers& averagers, std::size_t n)
      : update_(optimizer.begin_step(n)), folds_(begin_folds(averagers, n)) {}

  template <FloatingPoint Scalar>
  void operator()(const Slice<Scalar>& whole) noexcept {
    if (folds_.apply([](const auto&... fold) { return (fold.idle() && ...); })) return update_(whole);
    if (visit(whole, [n = whole.params.size()](auto move) { for_each_index(n, move); })) return;
    for_each_slice(whole, [this](const Slice<Scalar>& slice) {
      const std::span<const Scalar> weights = slice.params;
      folds_.apply([&](const auto&... fold) { (fold.before(slice.offset, weights), ...); });
      update_(slice);
      folds_.apply([&](const auto&... fold) { (fold.after(slice.offset, weights), ...); });
    });
  }

  template <FloatingPoint Scalar, class Visitor>
  bool visit(const Slice<Scalar>& slice, const Visitor& visitor) noexcept {
    if constexpr (ElementwiseUpdateOf<Update, Scalar>) {
      return folds_.apply([&](const auto&... fold) {
        return (fold.simple() && ...) &&
               update_.visit(slice, [&](auto move) { visitor(then(move, fold.at(slice.offset)...)); });
      });
    } else {
      return false;
    }
  }

  void commit() noexcept {
    update_.commit();
    folds_.apply([](const auto&... fold) { (fold.commit(), ...); });
  }

 private:
  Update update_;
  Folds folds_;
};

template <class Optimizer, class Averagers>
AveragedUpdate(Optimizer& optimizer, Averagers& averagers, std::size_t n)
    -> AveragedUpdate<decltype(optimizer.begin_step(n)), decltype(begin_folds(averagers, n))>;

/// An optimizer's scalar, if it says one.
template <class Optimizer>
struct ScalarOfOptimizer {};
template <class Optimizer>
  requires FloatingPoint<typename Optimizer::scalar_type>
struct ScalarOfOptimizer<Optimizer> {
  using scalar_type = typename Optimizer::scalar_type;
};

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
  static constexpr std::size_t n_averagers = std::tuple_size_v<Fitted>;
  static constexpr std::size_t only = static_cast<std::size_t>(-1);
  static constexpr auto name = "polyak::Averaged";

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
    requires Parameters<P> && (SlicewiseOptimizer<Optimizer> || OptimizerOf<Optimizer, P, G>)
  void step(P&& params, const G& grad) {
    if constexpr (SlicewiseOptimizer<Optimizer>) {
      detail::step_in_slices(*this, params, grad, name);
    } else {
      step_whole(params, grad);
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
    if constexpr (requires { optimizer_.require_not_swapped(); }) optimizer_.require_not_swapped();
    std::apply([](const auto&... each) { (each.require_not_swapped(), ...); }, averagers_);
  }

  /// Back to the state after construction: of the averages, and of the optimizer where it offers reset().
  void reset() {
    if constexpr (requires { optimizer_.reset(); }) optimizer_.reset();
    std::apply([](auto&... each) { (each.reset(), ...); }, averagers_);
  }

  /// Begins a step of the optimizer and of every averager over n parameters; nothing moves before the update is
  /// committed.
  [[nodiscard]] auto begin_step(std::size_t n)
    requires SlicewiseOptimizer<Optimizer>
  {
    return detail::AveragedUpdate(optimizer_, averagers_, n);
  }

 private:
  template <std::size_t I>
  static constexpr std::size_t pick() {
    static_assert(I != only || n_averagers == 1,
                  "polyak::Averaged: name one of several averagers by index, as in average<1>()");
    return I == only ? 0 : I;
  }

  template <class P, class G>
  void step_whole(P& params, const G& grad) {
    using Weights = std::span<const scalar_of<P&>>;
    const Weights weights = flat(params, name);
    const auto folds = detail::begin_folds(averagers_, weights.size());
    folds.apply([&](const auto&... fold) { (fold.before(0, weights), ...); });
    if constexpr (requires { optimizer_.step(params, grad); }) {
      optimizer_.step(params, grad);
    } else {
      optimizer_(params, grad);
    }
    const Weights moved = flat(params, name);  // a vector assigned to may have moved house
    if (moved.size() != weights.size()) detail::throw_bad_order(name, "the optimizer changed the number of parameters");
    folds.apply([&](const auto&... fold) { ((fold.after(0, moved), fold.commit()), ...); });
  }

  Optimizer optimizer_;
  Fitted averagers_;
};

}  // namespace polyak
