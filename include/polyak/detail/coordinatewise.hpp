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

/// What every optimizer that moves coordinate by coordinate has in common: one tick a step, the learning rate, options
/// by block. The Rule holds what differs:
///
///     scalar_type, Options (with learning_rate and blocks), name
///     Rule{Options}                and check(Options): throws std::invalid_argument on what is out of range
///     Factors begin(t, rate, n)    asks its schedules; grows its state, zeroed, and changes nothing else
///     visit(factors, slice, f)     f(the move of a coordinate); factors.rate and .decay are those of the block
///     commit(factors), reset()
///     for_each_option(visit)       visit(name, option) for all options but learning_rate and blocks
///     for_each_state(visit)        visit(name, member) for what a step leaves to the next; vectors are of size n
template <class Rule>
class Coordinatewise {
 public:
  using scalar_type = typename Rule::scalar_type;
  using Options = typename Rule::Options;
  class Update;

  explicit Coordinatewise(Options options) : rule_{std::move(options)} {
    rate_.check(rule_.options.learning_rate, Rule::name);
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
  /// The η of the next step.
  [[nodiscard]] double learning_rate() const { return rule_.options.learning_rate(steps_); }
  void set_learning_rate(Hyperparameter rate) { set(rate_, rule_.options.learning_rate, std::move(rate)); }
  [[nodiscard]] const Options& options() const noexcept { return rule_.options; }

  /// Back to the state after construction, with the learning rate as last set; frees the state.
  void reset() {
    steps_ = 0;
    rule_.reset();
  }

  /// Saves or loads all that a later step depends on, in the convention of cereal and Boost.Serialization. The options
  /// are compared on loading: throws std::invalid_argument where they are not those of the saved object, saying which
  /// and how; then, as where the archive throws, nothing has changed. A learning rate that is a number is loaded if it,
  /// or the one it replaces, came by set_learning_rate; any other is compared as the options are. O(state).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Rule::name);
    const OptionSerializer<Archive> option{archive, Rule::name};
    option("scalar", scalar_name<scalar_type>);
    Setting rate = rate_;
    Options options = rule_.options;
    rate.serialize(archive, options.learning_rate, Rule::name);
    rule_.for_each_option(option);
    serialize_blocks(option);
    if constexpr (is_loading<Archive>) {
      Rule::check(options);
      std::uint64_t steps = 0;
      KnownLayout layout;
      Rule rule{std::move(options)};
      serialize_state(archive, steps, layout, rule);
      rate_ = rate;
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
    const double rate = rate_.ask(rule_.options.learning_rate, steps_, Rule::name);
    return Update(*this, rule_.begin(steps_, rate, layout.size()));
  }

 private:
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
  Setting rate_{"learning_rate"};
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
