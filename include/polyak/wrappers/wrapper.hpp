#pragma once

#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/step.hpp"

namespace polyak {

/// What goes around an optimizer has in common. The Derived class has a static name and advance(step, folds...), which
/// calls polyak::advance(optimizer(), step, folds...) once or not at all, with all the folds it was given and whatever
/// it puts in the place of the step, and returns the Outcome of that. It throws before that call or not at all.
template <class Derived, class Optimizer>
class Wrapper : public OptimizerLayer<Derived>, public detail::ScalarOfOptimizer<Optimizer> {
 public:
  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }

  /// Throws std::logic_error while an average inside stands in the place of the weights.
  void require_not_swapped() const { detail::require_nothing_swapped(optimizer_); }

 protected:
  explicit Wrapper(Optimizer trainer) : optimizer_(std::move(trainer)) {}

  /// Where the optimizer offers it.
  void reset_optimizer() {
    if constexpr (requires { optimizer_.reset(); }) optimizer_.reset();
  }

  Optimizer optimizer_;
};

namespace detail {

/// What a wrapper makes of a gradient before the step.
struct Verdict {
  bool skip = false;
  GradFilter filter = {};
};

/// A wrapper that looks at each gradient first. The Derived class has
///
///     Verdict inspect(view) const    may throw; changes nothing
///     void record(verdict)             once the step is taken, or skipped; cannot throw
///     state()                        a tuple of references to the numbers that it keeps
///     name
template <class Derived, class Optimizer, class OptionsType>
class GradientWrapper : public Wrapper<Derived, Optimizer> {
 public:
  using Options = OptionsType;

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// A step of the optimizer along the gradient as the wrapper leaves it. Throws what the optimizer throws.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    const Verdict verdict = self().inspect(step);
    Outcome outcome;
    if (!verdict.skip) outcome = polyak::advance(this->optimizer_, step.filtered(verdict.filter), folds...);
    self().record(verdict);
    return outcome;
  }

  /// Saves or loads the wrapper and its optimizer, which is the user's own or the library's: see Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Derived::name);
    options_.for_each_option(OptionSerializer<Archive>{archive, Derived::name});
    auto numbers = copy_of(self().state());
    std::apply([&archive](auto&... each) { (serialize_value(archive, each), ...); }, numbers);
    serialize_part(archive, "optimizer", this->optimizer_);
    if constexpr (is_loading<Archive>) self().state() = numbers;
  }

 protected:
  GradientWrapper(Optimizer trainer, Options options)
      : Wrapper<Derived, Optimizer>(std::move(trainer)), options_(std::move(options)) {
    options_.for_each_option(OptionChecker{Derived::name});
  }

  [[no_unique_address]] Options options_;

 private:
  template <class... Numbers>
  static std::tuple<Numbers...> copy_of(const std::tuple<Numbers&...>& numbers) {
    return numbers;
  }
  [[nodiscard]] Derived& self() noexcept { return static_cast<Derived&>(*this); }
};

}  // namespace detail
}  // namespace polyak
