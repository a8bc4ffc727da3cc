#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

/// Stands for "no shadow type named": double, or inside an Averaged what suits the scalar of its optimizer.
struct default_shadow {};

/// Wide enough that an average of these weights keeps moving: float for 16-bit scalars, else at least double. (An fp32
/// average stops about ulp/(2(1−β)) short of its target, 6e-4 of the weight at β = 0.9999.)
template <FloatingPoint Weight>
using wide_t = std::conditional_t<sizeof(Weight) == 2, float,
                                  std::conditional_t<std::is_same_v<Weight, long double>, long double, double>>;

/// Which steps fold: t ≥ max(start, 1) with t − start a multiple of every.
struct Cadence {
  std::uint64_t start = 0;
  std::uint64_t every = 1;

  [[nodiscard]] std::uint64_t first() const noexcept { return start > 0 ? start : every; }
};

/// Every average in polyak: s_k = s_{k−1} + a_k (θ − s_{k−1}), whatever the gain sequence a_k ∈ [0, 1].
///
/// Gain is a callable double(k, State&); Shadow is the scalar s is kept in. An averager either stands alone, with
/// update(θ_t) once after every optimizer step t = 1, 2, …, or works inside an Averaged. It costs n shadows of memory,
/// one pass over them a fold, O(1) on the steps that fold nothing, and allocates at the first fold only.
template <class Gain, class Shadow = default_shadow>
class Averager {
 public:
  using shadow_type = std::conditional_t<std::is_same_v<Shadow, default_shadow>, double, Shadow>;
  using vector_type = Eigen::Matrix<shadow_type, Eigen::Dynamic, 1>;
  class Fold;

  /// `name` must outlive the averager: a string literal.
  Averager(const char* name, Gain gain, Cadence cadence)
      : name_(name), gain_(std::move(gain)), cadence_(cadence), next_(cadence.first()) {}

  /// Gives s_0, the weights before the first fold. Needed only alone, where a_1 < 1 (an EMA without bias correction)
  /// and the very first step folds; later on they are the θ of the update before. Throws std::logic_error after the
  /// first fold.
  template <ReadableParameters P>
  void start_from(const P& params) {
    if (folds_ > 0) detail::throw_bad_order(name_, "start_from must come before the first fold");
    const auto weights = flat(params, name_);
    check_width<std::remove_const_t<typename decltype(weights)::element_type>>();
    shadow_.resize(static_cast<Eigen::Index>(weights.size()));
    detail::assign(shadow_.data(), weights.data(), weights.size());
    started_ = true;
  }

  /// Counts a step and, when it is due, folds θ_t in. Throws std::invalid_argument on a size other than that of the
  /// average, and std::logic_error while swapped in or, in the first step, where start_from is missing; then nothing
  /// has changed.
  template <ReadableParameters P>
  void update(const P& params) {
    const std::span<const scalar_of<const P&>> weights = flat(params, name_);
    auto fold = begin_fold(weights.size());
    if (fold.wants_start()) {
      detail::throw_bad_order(name_, "the first gain is below 1, so start_from(weights) must come before update");
    }
    if (folds_ == 0 && !started_ && steps_ + 2 == next_ && first_gain() != 1) start_from(params);
    fold.after(0, weights);
    fold.commit();
  }

  /// The average in the storage order of the parameters; throws std::logic_error before the first fold. O(1).
  [[nodiscard]] const vector_type& average() const {
    if (!has_average()) detail::throw_bad_order(name_, "there is no average before the first fold");
    return shadow_;
  }
  [[nodiscard]] bool has_average() const noexcept { return folds_ > 0; }

  /// The average, or `params` as they are before the first fold. By value, O(n).
  template <ReadableParameters P>
  [[nodiscard]] vector_type average_or(const P& params) const {
    const auto weights = flat(params, name_);
    if (has_average()) {
      check_size(weights.size());
      return shadow_;
    }
    vector_type copy(static_cast<Eigen::Index>(weights.size()));
    detail::assign(copy.data(), weights.data(), weights.size());
    return copy;
  }

  /// Rounds the average into any parameters of its size. Throws as average() does, and std::invalid_argument on another
  /// size, before anything is written. Allocates nothing.
  template <Parameters P>
  void copy_average_to(P&& params) const {
    const auto target = flat(params, name_);
    const auto& source = average();
    check_size(target.size());
    detail::assign(target.data(), source.data(), target.size());
  }

  /// Puts the average in the place of `params` until the guard it returns is restored or leaves scope; the trained bits
  /// are kept aside and put back as they were. Meanwhile update and step throw. `params` must outlive the guard and
  /// stay where they are in memory; guards of several averages on the same weights must go in reverse order. O(n).
  template <Parameters P>
  [[nodiscard]] SwapGuard<scalar_of<P>> swap_in(P&& params) {
    const auto target = flat(params, name_);
    require_not_swapped();
    const auto& source = average();
    check_size(target.size());
    SwapGuard<scalar_of<P>> guard(target, swapped_);
    detail::assign(target.data(), source.data(), target.size());
    return guard;
  }

  /// Steps seen.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  /// True once there is anything to lose: a step, or a start.
  [[nodiscard]] bool in_use() const noexcept { return steps_ > 0 || started_; }
  /// Iterates folded in.
  [[nodiscard]] std::uint64_t count() const noexcept { return folds_; }
  /// 1/Σw² over the weights w of the iterates and of the start, which counts as one: k for a uniform mean. 0 before the
  /// first fold.
  [[nodiscard]] double effective_sample_size() const noexcept { return has_average() ? 1 / squares_ : 0; }
  /// Σ w_i (k − i): how many folds ago the average's centre of mass lies.
  [[nodiscard]] double mean_age() const noexcept { return age_; }
  /// Π (1 − a): the share of s_0 in the average.
  [[nodiscard]] double start_mass() const noexcept { return start_mass_; }

  /// Back to the state after construction; frees the shadow.
  void reset() {
    steps_ = folds_ = 0;
    next_ = cadence_.first();
    squares_ = start_mass_ = 1;
    age_ = 0;
    state_ = {};
    started_ = false;
    shadow_ = vector_type();
  }

  /// Begins the fold of the next step over n parameters: throws as update does, and else changes nothing but the
  /// capacity of the shadow until the fold is committed.
  [[nodiscard]] Fold begin_fold(std::size_t n) {
    require_not_swapped();
    Fold fold(*this);
    const bool sized = folds_ > 0 || started_;
    if (sized) check_size(n);
    if (steps_ + 1 != next_) return fold;
    fold.gain_ = gain_(folds_ + 1, fold.state_);
    fold.due_ = true;
    if (!sized) {
      shadow_.resize(static_cast<Eigen::Index>(n));
      fold.wants_start_ = fold.gain_ != 1;
    }
    return fold;
  }

  /// Throws std::logic_error while the average stands in the place of the weights.
  void require_not_swapped() const {
    if (swapped_.get()) detail::throw_bad_order(name_, "the average is swapped in; restore the trained weights first");
  }

 protected:
  [[nodiscard]] const Gain& gain() const noexcept { return gain_; }
  [[nodiscard]] const Cadence& cadence() const noexcept { return cadence_; }

 private:
  [[nodiscard]] double first_gain() const {
    typename Gain::State state{};
    return gain_(1, state);
  }
  void count_fold(double a, const typename Gain::State& state) noexcept {
    ++folds_;
    next_ += cadence_.every;
    squares_ = (1 - a) * (1 - a) * squares_ + a * a;
    age_ = (1 - a) * (age_ + 1);
    start_mass_ *= 1 - a;
    if (start_mass_ < std::numeric_limits<double>::min()) start_mass_ = 0;  // else slow subnormals for good
    state_ = state;
  }
  void check_size(std::size_t n) const {
    const auto size = static_cast<std::size_t>(shadow_.size());
    if (n != size) detail::throw_bad_size(name_, "parameters must keep the size of the average,", size, n);
  }
  template <class Weight>
  static constexpr void check_width() {
    static_assert(!(std::is_same_v<Shadow, default_shadow> && std::is_same_v<Weight, long double>),
                  "polyak: name the shadow type to average long double weights, as in Ema<long double>");
  }

  const char* name_;
  Gain gain_;
  Cadence cadence_;
  std::uint64_t steps_ = 0;
  std::uint64_t next_;  // the step of the next fold
  std::uint64_t folds_ = 0;
  double squares_ = 1;
  double age_ = 0;
  double start_mass_ = 1;
  [[no_unique_address]] typename Gain::State state_;
  bool started_ = false;
  vector_type shadow_;
  detail::SwapFlag swapped_;
};

/// One step's share of the work, slice by slice. Refers to its averager, which must stay where it is meanwhile.
template <class Gain, class Shadow>
class Averager<Gain, Shadow>::Fold {
 public:
  /// True where s_0 is still unknown: `before` takes it from the weights as they are before the step.
  [[nodiscard]] bool wants_start() const noexcept { return wants_start_; }

  template <FloatingPoint Weight>
  void before(std::size_t offset, std::span<const Weight> weights) const noexcept {
    if (wants_start_) detail::assign(averager_->shadow_.data() + offset, weights.data(), weights.size());
  }

  /// A gain of 1 assigns, since s + (θ − s) need not round to θ.
  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    check_width<Weight>();
    if (!due_) return;
    if (assigns()) {
      detail::assign(averager_->shadow_.data() + offset, weights.data(), weights.size());
    } else {
      detail::for_each_index(weights.size(), detail::then(detail::Read<Weight>{weights.data()}, at(offset)));
    }
  }

  /// Nothing to do in this step but to count it.
  [[nodiscard]] bool idle() const noexcept { return !due_; }
  [[nodiscard]] bool simple() const noexcept { return due_ && !wants_start_ && !assigns(); }
  [[nodiscard]] auto at(std::size_t offset) const noexcept {
    return detail::Fold<shadow_type>{averager_->shadow_.data() + offset, static_cast<T>(gain_)};
  }

  void commit() const noexcept {
    ++averager_->steps_;
    if (due_) averager_->count_fold(gain_, state_);
  }

 private:
  friend Averager;
  using T = detail::compute_t<shadow_type>;
  explicit Fold(Averager& averager) : averager_(&averager), state_(averager.state_) {}
  [[nodiscard]] bool assigns() const noexcept { return static_cast<T>(gain_) == T(1); }

  Averager* averager_;
  [[no_unique_address]] typename Gain::State state_;
  double gain_ = 0;
  bool due_ = false;
  bool wants_start_ = false;
};

}  // namespace polyak
