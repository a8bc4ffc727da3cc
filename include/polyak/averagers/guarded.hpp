#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"

/// Longer than other averagers: what is finite is told by bits, the first fault is named, and the rules hold alone as
/// in a step.

namespace polyak {

namespace detail {

/// log2 of a bound. An average of numbers below it, and the difference between one of them and the average, are far
/// from the largest Shadow, so nothing overflows whatever the gains.
template <FloatingPoint Shadow>
inline constexpr int safe_exponent = std::numeric_limits<Shadow>::max_exponent - 2;

/// True if every x[i] is finite, and small enough that folds into a Shadow cannot overflow. One pass, vectorised; by
/// bits, since -ffast-math may take any comparison with NaN for true.
template <FloatingPoint Shadow, FloatingPoint Scalar>
[[nodiscard]] bool cannot_overflow(std::span<const Scalar> x) noexcept {
  using Limits = std::numeric_limits<Scalar>;
  if constexpr (Limits::max_exponent <= safe_exponent<Shadow>) {
    return all_finite(x);
  } else if constexpr (std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>) {
    using Bits = std::conditional_t<std::is_same_v<Scalar, float>, std::uint32_t, std::uint64_t>;
    constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
    constexpr Bits bound = static_cast<Bits>(safe_exponent<Shadow> + Limits::max_exponent - 1) << (Limits::digits - 1);
    // The sign bit of what it returns is set where |x| is not below the bound.
    const auto above = [](Scalar each) { return (bound - 1) - (std::bit_cast<Bits>(each) & ~sign); };
    constexpr std::size_t stretch = 256;  // of known length, or GCC does not vectorise at -O2
    std::size_t i = 0;
    for (; i + stretch <= x.size(); i += stretch) {
      Bits any = 0;
      for (std::size_t j = 0; j < stretch; ++j) any |= above(x[i + j]);
      if ((any & sign) != 0) return false;
    }
    Bits any = 0;
    for (; i < x.size(); ++i) any |= above(x[i]);
    return (any & sign) == 0;
  } else {
    using T = std::conditional_t<sizeof(Scalar) == 2, float, Scalar>;
    const T bound = std::ldexp(T(1), safe_exponent<Shadow>);
    for (const Scalar each : x) {
      if (!is_finite(each) || !(std::abs(static_cast<T>(each)) < bound)) return false;
    }
    return true;
  }
}

/// "who: rule, got value in coordinate i[ of block b] at step t".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_not_finite(std::string_view who, std::string_view rule,
                                                                    double got, std::size_t coordinate,
                                                                    std::size_t block, std::size_t blocks,
                                                                    std::uint64_t step) {
  std::string message = std::string(who).append(": ").append(rule).append(", got ").append(to_text(got));
  message += " in coordinate " + std::to_string(coordinate);
  if (blocks > 1) message += " of block " + std::to_string(block);
  throw std::runtime_error(message + " at step " + std::to_string(step));
}

}  // namespace detail

/// What becomes of a fold that would bring NaN or infinity into an average.
enum class NonFinite {
  propagate,  ///< it is folded, as if the average were not guarded
  skip,       ///< it is left out, and counted
  raise,      ///< it is left out, and counted, and the step throws std::runtime_error
};

struct GuardedOptions {
  NonFinite non_finite = NonFinite::skip;
};

/// A Guardable averager can tell beforehand whether a fold leaves its shadow finite: any averager of the library.
template <class A>
concept Guardable =
    AveragerLike<A> && requires(const A& averager, const typename A::Fold& fold, std::span<const double> weights) {
      { averager.in_use() } -> std::convertible_to<bool>;
      { fold.due() } noexcept -> std::same_as<bool>;
      { fold.stays_finite(std::size_t{}, weights) } noexcept -> std::same_as<bool>;
    };

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
/// is folded. See the README for figures.
template <class Averager>
class Guarded : private Averager {
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
  explicit Guarded(Averager averager, GuardedOptions rule = {})
      : Averager(std::move(averager)), options_(rule), all_small_(!in_use()) {}
  /// The same with another shadow, not in use.
  template <class Other>
  explicit Guarded(const Guarded<Other>& other) : Averager(other.options()), options_(other.guard()) {}

  // What the averager tells of itself; nothing by which its average moves without the guard.
  using Averager::average;
  using Averager::average_block;
  using Averager::average_or;
  using Averager::copy_average_to;
  using Averager::count;
  using Averager::effective_sample_size;
  using Averager::has_average;
  using Averager::in_use;
  using Averager::mean_age;
  using Averager::options;
  using Averager::require_not_swapped;
  using Averager::start_mass;
  using Averager::steps;
  using Averager::swap_in;

  [[nodiscard]] const GuardedOptions& guard() const noexcept { return options_; }
  /// Folds that were left out.
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }

  /// As that of the averager; and where the rule is not propagate, throws std::runtime_error on weights that are not
  /// finite, before anything has changed.
  template <ReadableParameters P>
  void start_from(const P& params)
    requires requires(Averager& averager) { averager.start_from(params); }
  {
    if (!guards() || count() > 0) return Averager::start_from(params);
    detail::read(this->list_, params, name_, [&](const auto& view) {
      if (!check_start(view)) throw_finding(view, 0);
      Averager::start_from(params);
      if (finding_.large) all_small_ = false;
    });
  }

  /// As that of the averager, but for a fold that is left out.
  template <ReadableParameters P>
  void update(const P& params) {
    if (!guards()) return Averager::update(params);
    detail::read(this->list_, params, name_, [&](const auto& view) { update_from(view, params); });
  }

  /// Back to the state after construction; frees the shadow.
  void reset() {
    Averager::reset();
    skipped_ = 0;
    finding_ = {};
    all_small_ = true;
  }

  /// Saves or loads the averager and what it was guarded from: see its own serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int version) {
    constexpr std::string_view who = "polyak::Guarded";
    detail::serialize_version(archive, who);
    const detail::OptionSerializer<Archive> option{archive, who};
    constexpr std::string_view rules[] = {"propagate", "skip", "raise"};
    option("non_finite", rules[static_cast<std::size_t>(options_.non_finite)]);
    const auto serialize_state = [&](std::uint64_t& skipped, bool& all_small) {
      detail::serialize_value(archive, skipped);
      detail::serialize_value(archive, all_small);
      Averager::serialize(archive, version);
    };
    detail::serialize_members<Archive>(serialize_state, skipped_, all_small_);
  }

  template <class View>
  [[nodiscard]] Fold begin_fold(const View& view) {
    const Fold fold = begin(view);
    if constexpr (has_start) {
      if (fold.wants_start()) {
        this->take_start(view);
        if (guards()) static_cast<void>(check_start(view));
      }
    }
    return fold;
  }

 private:
  using Averager::name_;
  static constexpr std::string_view start_rule = "the weights before the first fold must be finite";
  static constexpr bool has_start = requires(const typename Averager::Fold& fold) { fold.wants_start(); };

  /// What is wrong with the fold under way: the first coordinate that is bad, before the weights move or else after.
  struct Finding {
    std::string_view rule = {};  // none: nothing
    bool after = false;
    std::size_t coordinate = 0;
    double value = 0;
    bool large = false;  // something may be too large for all_small_
  };

  [[nodiscard]] Fold begin(const Layout& layout) {
    finding_ = {};
    if constexpr (has_start) {
      return Fold(*this, Averager::begin(layout));
    } else {
      return Fold(*this, Averager::begin_fold(layout));
    }
  }
  [[nodiscard]] bool guards() const noexcept { return options_.non_finite != NonFinite::propagate; }

  template <class View, class P>
  void update_from(const View& view, const P& params) {
    const Fold fold = begin(view);
    const bool raises = options_.non_finite == NonFinite::raise;
    if (!fold.due()) {
      if constexpr (has_start) {
        if (this->takes_start() && !check_start(view)) {
          if (raises) throw_finding(view, steps() + 1);
          Outcome outcome;
          return fold.commit(outcome);
        }
      }
      Averager::update(params);
      if (finding_.large) all_small_ = false;
      return;
    }
    const bool lacks_start = fold.wants_start();
    // Nothing but weights that were not finite can have kept a start from being taken, once there was a step.
    if (lacks_start && (raises || steps() == 0)) return Averager::update(params);
    if (lacks_start) {
      finding_.rule = start_rule;
    } else {
      detail::fold_all(view, fold);
    }
    if (fold.accepts()) {
      detail::fold_all(view, fold.accepted());
    } else if (raises) {
      throw_finding(view, steps() + 1);
    }
    Outcome outcome;
    fold.commit(outcome);
    if constexpr (has_start) {
      if (lacks_start && this->due() && check_start(view)) start_from(params);
    }
  }

  template <FloatingPoint Weight>
  void look(const typename Averager::Fold& fold, std::size_t offset, std::span<const Weight> weights) noexcept {
    const bool all_small = all_small_ && start_cannot_overflow(fold, offset, weights.size()) &&
                           detail::cannot_overflow<shadow_type>(weights);
    if (!all_small) look_closer(fold, offset, weights);
  }
  /// Where the fold takes its start, that is in the shadow by now.
  [[nodiscard]] bool start_cannot_overflow(const typename Averager::Fold& fold, std::size_t offset,
                                           std::size_t n) const noexcept {
    if constexpr (has_start) {
      const std::span<const shadow_type> shadow(this->shadow_.data(), static_cast<std::size_t>(this->shadow_.size()));
      if (fold.wants_start()) return detail::cannot_overflow<shadow_type>(shadow.subspan(offset, n));
    }
    return true;
  }
  template <FloatingPoint Weight>
  [[gnu::cold, gnu::noinline]] void look_closer(const typename Averager::Fold& fold, std::size_t offset,
                                                std::span<const Weight> weights) noexcept {
    Finding finding{.after = true, .large = true};
    for (std::size_t i = 0; i < weights.size() && finding.rule.empty(); ++i) {
      finding.coordinate = offset + i;
      finding.value = static_cast<double>(weights[i]);
      if (!detail::is_finite(weights[i])) {
        finding.rule = "weights must be finite to be averaged";
      } else if (!fold.stays_finite(offset + i, weights.subspan(i, 1))) {
        finding.rule = "weights must leave the average finite";
      }
    }
    record(finding);
  }
  template <FloatingPoint Weight>
  void look_at_start(std::size_t offset, std::span<const Weight> weights) noexcept {
    if (detail::cannot_overflow<shadow_type>(weights)) return;
    Finding finding{.large = true};
    for (std::size_t i = 0; i < weights.size() && finding.rule.empty(); ++i) {
      finding.coordinate = offset + i;
      finding.value = static_cast<double>(weights[i]);
      shadow_type start;
      lanes::copy(&start, &weights[i], 1);
      if (!detail::is_finite(start)) finding.rule = start_rule;
    }
    record(finding);
  }
  template <class View>
  [[nodiscard]] bool check_start(const View& view) {
    finding_ = {};
    detail::for_each_part(view, [this](const auto& part) {
      using Weight = typename View::scalar_type;
      this->look_at_start(part.offset, std::span<const Weight>(part.params));
    });
    return finding_.rule.empty();
  }
  /// Keeps the first finding; called by several threads.
  [[gnu::cold, gnu::noinline]] void record(const Finding& finding) noexcept {
    detail::one_at_a_time([&] {
      const auto place = [](const Finding& f) { return std::pair(f.after, f.coordinate); };
      if (!finding.rule.empty() && (finding_.rule.empty() || place(finding) < place(finding_))) finding_ = finding;
      finding_.large = true;
    });
  }

  template <class Shapes>
  [[noreturn]] void throw_finding(const Shapes& shapes, std::uint64_t step) const {
    std::size_t block = 0, coordinate = finding_.coordinate;
    while (block + 1 < shapes.blocks() && coordinate >= shapes.shape(block).size()) {
      coordinate -= shapes.shape(block++).size();
    }
    detail::throw_not_finite(name_, finding_.rule, finding_.value, coordinate, block, shapes.blocks(), step);
  }

  GuardedOptions options_;
  std::uint64_t skipped_ = 0;
  Finding finding_;
  bool all_small_ = true;  // all that was folded
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Averager>
class Guarded<Averager>::Fold {
  using Inner = typename Averager::Fold;

 public:
  [[nodiscard]] bool due() const noexcept { return fold_.due(); }
  [[nodiscard]] bool wants_start() const noexcept {
    if constexpr (has_start) return fold_.wants_start();
    return false;
  }
  [[nodiscard]] FoldBy by() const noexcept { return looking() ? FoldBy::slice : detail::by(fold_); }
  [[nodiscard]] auto at(std::size_t offset) const noexcept
    requires FoldsByCoordinate<Inner>
  {
    return fold_.at(offset);
  }
  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    if (looking()) return guarded_->look(fold_, offset, weights);
    fold_.after(offset, weights);
  }

  [[nodiscard]] bool looking() const noexcept { return guarded_->guards() && due(); }
  [[nodiscard]] bool accepts() const noexcept { return guarded_->finding_.rule.empty(); }
  [[nodiscard]] const Inner& accepted() const noexcept { return fold_; }

  void commit(Outcome& outcome) const noexcept {
    if (!looking() || accepts()) {
      if (guarded_->finding_.large) guarded_->all_small_ = false;
      return fold_.commit(outcome);
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
  Fold(Guarded& guarded, const Inner& fold) : guarded_(&guarded), fold_(fold) {}

  Guarded* guarded_;
  Inner fold_;
};

}  // namespace polyak
