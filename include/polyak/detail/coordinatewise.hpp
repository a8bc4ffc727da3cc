#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/known_addresses.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/setting.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/parameters.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

/// What one block of a parameter set does differently from the rest: the parameter groups of torch.
struct BlockOptions {
  double learning_rate_factor = 1;  ///< in [0, ∞)
  double weight_decay_factor = 1;   ///< in [0, ∞): 0 for biases
};

namespace detail {

/// The hyperparameters of one step.
struct StepNumbers {
  double rate, decay, momentum;  // momentum is 0 where the optimizer has none
};

template <class Options>
concept WithMomentum = requires(const Options& options) { options.momentum; };

/// What every optimizer that moves coordinate by coordinate has in common: one tick a step, the hyperparameters that
/// can be set while training, options by block. The Rule holds what differs:
///
///     scalar_type, Options, name   Options have learning_rate, weight_decay and blocks, and may have a momentum
///     Rule{Options}                and check(Options): throws std::invalid_argument on what is out of range
///     Factors begin(t, now, n)     begins them with the StepNumbers; grows its state, zeroed, changes nothing else
///     visit(factors, slice, f)     f(the move of a coordinate); factors.rate and .decay are those of the block
///     commit(factors), reset()
///     for_each_option(visit)       visit(name, option) for the options that not all have, but momentum
///     for_each_state(visit)        visit(name, member) for what a step leaves to the next; vectors are of size n
template <class Rule>
class Coordinatewise {
 public:
  using scalar_type = typename Rule::scalar_type;
  using Options = typename Rule::Options;
  class Update;

  explicit Coordinatewise(Options options) : rule_{std::move(options)} {
    for_each_setting(rule_.options, settings_,
                     [](const Hyperparameter& option, const Setting& setting) { setting.check(option, Rule::name); });
    Rule::check(rule_.options);
    for (std::size_t i = 0; i < rule_.options.blocks.size(); ++i) {
      const std::string rule = "_factor of block " + std::to_string(i) + " must be finite and >= 0";
      require_finite_nonnegative(rule_.options.blocks[i].learning_rate_factor, Rule::name, "learning_rate" + rule);
      require_finite_nonnegative(rule_.options.blocks[i].weight_decay_factor, Rule::name, "weight_decay" + rule);
    }
  }

  /// Moves `params` one step along `grad`; true, since it always takes one. Throws std::invalid_argument on sizes or
  /// shapes that differ, from each other or from those of the first step, before anything is written. Allocates in the
  /// first step only, unless the gradient is an expression, which is evaluated once.
  template <class P, class G>
  bool step(P&& params, const G& grad) {
    if constexpr (explain_step<scalar_type, P, G>()) return step_in_slices(*this, params, grad, Rule::name);
  }

  /// Steps taken: the t that schedules are asked next.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

  /// The η of the next step, its λ, and its μ where there is one. What is set takes the place of the option, from the
  /// next step on; a schedule is asked with the number of all steps taken. Throws std::invalid_argument on a number
  /// that would be refused at construction, and then changes nothing.
  [[nodiscard]] double learning_rate() const { return rule_.options.learning_rate(steps_); }
  void set_learning_rate(Hyperparameter rate) { set(settings_.rate, rule_.options.learning_rate, std::move(rate)); }
  [[nodiscard]] double weight_decay() const { return rule_.options.weight_decay(steps_); }
  void set_weight_decay(Hyperparameter decay) { set(settings_.decay, rule_.options.weight_decay, std::move(decay)); }
  [[nodiscard]] double momentum() const
    requires WithMomentum<Options>
  {
    return rule_.options.momentum(steps_);
  }
  void set_momentum(Hyperparameter momentum)
    requires WithMomentum<Options>
  {
    set(settings_.momentum, rule_.options.momentum, std::move(momentum));
  }
  /// As last set.
  [[nodiscard]] const Options& options() const noexcept { return rule_.options; }

  /// Back to the state after construction, with the hyperparameters as last set; frees the state.
  void reset() {
    steps_ = 0;
    rule_.reset();
  }

  /// Saves or loads all that a later step depends on, in the convention of cereal and Boost.Serialization. The options
  /// are compared on loading: throws std::invalid_argument where they are not those of the saved object, saying which
  /// and how; then, as where the archive throws, nothing has changed. A learning rate, weight decay or momentum that is
  /// a number is loaded if it, or the one it replaces, was set while training; any other is compared as the options
  /// are. O(state).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Rule::name);
    const OptionSerializer<Archive> option{archive, Rule::name};
    option("scalar", scalar_name<scalar_type>);
    Options options = rule_.options;
    Settings settings = settings_;
    for_each_setting(options, settings, [&archive](Hyperparameter& each, Setting& setting) {
      setting.serialize(archive, each, Rule::name);
    });
    rule_.for_each_option(option);
    serialize_blocks(option);
    if constexpr (is_loading<Archive>) {
      Rule::check(options);
      std::uint64_t steps = 0;
      KnownLayout layout;
      Rule rule{std::move(options)};
      serialize_state(archive, steps, layout, rule);
      settings_ = settings;
      rule_ = std::move(rule);
      steps_ = steps;
      layout_ = std::move(layout);
      addresses_.forget();
    } else {
      serialize_state(archive, steps_, layout_, rule_);
    }
  }

  /// Begins a step: throws as step does, and else changes nothing but the capacity of the state until the update is
  /// committed.
  [[nodiscard]] Update begin_step(const StepView<scalar_type>& view) {
    const Layout& layout = view.layout();
    if (steps_ > 0) {
      layout_.check(layout, Rule::name);
    } else {
      layout_.note(layout);
      addresses_.forget();
    }
    addresses_.check(view, Rule::name);
    const auto& blocks = rule_.options.blocks;
    if (!blocks.empty() && blocks.size() != layout.blocks()) {
      throw_bad_size(Rule::name, "options for each block need as many blocks,", blocks.size(), layout.blocks());
    }
    return Update(*this, rule_.begin(steps_, ask(), layout.size()));
  }

 private:
  struct Settings {
    Setting rate{"learning_rate"}, decay{"weight_decay"}, momentum{"momentum"};
  };

  /// Calls f(option, setting) for each that the options have.
  template <class F>
  static void for_each_setting(Options& options, Settings& settings, const F& f) {
    f(options.learning_rate, settings.rate);
    f(options.weight_decay, settings.decay);
    if constexpr (WithMomentum<Options>) f(options.momentum, settings.momentum);
  }
  [[nodiscard]] StepNumbers ask() const {
    const Options& o = rule_.options;
    StepNumbers now{settings_.rate.ask(o.learning_rate, steps_, Rule::name),
                    settings_.decay.ask(o.weight_decay, steps_, Rule::name), 0};
    if constexpr (WithMomentum<Options>) now.momentum = settings_.momentum.ask(o.momentum, steps_, Rule::name);
    return now;
  }
  void set(Setting& setting, Hyperparameter& option, Hyperparameter given) {
    setting.set(option, std::move(given), Rule::name, [this] { Rule::check(rule_.options); });
  }
  template <class Option>
  void serialize_blocks(const Option& option) const {
    const auto& blocks = rule_.options.blocks;
    option("number of blocks with options", std::uint64_t{blocks.size()});
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string which = "_factor of block " + std::to_string(i);
      option("learning_rate" + which, blocks[i].learning_rate_factor);
      option("weight_decay" + which, blocks[i].weight_decay_factor);
    }
  }
  template <class Archive>
  static void serialize_state(Archive& archive, std::uint64_t& steps, KnownLayout& layout, Rule& rule) {
    serialize_value(archive, steps);
    if (steps == 0) return;  // whatever a step that failed has left behind
    layout.serialize(archive, Rule::name);
    rule.for_each_state([&](std::string_view member, auto& state) {
      serialize_member(archive, Rule::name, member, state, layout.size());
    });
  }

  Rule rule_;
  std::uint64_t steps_ = 0;
  Settings settings_;
  KnownLayout layout_;
  KnownAddresses addresses_;
};

/// One step's share of the work. Refers to its optimizer, which must stay where it is meanwhile.
template <class Rule>
class Coordinatewise<Rule>::Update {
 public:
  static constexpr bool concurrent = true;

  template <class Grad>
  void operator()(const Slice<scalar_type, Grad>& slice) const noexcept {
    visit(slice, [n = slice.params.size()](const auto& move) { for_each_index(n, move); });
  }

  /// Hands over the move of one coordinate, with what this step does not need left out at compile time.
  template <class Grad, class Visitor>
  bool visit(const Slice<scalar_type, Grad>& slice, const Visitor& visitor) const noexcept {
    typename Rule::Factors factors = factors_;
    if (const auto& blocks = optimizer_->rule_.options.blocks; !blocks.empty()) {
      factors.rate *= blocks[slice.block].learning_rate_factor;
      factors.decay *= blocks[slice.block].weight_decay_factor;
    }
    optimizer_->rule_.visit(factors, slice, visitor);
    return true;
  }

  [[nodiscard]] static constexpr bool taken() noexcept { return true; }

  void commit() const noexcept {
    ++optimizer_->steps_;
    optimizer_->rule_.commit(factors_);
  }

 private:
  friend Coordinatewise;
  Update(Coordinatewise& optimizer, const typename Rule::Factors& factors)
      : optimizer_(&optimizer), factors_(factors) {}

  Coordinatewise* optimizer_;
  typename Rule::Factors factors_;
};

}  // namespace detail
}  // namespace polyak
