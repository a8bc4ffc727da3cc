#pragma once

#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/step.hpp"

namespace polyak {

namespace detail {

template <class Part>
void reset_part(Part& part) {
  if constexpr (requires { part.reset(); }) part.reset();
}

}  // namespace detail

/// What goes around an optimizer has in common. The Derived class has a static name and advance(step, folds...), which
/// calls polyak::advance(optimizer(), step, folds...) once or not at all, with all the folds it was given and whatever
/// it puts in the place of the step, and returns the Outcome of that. It throws before that call or not at all.
template <class Derived, class Optimizer>
class Wrapper : public OptimizerLayer<Derived>, public detail::ScalarOfOptimizer<Optimizer> {
 public:
  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }

  /// Back to the state after construction, where the optimizer offers it. A wrapper with a state resets that too.
  void reset() { detail::reset_part(optimizer_); }

  /// Throws std::logic_error while an average inside stands in the place of the weights.
  void require_not_swapped() const { detail::require_nothing_swapped(optimizer_); }

 protected:
  explicit Wrapper(Optimizer trainer) : optimizer_(std::move(trainer)) {}

  Optimizer optimizer_;
};

namespace detail {

/// A wrapper with options and a state, of which it needs to say no more than what they are. The Derived class has
///
///     state()                               a tuple of references to what one step leaves to the next
///     serialize_state(archive, state...)    of what may be a copy of the state
///     name
///
/// Scalar is named where the state has numbers that are kept in it.
template <class Derived, class Optimizer, class OptionsType, class Scalar = void>
class StatefulWrapper : public Wrapper<Derived, Optimizer> {
 public:
  using Options = OptionsType;

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Back to the state after construction, and the optimizer where it offers reset().
  void reset() {
    Wrapper<Derived, Optimizer>::reset();
    std::apply([](auto&... each) { ((each = std::remove_reference_t<decltype(each)>()), ...); }, self().state());
  }

  /// Saves or loads the wrapper and its optimizer, which is the user's own or the library's: see Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Derived::name);
    const OptionSerializer<Archive> option{archive, Derived::name};
    if constexpr (!std::is_void_v<Scalar>) option("scalar", scalar_name<Scalar>);
    options_.for_each_option(option);
    const auto serialize_all = [&](auto&... state) {
      self().serialize_state(archive, state...);
      serialize_part(archive, "optimizer", this->optimizer_);
    };
    std::apply([&](auto&... state) { serialize_members<Archive>(serialize_all, state...); }, self().state());
  }

 protected:
  StatefulWrapper(Optimizer trainer, Options options)
      : Wrapper<Derived, Optimizer>(std::move(trainer)), options_(std::move(options)) {
    options_.for_each_option(OptionChecker{Derived::name});
  }
  [[nodiscard]] Derived& self() noexcept { return static_cast<Derived&>(*this); }

  [[no_unique_address]] Options options_;
};

/// What a wrapper makes of a gradient before the step.
struct Verdict {
  bool skip = false;
  GradFilter filter = {};
};

/// A wrapper that looks at each gradient first. The Derived class has, beside what StatefulWrapper asks for,
///
///     Verdict inspect(view) const    may throw; changes nothing
///     void record(verdict)           once the step is taken, or skipped; cannot throw
template <class Derived, class Optimizer, class OptionsType>
class GradientWrapper : public StatefulWrapper<Derived, Optimizer, OptionsType> {
 public:
  /// A step of the optimizer along the gradient as the wrapper leaves it. Throws what the optimizer throws.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    if constexpr (is_flush<Step>) return polyak::advance(this->optimizer_, step, folds...);
    const Verdict verdict = this->self().inspect(step);
    Outcome outcome;
    if (verdict.skip) {
      this->require_not_swapped();
    } else {
      outcome = polyak::advance(this->optimizer_, step.filtered(verdict.filter), folds...);
    }
    this->self().record(verdict);
    return outcome;
  }

 protected:
  using StatefulWrapper<Derived, Optimizer, OptionsType>::StatefulWrapper;
};

}  // namespace detail
}  // namespace polyak
