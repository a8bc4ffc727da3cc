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
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

namespace detail {

/// An averager with no shadow type named, guarded or not, takes the one that suits the scalar of its optimizer, where
/// that is known.
template <class Averager, class Shadow>
struct with_shadow : std::type_identity<Averager> {};
template <template <class> class Averager, class Shadow>
struct with_shadow<Averager<default_shadow>, Shadow> : std::type_identity<Averager<Shadow>> {};
template <template <class> class Guarded, template <class> class Averager, class Shadow>
struct with_shadow<Guarded<Averager<default_shadow>>, Shadow> : std::type_identity<Guarded<Averager<Shadow>>> {};
template <class Optimizer>
using shadow_for = std::conditional_t<std::same_as<wide_t<scalar_or_double<Optimizer>>, double>, default_shadow,
                                      wide_t<scalar_or_double<Optimizer>>>;
template <class Averager, class Optimizer>
using fitted_t = typename with_shadow<Averager, shadow_for<Optimizer>>::type;

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

/// What f(x...) returns, the x evaluated from left to right, as in braces they are, and left where they were built: a
/// fold that is copied right after it was written waits for the store buffer.
struct InOrder {
  template <class F, class... X>
  InOrder(const F& f, const X&... x) : outcome(f(x...)) {}
  Outcome outcome;
};

/// The averages of an optimizer that has averager<I>(): as the averager offers them. One is meant where there is one;
/// of several, its index must be named: average<1>().
template <class Derived>
class ReadsAverages {
  static constexpr std::size_t the_only = static_cast<std::size_t>(-1);

 public:
  template <std::size_t I = the_only>
  [[nodiscard]] const auto& average() const {
    return self().template averager<I>().average();
  }
  /// The average in another scalar, such as that of the weights, by value: average_as<float>().
  template <FloatingPoint To, std::size_t I = the_only>
  [[nodiscard]] auto average_as() const {
    return self().template averager<I>().template average_as<To>();
  }
  /// The average of block i of a parameter set, in its own shape.
  template <std::size_t I = the_only>
  [[nodiscard]] auto average_block(std::size_t i) const {
    return self().template averager<I>().average_block(i);
  }
  template <std::size_t I = the_only>
  [[nodiscard]] bool has_average() const noexcept {
    return self().template averager<I>().has_average();
  }
  template <std::size_t I = the_only, ReadableParameters P>
  [[nodiscard]] auto average_or(const P& params) const {
    return self().template averager<I>().average_or(params);
  }
  template <std::size_t I = the_only>
  Eigen::VectorXd average_or(detail::NotReadable, const auto&...) const;
  template <std::size_t I = the_only, Parameters P>
  void copy_average_to(P&& params) const {
    self().template averager<I>().copy_average_to(params);
  }
  template <std::size_t I = the_only>
  void copy_average_to(detail::NotWritable, const auto&...) const;
  template <std::size_t I = the_only, Parameters P>
  [[nodiscard]] auto swap_in(P&& params) {
    self().require_not_swapped();
    return self().template averager<I>().swap_in(params);
  }
  template <std::size_t I = the_only>
  SwapGuard<double> swap_in(detail::NotWritable, const auto&...);
  template <std::size_t I = the_only, class Get, class Set>
    requires GetAndSet<Get, Set>
  [[nodiscard]] auto swap_in(Get get, Set set) {
    self().require_not_swapped();
    return self().template averager<I>().swap_in(std::move(get), std::move(set));
  }

 private:
  [[nodiscard]] Derived& self() noexcept { return static_cast<Derived&>(*this); }
  [[nodiscard]] const Derived& self() const noexcept { return static_cast<const Derived&>(*this); }
};

/// The rate of the next step of the innermost layer; 1 where it has none.
template <class Layer>
[[nodiscard]] double learning_rate_of(const Layer& layer) {
  if constexpr (requires { layer.learning_rate(); }) {
    return layer.learning_rate();
  } else if constexpr (requires { layer.optimizer(); }) {
    return learning_rate_of(layer.optimizer());
  } else {
    return 1;
  }
}

}  // namespace detail

/// An optimizer with one or more averages of the weights it trains, kept apart from them.
///
///     Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.999}}};
///     opt.step(theta, grad);     // theta moves, the average follows
///     evaluate(opt.average());   // a const reference
///
/// A slice-wise optimizer and its averages share one pass over memory; any other object with step(params, grad), or
/// callable as (params, grad), takes its step whole and is averaged after. So does one that has the gradient itself,
/// with step(params) or step(), or callable as (params) or (), by opt.step(params). Training is bit for bit what it is
/// without the averages. An Averaged is an optimizer itself, so it nests. With no averager named it keeps an Ema<>.
template <class Optimizer, class... Averagers>
class Averaged : public Wrapper<Averaged<Optimizer, Averagers...>, Optimizer>,
                 public detail::ReadsAverages<Averaged<Optimizer, Averagers...>> {
  using Fitted = std::conditional_t<sizeof...(Averagers) == 0, std::tuple<detail::fitted_t<Ema<>, Optimizer>>,
                                    std::tuple<detail::fitted_t<Averagers, Optimizer>...>>;
  static constexpr bool averagers_are = (AveragerLike<Averagers> && ...);  // of a concept GCC would list the parts
  static_assert(averagers_are,
                "polyak: the optimizer comes first, as in Averaged{Sgd{}, Ema{}}; an AveragerLike type has "
                "begin_fold(step), which returns a fold, average() and has_average(); a fold is "
                "at(offset) or after(offset, weights), and commit(outcome), none of which throws");
  static constexpr std::size_t n_averagers = std::tuple_size_v<Fitted>;
  static constexpr std::size_t only = static_cast<std::size_t>(-1);

 public:
  static constexpr std::string_view name = "polyak::Averaged";
  using hands_on_to = Optimizer;

  /// Averagers whose shadow is the default get one for the scalar of the optimizer.
  explicit Averaged(Optimizer trainer, Averagers... averagers)
      : Averaged::Wrapper(std::move(trainer)),
        averagers_(detail::fit<detail::fitted_t<Averagers, Optimizer>>(std::move(averagers))...) {}

  /// One step of the optimizer, and of each averager behind it. Throws what they throw; averagers and the optimizers of
  /// the library do so before anything is written. Where an optimizer that steps whole throws, no average has moved.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... around) {
    const auto with_folds = [&](const auto&... own) {
      const auto with_own = [&](const auto& f) { return f(own...); };
      return detail::advance_folding(this->optimizer_, step, with_own, around...);
    };
    const auto begin_and_advance = [&](auto&... each) {
      (tell_rate(each), ...);
      return detail::InOrder{with_folds, each.begin_fold(step.view())...}.outcome;
    };
    return std::apply(begin_and_advance, averagers_);
  }

  /// The averager. One is meant where there is one; of several, its index must be named: averager<1>().
  ///@{
  template <std::size_t I = only>
  [[nodiscard]] auto& averager() noexcept {
    return std::get<pick<I>()>(averagers_);
  }
  template <std::size_t I = only>
  [[nodiscard]] const auto& averager() const noexcept {
    return std::get<pick<I>()>(averagers_);
  }
  ///@}

  /// Throws std::logic_error while one of the averages, nested ones included, stands in the place of the weights.
  void require_not_swapped() const {
    Averaged::Wrapper::require_not_swapped();
    std::apply([](const auto&... each) { (detail::require_nothing_swapped(each), ...); }, averagers_);
  }

  /// Back to the state after construction, for the optimizer and the averagers that offer reset().
  void reset() {
    Averaged::Wrapper::reset();
    std::apply([](auto&... each) { (detail::reset_part(each), ...); }, averagers_);
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
    detail::serialize_part(archive, "optimizer", this->optimizer_);
    std::apply(
        [&archive](auto&... each) {
          std::size_t i = 0;
          (detail::serialize_part(archive, "averager." + std::to_string(i++), each), ...);
        },
        averagers_);
  }

 private:
  /// For an averager that weighs iterates by it.
  template <class Averager>
  void tell_rate(Averager& averager) const {
    if constexpr (requires { averager.set_rate(1.0); }) averager.set_rate(detail::learning_rate_of(this->optimizer_));
  }
  template <std::size_t I>
  static consteval std::size_t pick() {
    static_assert(I != only || n_averagers == 1,
                  "polyak::Averaged: name one of several averagers by index, as in average<1>()");
    return I == only ? 0 : I;
  }

  Fitted averagers_;
};

}  // namespace polyak
