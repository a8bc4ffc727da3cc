#pragma once

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/schedules.hpp"
#include "polyak/step.hpp"

namespace polyak {

namespace detail {

/// The hyperparameters of one step.
struct StepNumbers {
  double rate, decay, momentum;  // momentum is 0 where the optimizer has none
};

template <class Options>
concept WithMomentum = requires(const Options& options) { options.momentum; };

/// What a rule keeps of each coordinate.
template <FloatingPoint Scalar>
using StateVector = Eigen::Matrix<lanes::compute_t<Scalar>, Eigen::Dynamic, 1, Eigen::ColMajor>;

/// The move of the coordinates of a slice, by a rule's kernel.
template <FloatingPoint Scalar, class Grad, class Kernel>
struct Move {
  static constexpr std::size_t width = lanes::width<Scalar>;
  using T = lanes::compute_t<Scalar>;
  Scalar* params;
  Grad grad;
  Kernel kernel;

  auto operator()(auto i) const noexcept(noexcept(kernel(T(), T(), lanes::At<1>{}))) {
    return lanes::store(params, i, kernel(lanes::load<T>(params, i), lanes::load<T>(grad, i), i));
  }
};

/// A rule whose steps need no numbers but those they are given.
template <FloatingPoint Scalar>
struct PlainRule {
  using scalar_type = Scalar;
  using Factors = StepNumbers;

  static StepNumbers begin(std::uint64_t, const StepNumbers& now, Eigen::Index) noexcept { return now; }
  static void commit(const StepNumbers&) noexcept {}
};

/// What every optimizer that moves coordinate by coordinate has in common: one tick a step, the hyperparameters that
/// can be set while training, options by block, saving. It is long because all of that is here. What differs is in a
/// class that is derived from PlainRule<Scalar> and has
///
///     name
///     options                      have learning_rate, weight_decay and blocks, and may have a momentum
///     its state                    behind the options, with initializers
///     for_each_state(visit)        visit(name, member) for what a step leaves to the next; vectors are of size n,
///                                  zeroed before the first step
///     with_kernel(factors, offset, f)    f(kernel), whose kernel(p, g, i) returns where a weight p with the gradient g
///                                        goes; i is as in lanes.hpp and counts from offset; factors.rate and .decay
///                                        are those of the block
///
/// and where its steps need more numbers than StepNumbers
///
///     Factors                      derived from StepNumbers
///     Factors begin(t, now, n)     begins them with the StepNumbers; may throw, and but for memory changes nothing
///     commit(factors)              once the step is taken
template <class Rule>
class Coordinatewise : public OptimizerLayer<Coordinatewise<Rule>> {
 public:
  using scalar_type = typename Rule::scalar_type;
  using Options = decltype(Rule::options);
  static constexpr std::string_view name = Rule::name;

  explicit Coordinatewise(Options options) : rule_{{}, std::move(options)} {
    rule_.options.for_each_option(check_option);
    for_each_block_option(check_option);
  }

  /// Moves the weights one step, and the averages behind it. Throws std::invalid_argument on blocks that overlap, that
  /// are not those of the first step or not as many as have options, and on hyperparameters out of range.
  template <bool Filters, class... Folds>  // in line, which spares a step with four averages 8 of 82 ns (n = 64)
  [[gnu::always_inline]] Outcome advance(const StepView<scalar_type, Filters>& view, const Folds&... folds) {
    const WithKernel with_kernel{*this, begin(view)};
    const Outcome outcome = move_and_fold(view, with_kernel, folds...);
    ++steps_;
    rule_.commit(with_kernel.factors);
    return outcome;
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
  /// Freezes block i of a parameter set, or lets it move, from the next step on. Its state rests meanwhile; t does not.
  /// Throws std::invalid_argument where block i has no options, and then changes nothing.
  void set_frozen(std::size_t i, bool frozen) {
    auto& blocks = rule_.options.blocks;
    if (i >= blocks.size()) {
      throw_bad_size(Rule::name, "a block to freeze must be below the number of blocks with options (.blocks),",
                     blocks.size(), i);
    }
    blocks[i].frozen = frozen;
    settings_.frozen_is_set = true;
  }
  /// As last set.
  [[nodiscard]] const Options& options() const noexcept { return rule_.options; }

  /// Back to the state after construction, with the hyperparameters as last set; frees the state.
  void reset() {
    steps_ = 0;
    rule_ = Rule{{}, std::move(rule_.options)};
  }

  /// Saves or loads all that a later step depends on, in the convention of cereal and Boost.Serialization. The options
  /// are compared on loading: throws std::invalid_argument where they are not those of the saved object, saying which
  /// and how; then, as where the archive throws, nothing has changed. A learning rate, weight decay or momentum that is
  /// a number is loaded if it, or the one it replaces, was set while training; any other is compared as the options
  /// are. So are the frozen blocks. O(state).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Rule::name);
    const OptionSerializer<Archive> option{archive, Rule::name};
    option("scalar", scalar_name<scalar_type>);
    Options options = rule_.options;
    Settings settings = settings_;
    for_each_setting(options, settings,
                     [&archive](Hyperparameter& each, Setting& setting) { serialize_setting(archive, each, setting); });
    options.for_each_option([&option](std::string_view member, const auto& value, const auto&...) {
      if constexpr (!std::same_as<std::remove_cvref_t<decltype(value)>, Hyperparameter>) option(member, value);
    });
    option("number of blocks with options", std::uint64_t{options.blocks.size()});
    for_each_block_option(option);
    serialize_frozen(archive, options.blocks, settings.frozen_is_set);
    if constexpr (is_loading<Archive>) {
      Coordinatewise loaded(std::move(options));
      loaded.settings_ = settings;
      loaded.serialize_state(archive);
      *this = std::move(loaded);
    } else {
      serialize_state(archive);
    }
  }

 private:
  static constexpr OptionChecker check_option{Rule::name};

  /// Moves a slice by the factors of its block. A struct, since a lambda would be another type for each set of folds.
  struct WithKernel {
    Coordinatewise& optimizer;
    typename Rule::Factors factors;

    void operator()(const auto& slice, const auto& f) const noexcept {
      typename Rule::Factors own{};
      const auto* use = &factors;  // a copy right after they were written would wait for the store buffer
      if (const auto& blocks = optimizer.rule_.options.blocks; !blocks.empty()) {
        own = factors;
        own.rate *= blocks[slice.block].learning_rate_factor;
        own.decay *= blocks[slice.block].weight_decay_factor;
        use = &own;
      }
      optimizer.rule_.with_kernel(*use, slice.offset, [&]<class Kernel>(const Kernel& kernel) {
        f(Move<scalar_type, decltype(slice.grad), Kernel>{slice.params.data(), slice.grad, kernel});
      });
      if (!flushes(optimizer.steps_)) return;
      optimizer.for_each_vector(
          [&](auto& vector) { flush_subnormals(vector.data() + slice.offset, slice.params.size()); });
    }
  };

  template <bool Filters>
  [[nodiscard]] typename Rule::Factors begin(const StepView<scalar_type, Filters>& view) {
    if (steps_ > 0) {
      layout_.check(view, Rule::name);
    } else {
      layout_.remember(view);
    }
    view.require_apart(Rule::name);
    const auto& blocks = rule_.options.blocks;
    if (!blocks.empty() && blocks.size() != view.blocks()) {
      throw_bad_size(Rule::name, "options for each block need as many blocks,", blocks.size(), view.blocks());
    }
    const StepNumbers now = ask();
    const auto n = static_cast<Eigen::Index>(view.size());
    if (steps_ == 0) for_each_vector([n](auto& vector) { vector.setZero(n); });
    return rule_.begin(steps_, now, n);
  }

  /// Calls f with what a step leaves to the next of each coordinate.
  void for_each_vector(const auto& f) {
    rule_.for_each_state([&f](std::string_view, auto& state) {
      if constexpr (requires { state.data(); }) f(state);
    });
  }

  /// A hyperparameter that can be set while training. What it is stays among the options, where users read it.
  struct Setting {
    std::string_view name;
    bool is_set = false;  // as a number, in the place of what the optimizer was made with
  };
  struct Settings {
    Setting rate{"learning_rate"}, decay{"weight_decay"}, momentum{"momentum"};
    bool frozen_is_set = false;
  };

  /// Calls f(option, setting) for each that the options have.
  template <class F>
  static void for_each_setting(Options& options, Settings& settings, const F& f) {
    f(options.learning_rate, settings.rate);
    f(options.weight_decay, settings.decay);
    if constexpr (WithMomentum<Options>) f(options.momentum, settings.momentum);
  }
  [[nodiscard]] StepNumbers ask() const {
    const auto number = [this](const Hyperparameter& option, const Setting& setting) {
      const double x = option(steps_);
      if (!option.is_number()) check_option(setting.name, x, nonnegative);  // numbers were checked when they were set
      return x;
    };
    const Options& o = rule_.options;
    // Made at once: what is stored one by one would be waited for when it is read as a whole.
    const double rate = number(o.learning_rate, settings_.rate), decay = number(o.weight_decay, settings_.decay);
    double momentum = 0;
    if constexpr (WithMomentum<Options>) momentum = number(o.momentum, settings_.momentum);
    return {rate, decay, momentum};
  }
  void set(Setting& setting, Hyperparameter& option, Hyperparameter given) {
    check_option(setting.name, given, nonnegative);
    std::swap(option, given);
    try {
      rule_.options.for_each_option(check_option);
    } catch (...) {
      std::swap(option, given);
      throw;
    }
    setting.is_set = option.is_number();
  }
  /// A number that was set, or is to replace one that was set here, is state. All else is an option, and compared with
  /// the saved one: no schedule is loaded.
  template <class Archive>
  static void serialize_setting(Archive& archive, Hyperparameter& option, Setting& setting) {
    [[maybe_unused]] const bool was_set = setting.is_set;
    bool is_number = option.is_number();
    double number = option.number();
    const std::string member(setting.name);
    serialize_value(archive, member + ".is_number", is_number);
    serialize_value(archive, member + ".is_set", setting.is_set);
    if (!is_number) return serialize_option(archive, Rule::name, setting.name, option);
    serialize_value(archive, member, number);
    if constexpr (is_loading<Archive>) {
      const std::string saved = to_text(number), present = option.description();
      const bool is_state = (setting.is_set || was_set) && !keeps_options(archive);
      if (!is_state && saved != present) {
        setting.is_set = was_set;
        if constexpr (TakesNames<Archive>) return archive.differs(Rule::name, setting.name, saved, present);
        throw_other_option(Rule::name, setting.name, saved, present);
      }
      option = number;
    }
  }
  /// Which blocks are frozen is an option until it is set while training, and state from then on.
  template <class Archive>
  static void serialize_frozen(Archive& archive, std::vector<BlockOptions>& blocks, bool& is_set) {
    if (blocks.empty()) return;
    [[maybe_unused]] const bool was_set = is_set;
    serialize_value(archive, "frozen.is_set", is_set);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string member = "frozen of block " + std::to_string(i);
      bool frozen = blocks[i].frozen;
      serialize_value(archive, member, frozen);
      if constexpr (is_loading<Archive>) {
        if (frozen == blocks[i].frozen) continue;
        if ((is_set || was_set) && !keeps_options(archive)) {
          blocks[i].frozen = frozen;
        } else if constexpr (TakesNames<Archive>) {
          archive.differs(Rule::name, member, to_text(frozen), to_text(blocks[i].frozen));
        } else {
          throw_other_option(Rule::name, member, to_text(frozen), to_text(blocks[i].frozen));
        }
      }
    }
  }
  void for_each_block_option(const auto& visit) const {
    const auto& blocks = rule_.options.blocks;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string which = "_factor of block " + std::to_string(i);
      visit("learning_rate" + which, blocks[i].learning_rate_factor, nonnegative);
      visit("weight_decay" + which, blocks[i].weight_decay_factor, nonnegative);
    }
  }
  template <class Archive>
  void serialize_state(Archive& archive) {
    serialize_value(archive, "steps", steps_);
    if (steps_ == 0) return;  // whatever a step that failed has left behind
    layout_.serialize(archive, Rule::name);
    rule_.for_each_state([&](std::string_view member, auto& state) {
      serialize_member(archive, Rule::name, member, state, layout_.size());
    });
  }

  Rule rule_;
  std::uint64_t steps_ = 0;
  Settings settings_;
  KnownLayout layout_;
};

}  // namespace detail
}  // namespace polyak
