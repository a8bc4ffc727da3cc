#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "polyak/averagers/average.hpp"
#include "polyak/averagers/gain_sequence.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/round.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"

namespace polyak {

/// The recursion s_k = s_{k−1} + a_k (θ − s_{k−1}): a gain sequence a_k ∈ [0, 1] and a shadow s, together.
///
/// Gain is as GainSequence asks for; Shadow is the scalar s is kept in. An averager either stands alone, with
/// update(θ_t) once after every optimizer step t = 1, 2, …, or works inside an Averaged. It costs n shadows of memory,
/// one pass over them a fold, O(1) on the steps that fold nothing, and allocates at the first fold only.
template <class Gain, class Shadow = default_shadow>
class Averager : public Average<Averager<Gain, Shadow>, Shadow> {
  using Base = Average<Averager, Shadow>;

 public:
  using typename Base::shadow_type;
  using Options = typename Gain::Options;
  class Fold;

  /// Throws std::invalid_argument on options out of range.
  explicit Averager(Options options) : Base(Gain::name), gains_(std::move(options)) {}

  /// Gives s_0, the weights before the first fold, which is the average until that fold, even if a_1 = 1 then leaves
  /// nothing of it. Needed only alone, where a_1 < 1 (an EMA without bias correction) and the very first step folds;
  /// later on s_0 is the θ of the update before, which asks for a_1 therefore. Throws std::logic_error after the first
  /// fold and while swapped in.
  template <ReadableParameters P>
  void start_from(const P& params) {
    if (count() > 0) detail::throw_bad_order(name_, "start_from must come before the first fold");
    this->require_not_swapped();
    detail::read(this->list_, params, name_, [this](const auto& view) { this->start(view); });
  }
  void start_from(detail::NotReadable, const auto&...);

  /// Counts a step and, when it is due, folds θ_t in. Throws std::invalid_argument on a size other than that of the
  /// average, and std::logic_error while swapped in or, in the first step, where start_from is missing; then nothing
  /// has changed.
  template <ReadableParameters P>
  void update(const P& params) {
    detail::read(this->list_, params, name_, [this](const auto& view) {
      const Fold fold = begin_fold(view);
      if (fold.wants_start()) {
        detail::throw_bad_order(name_, "the first gain is below 1, so start_from(weights) must come before update");
      }
      if (takes_start()) this->start(view);
      detail::fold_all(view, fold);
      Outcome outcome;
      fold.commit(outcome);
    });
  }
  void update(detail::NotReadable, const auto&...);

  [[nodiscard]] const Options& options() const noexcept { return gains_.options(); }
  /// When to fold and by which gain: a copy of it goes on by itself, for an average that is kept elsewhere.
  [[nodiscard]] const GainSequence<Gain>& gains() const noexcept { return gains_; }
  /// True once there is anything to lose: a step, or a start.
  [[nodiscard]] bool in_use() const noexcept { return steps() > 0 || this->has_average(); }
  // As GainSequence says it, but that a start alone is a sample too.
  [[nodiscard]] std::uint64_t steps() const noexcept { return gains_.steps(); }
  [[nodiscard]] std::uint64_t count() const noexcept { return gains_.count(); }
  [[nodiscard]] double effective_sample_size() const noexcept {
    return count() == 0 && this->has_average() ? 1 : gains_.effective_sample_size();
  }
  [[nodiscard]] double mean_age() const noexcept { return gains_.mean_age(); }
  [[nodiscard]] double start_mass() const noexcept { return gains_.start_mass(); }

  /// Of the next step, for a gain that depends on it; an Averaged says it in each.
  void set_rate(double rate) noexcept
    requires requires(GainSequence<Gain>& gains) { gains.set_rate(rate); }
  {
    gains_.set_rate(rate);
  }

  /// Back to the state after construction; frees the shadow.
  void reset() { *this = Averager(options()); }

  /// Saves or loads all that a later step depends on, in the convention of cereal and Boost.Serialization; also saves
  /// while swapped in. The options are compared on loading: throws std::invalid_argument where they are not those of
  /// the saved object, saying which and how, and std::logic_error while swapped in; then, as where the archive throws,
  /// nothing has changed. O(n).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    this->begin_serialize(archive);
    GainSequence<Gain> gains = gains_;
    gains.serialize(archive, 0);
    this->serialize_average(archive, [](std::size_t) {});
    if constexpr (detail::is_loading<Archive>) gains_ = std::move(gains);
  }

  /// Begins the fold of the next step, before its weights move, which are the start where that is still unknown:
  /// throws as update does, and else changes nothing that can be read until the fold is committed.
  template <class View>
  [[nodiscard]] Fold begin_fold(const View& view) {
    this->require_not_swapped();
    if (this->begun_) this->layout_.check(view, name_);
    const Fold fold(*this);
    if (!this->begun_ && fold.due()) this->make_room(view);
    if (fold.wants_start()) this->take_start(view);
    return fold;
  }

 protected:
  using Base::name_;

  /// Whether the weights of this update are those before the first fold, which needs them.
  [[nodiscard]] bool takes_start() const { return !this->begun_ && gains_.starts_after_next(); }
  [[nodiscard]] bool due() const noexcept { return gains_.due_in(1); }
  void skip_fold() noexcept { gains_.skip(); }

 private:
  GainSequence<Gain> gains_;
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Gain, class Shadow>
class Averager<Gain, Shadow>::Fold {
 public:
  /// Whether the step folds; else there is nothing to do but to count it.
  [[nodiscard]] bool due() const noexcept { return next_.due(); }
  /// True where the fold needs an s_0 and there is none.
  [[nodiscard]] bool wants_start() const noexcept { return due() && !averager_->begun_ && next_.gain() != 1; }
  /// A gain of 1 assigns, since s + (θ − s) need not round to θ. A gain of 0 leaves every bit alone, whatever θ is:
  /// what has no weight does not count, and 0 · ∞ would be NaN.
  [[nodiscard]] FoldBy by() const noexcept {
    if (next_.gain() == 0) return FoldBy::nothing;
    return assigns() || detail::flushes(averager_->count()) ? FoldBy::slice : FoldBy::coordinate;
  }
  [[nodiscard]] auto at(std::size_t offset) const noexcept {
    return averager_->fold_at(offset, static_cast<T>(next_.gain()));
  }

  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    Base::template require_wide_enough<Weight>();
    if (assigns()) return averager_->assign(offset, weights);
    detail::fold_each(weights, at(offset));
    detail::flush_subnormals(averager_->shadow_.data() + offset, weights.size());
  }

  /// Whether the fold would leave coordinate i of the shadow finite; writes nothing.
  template <FloatingPoint Weight>
  [[nodiscard]] bool stays_finite(std::size_t i, Weight weight) const noexcept {
    if (assigns()) return detail::is_finite(detail::round_to<shadow_type>(weight));
    shadow_type s = averager_->shadow_.data()[i];
    const detail::FoldKernel<shadow_type> fold{&s, static_cast<T>(next_.gain())};
    if (next_.gain() != 0) fold(lanes::At<1>{0}, weight);
    return detail::is_finite(s);
  }

  void commit(Outcome&) const noexcept {
    averager_->gains_.commit(next_);
    averager_->begun_ |= next_.due();
  }

 private:
  friend Averager;
  using T = lanes::compute_t<shadow_type>;
  using Next = typename GainSequence<Gain>::Next;
  explicit Fold(Averager& averager) : averager_(&averager), next_(averager.gains_.next()) {}
  [[nodiscard]] bool assigns() const noexcept { return static_cast<T>(next_.gain()) == T(1); }

  Averager* averager_;
  Next next_;
};

}  // namespace polyak
