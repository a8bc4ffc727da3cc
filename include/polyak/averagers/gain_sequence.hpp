#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include "polyak/averagers/cadence.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/mul_add.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak {

/// When to fold and by which gain, without a vector in it: for whoever keeps the average s_k = s_{k−1} + a_k (θ −
/// s_{k−1}) in a place of their own, as on another device. Every averager hands out its own:
///
///     auto gains = Ema{{.decay = 0.999}}.gains();
///     const auto next = gains.next();                              // after each step:
///     if (next.gain() == 1) s = theta;                             // whatever s was; for every weight
///     if (0 < next.gain() && next.gain() < 1) s += next.gain() * (theta - s);
///     gains.commit(next);
///
/// Where the first gain is below 1, s begins as the weights before the first fold. O(1) in time and memory. The Gain
/// has
///
///     Options options                             start and every among them, and for_each_option
///     State                                       what one fold leaves to the next; has serialize, unless it is empty
///     double operator()(k, State&) const          a_k for k = 1, 2, …
///     name                                        as errors are to call it
template <class Gain>
class GainSequence {
  static_assert(
      requires(const typename Gain::Options& options, const detail::OptionChecker visit) {
        options.start;
        options.for_each_option(visit);
      }, "polyak: a Gain has Options with start, every or period, and for_each_option(visit)");

 public:
  using Options = typename Gain::Options;

  /// What one step is to do.
  class Next {
   public:
    /// Whether the step folds.
    [[nodiscard]] bool due() const noexcept { return due_; }
    /// a_k; 0 where nothing is due.
    [[nodiscard]] double gain() const noexcept { return gain_; }

   private:
    friend GainSequence;
    Next(const typename Gain::State& state, bool due) : state_(state), due_(due) {}

    [[no_unique_address]] typename Gain::State state_;
    double gain_ = 0;
    bool due_;
  };

  /// Throws std::invalid_argument on options out of range.
  explicit GainSequence(Options options) : gain_{std::move(options)}, count_(detail::cadence_of(gain_.options)) {
    gain_.options.for_each_option(detail::OptionChecker{Gain::name});
  }

  /// What the next step is to do; changes nothing. Throws std::invalid_argument where the gain is out of range.
  [[nodiscard]] Next next() const {
    Next next(state_, count_.due_in(1));
    if (next.due_) next.gain_ = checked_gain(count() + 1, next.state_);
    return next;
  }
  /// Counts the step, and its fold if that was due.
  void commit(const Next& next) noexcept {
    count_.count(next.due_);
    if (!next.due_) return;
    const double kept = 1 - next.gain_;
    squares_ = detail::mul_add(kept * kept, squares_, next.gain_ * next.gain_);
    age_ = kept * (age_ + 1);
    start_mass_ *= kept;
    if (start_mass_ < (std::numeric_limits<double>::min)()) start_mass_ = 0;  // no slow subnormals
    state_ = next.state_;
  }
  /// Counts a step whose fold was due and is left out.
  void skip() noexcept { count_.count_missed(); }

  /// Steps seen.
  [[nodiscard]] std::uint64_t steps() const noexcept { return count_.steps(); }
  /// Iterates folded in.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_.folds(); }
  /// 1/Σw² over the weights w of iterates and start, which counts as one: k for a uniform mean, 0 before any fold.
  [[nodiscard]] double effective_sample_size() const noexcept { return count() > 0 ? 1 / squares_ : 0; }
  /// Σ w_i (k − i): how many folds ago the average's centre of mass lies.
  [[nodiscard]] double mean_age() const noexcept { return age_; }
  /// Π (1 − a): the share of s_0 in the average.
  [[nodiscard]] double start_mass() const noexcept { return start_mass_; }

  [[nodiscard]] const Options& options() const noexcept { return gain_.options; }
  /// Whether the step that is so many steps ahead folds.
  [[nodiscard]] bool due_in(std::uint64_t steps) const noexcept { return count_.due_in(steps); }
  /// Whether the step after the next is the first that folds, and needs the weights that the next one has.
  [[nodiscard]] bool starts_after_next() const {
    if (count() > 0 || !count_.due_in(2)) return false;
    typename Gain::State state{};
    return checked_gain(1, state) != 1;
  }

  /// The learning rate of the next step, for a gain that depends on it.
  void set_rate(double rate) noexcept
    requires requires(Gain& gain) { gain.rate = rate; }
  {
    gain_.rate = rate;
  }

  /// Back to the state after construction.
  void reset() { *this = GainSequence(std::move(gain_.options)); }

  /// Saves or loads all that a later step depends on, as Averager::serialize does.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, Gain::name);
    options().for_each_option(detail::OptionSerializer<Archive>{archive, Gain::name});
    GainSequence loaded = *this;
    loaded.count_.serialize(archive, 0);
    detail::serialize_value(archive, "squares", loaded.squares_);
    detail::serialize_value(archive, "mean_age", loaded.age_);
    detail::serialize_value(archive, "start_mass", loaded.start_mass_);
    detail::serialize_part(archive, "gain", loaded.state_);
    if constexpr (detail::is_loading<Archive>) *this = std::move(loaded);
  }

 private:
  [[nodiscard]] double checked_gain(std::uint64_t k, typename Gain::State& state) const {
    const double gain = gain_(k, state);
    if (!detail::from_0_to_1.holds(gain)) detail::throw_bad_fold(Gain::name, "gain must be in [0, 1]", gain, k);
    return gain;
  }

  Gain gain_;
  detail::StepCount count_;
  double squares_ = 1;
  double age_ = 0;
  double start_mass_ = 1;
  [[no_unique_address]] typename Gain::State state_{};
};

}  // namespace polyak
