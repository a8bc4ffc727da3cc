#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/round.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/non_finite.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"

namespace polyak {

namespace detail {

/// True if every x[i] is finite, and so small that an average of such numbers, and the difference between one of them
/// and the average, are far from the largest Shadow: nothing overflows whatever the gains.
template <FloatingPoint Shadow, FloatingPoint Scalar>
[[nodiscard]] bool cannot_overflow(std::span<const Scalar> x) noexcept {
  return all_below<std::numeric_limits<Shadow>::max_exponent - 2>(x);
}

}  // namespace detail

struct GuardedOptions {
  NonFinite non_finite = NonFinite::skip;  ///< what becomes of a fold that would spoil the average
};

/// A Guardable averager can tell beforehand whether a fold leaves its shadow finite: any averager of the library.
template <class A>
concept Guardable = AveragerLike<A> && requires(const A& averager, const typename A::Fold& fold) {
  { averager.in_use() } -> std::convertible_to<bool>;
  { fold.due() } noexcept -> std::same_as<bool>;
  { fold.wants_start() } noexcept -> std::same_as<bool>;
  { fold.stays_finite(std::size_t{}, 0.0) } noexcept -> std::same_as<bool>;
};

template <class Averager>
class Guarded;
namespace detail {
template <class Averager>
inline constexpr bool is_guarded = false;
template <class Averager>
inline constexpr bool is_guarded<Guarded<Averager>> = true;
}  // namespace detail

/// An averager that training which diverges does not reach:
///
///     Averaged opt{Sgd{{.learning_rate = 0.1}}, Guarded{Ema{{.decay = 0.999}}, {.non_finite = NonFinite::skip}}};
///
/// A fold is made as a whole or not at all: where one coordinate of θ_t, of the start of an average without bias
/// correction, or of the average that they would give is NaN or infinite (θ_t may be too large for the shadow), the
/// fold of step t is left out. Then average and count(), gain state and diagnostics stay, bit for bit, while steps()
/// goes on; the next fold is that of the next step that is due. Weights of steps that fold nothing are not looked at.
/// Finite folds give the bits they give without Guarded. Works under -ffast-math.
///
/// With NonFinite::raise, update throws before anything has changed, the count of steps included. Inside an Averaged
/// the fold is left out as with skip, the other averages fold, and then step throws: the optimizer has moved the
/// weights by then, and has counted the step.
///
/// Costs one more pass over the weights in steps that fold: the whole vector must be known before the first coordinate
/// is folded. bench/README.md has figures.
template <class Averager>
class Guarded : private Averager {
  static_assert(!detail::is_guarded<Averager>, "polyak::Guarded: an averager is guarded once");
  static_assert(Guardable<Averager>,
                "polyak: a Guardable averager can tell whether a fold leaves it finite: any averager of the library");
  template <class>
  friend class Guarded;

 public:
  using typename Averager::Options;
  using typename Averager::shadow_type;
  using typename Averager::vector_type;
  class Fold;

  Guarded()
    requires std::default_initializable<Averager>
      : Guarded(Averager()) {}
  /// Around an averager, which may be in use.
  explicit Guarded(Averager averager, GuardedOptions rule = {})
      : Averager(std::move(averager)), options_(rule), all_small_(!in_use()) {}
  /// The same with another shadow, not in use.
  template <class Other>
  explicit Guarded(const Guarded<Other>& other) : Averager(other.options()), options_(other.guard()) {}

  /// What the averager tells of itself; nothing by which its average moves without the guard.
  using Averager::average, Averager::average_as, Averager::average_block, Averager::average_or,
      Averager::copy_average_to, Averager::swap_in, Averager::while_folded;
  using Averager::count, Averager::effective_sample_size, Averager::mean_age, Averager::start_mass, Averager::steps;
  using Averager::has_average, Averager::in_use, Averager::options, Averager::require_not_swapped;

  /// As of the averager inside.
  void set_rate(double rate) noexcept
    requires requires(Averager& averager) { averager.set_rate(rate); }
  {
    Averager::set_rate(rate);
  }
  /// As constructed.
  [[nodiscard]] const GuardedOptions& guard() const noexcept { return options_; }
  /// Folds that were left out.
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }

  /// As that of the averager; and where the rule is not propagate, throws std::runtime_error on weights that are not
  /// finite, before anything has changed.
  template <ReadableParameters P>
  void start_from(const P& params)
    requires requires(Averager& averager) { averager.start_from(params); }
  {
    if (count() > 0) return Averager::start_from(params);
    detail::read(this->list_, params, name_, [&](const auto& view) {
      if (!check_start(view)) throw_finding(view, 0);
      Averager::start_from(params);
      if (finding_.large) all_small_ = false;
    });
  }
  void start_from(detail::NotReadable, const auto&...)
    requires requires(Averager& averager, std::span<const double> params) { averager.start_from(params); };

  /// As that of the averager, but for a fold that is left out.
  template <ReadableParameters P>
  void update(const P& params) {
    detail::read(this->list_, params, name_, [&](const auto& view) {
      const Fold fold = begin_fold(view);
      const bool takes_start = this->takes_start();
      if (fold.wants_start()) {
        // Nothing but weights that were not finite can have kept a start from being taken, once there was a step.
        if (options_.non_finite != NonFinite::skip || steps() == 0) return Averager::update(params);
        finding_.rule = start_rule;
      } else if (takes_start) {
        check_start(view);
      } else {
        detail::fold_all(view, fold);
      }
      if (!fold.accepts() && options_.non_finite == NonFinite::raise) throw_finding(view, steps() + 1);
      if (takes_start && fold.accepts()) this->start(view);
      if (fold.looking() && fold.accepts()) detail::fold_all(view, fold.accepted());
      Outcome outcome;
      fold.commit(outcome);
      if (fold.wants_start() && this->due() && check_start(view)) {
        this->start(view);
        if (finding_.large) all_small_ = false;
      }
    });
  }
  void update(detail::NotReadable, const auto&...);

  /// Back to the state after construction; frees the shadow.
  void reset() {
    Averager::reset();
    skipped_ = 0;
    all_small_ = true;
  }

  /// Saves or loads the averager and what it was guarded from: see its own serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int version) {
    constexpr std::string_view who = "polyak::Guarded";
    detail::serialize_version(archive, who, "guard");
    detail::serialize_option(archive, who, "non_finite", detail::name_of(options_.non_finite));
    const auto serialize_state = [&](std::uint64_t& skipped, bool& all_small) {
      detail::serialize_value(archive, "skipped", skipped);
      detail::serialize_value(archive, "all_small", all_small);
      Averager::serialize(archive, version);
    };
    detail::serialize_members<Archive>(serialize_state, skipped_, all_small_);
  }

  /// Looks at the weights before they move, where those are folded too.
  template <class View>
  [[nodiscard]] Fold begin_fold(const View& view) {
    finding_ = {};
    const typename Averager::Fold fold = Averager::begin_fold(view);
    if (fold.wants_start()) check_start(view);
    return Fold(*this, fold);
  }

 private:
  using Averager::name_;
  static constexpr std::string_view start_rule = "the weights before the first fold must be finite";

  /// What is wrong with the fold under way: the first coordinate that is bad.
  struct Finding {
    std::string_view rule = {};  // none: nothing
    std::size_t coordinate = 0;
    double value = 0;
    bool large = false;  // something may be too large for all_small_
  };

  [[nodiscard]] bool guards() const noexcept { return options_.non_finite != NonFinite::propagate; }

  /// Whether these weights can be the start.
  template <class View>
  bool check_start(const View& view) {
    finding_ = {};
    if (!guards()) return true;
    detail::for_each_part(view, [this](const auto& part) {
      const std::span<const typename View::scalar_type> weights(part.params);
      if (detail::cannot_overflow<shadow_type>(weights)) return;
      this->find(part.offset, weights, [&](std::size_t i) {
        return detail::is_finite(detail::round_to<shadow_type>(weights[i])) ? std::string_view() : start_rule;
      });
    });
    return finding_.rule.empty();
  }
  /// Keeps the first coordinate for which rule_of names a rule that it breaks, one of the start before all others.
  /// Called by several threads.
  template <FloatingPoint Weight, class RuleOf>
  [[gnu::cold, gnu::noinline]] void find(std::size_t offset, std::span<const Weight> weights,
                                         const RuleOf& rule_of) noexcept {
    Finding found;
    for (std::size_t i = 0; i < weights.size() && found.rule.empty(); ++i) {
      found = {rule_of(i), offset + i, static_cast<double>(weights[i])};
    }
    detail::one_at_a_time([&] {
      const auto place = [](const Finding& f) { return std::pair(f.rule != start_rule, f.coordinate); };
      if (!found.rule.empty() && (finding_.rule.empty() || place(found) < place(finding_))) finding_ = found;
      finding_.large = true;
    });
  }

  /// "who: rule, got value in coordinate i[ of block b] at step t".
  template <class Shapes>
  [[noreturn, gnu::cold, gnu::noinline]] void throw_finding(const Shapes& shapes, std::uint64_t step) const {
    std::size_t block = 0, coordinate = finding_.coordinate;
    while (block + 1 < shapes.blocks() && coordinate >= shapes.shape(block).size()) {
      coordinate -= shapes.shape(block++).size();
    }
    std::string message = std::string(name_).append(": ").append(finding_.rule);
    message += ", got " + detail::to_text(finding_.value) + " in coordinate " + std::to_string(coordinate);
    if (shapes.blocks() > 1) message += " of block " + std::to_string(block);
    throw std::runtime_error(message + " at step " + std::to_string(step));
  }

  GuardedOptions options_;
  std::uint64_t skipped_ = 0;
  Finding finding_;
  bool all_small_ = true;  // all that was folded
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Averager>
class Guarded<Averager>::Fold : private Averager::Fold {
  using Inner = typename Averager::Fold;

 public:
  using Inner::due, Inner::wants_start;

  [[nodiscard]] FoldBy by() const noexcept { return looking() ? FoldBy::slice : detail::by(accepted()); }
  [[nodiscard]] auto at(std::size_t offset) const noexcept
    requires FoldsByCoordinate<Inner>
  {
    return Inner::at(offset);
  }
  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    if (!looking()) return Inner::after(offset, weights);
    if (all_small_ && detail::cannot_overflow<shadow_type>(weights)) return;
    guarded_->find(offset, weights, [&](std::size_t i) -> std::string_view {
      if (!detail::is_finite(weights[i])) return "weights must be finite to be averaged";
      return this->stays_finite(offset + i, weights[i]) ? "" : "weights must leave the average finite";
    });
  }

  /// Whether there is something to guard in this step, whether the fold is good, and the fold without its guard.
  ///@{
  [[nodiscard]] bool looking() const noexcept { return guarded_->guards() && this->due(); }
  [[nodiscard]] bool accepts() const noexcept { return guarded_->finding_.rule.empty(); }
  [[nodiscard]] const Inner& accepted() const noexcept { return *this; }
  ///@}

  void commit(Outcome& outcome) const noexcept {
    if (!looking() || accepts()) {
      if (guarded_->finding_.large) guarded_->all_small_ = false;
      return Inner::commit(outcome);
    }
    guarded_->skip_fold();
    ++guarded_->skipped_;
    if (guarded_->options_.non_finite != NonFinite::raise || outcome.raised) return;
    try {
      guarded_->throw_finding(guarded_->layout_, guarded_->steps());
    } catch (...) {
      outcome.raised = std::current_exception();
    }
  }

 private:
  friend Guarded;
  Fold(Guarded& guarded, const Inner& fold)
      : Inner(fold), guarded_(&guarded), all_small_(guarded.all_small_ && !guarded.finding_.large) {}

  Guarded* guarded_;
  bool all_small_;  // what the average consists of, with the start that it takes in this fold
};

}  // namespace polyak
