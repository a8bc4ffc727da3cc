#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/averagers/average.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

/// The recursion s_k = s_{k−1} + a_k (θ − s_{k−1}), for any gain sequence a_k ∈ [0, 1].
///
/// Gain is a callable double(k, State&); Shadow is the scalar s is kept in. An averager either stands alone, with
/// update(θ_t) once after every optimizer step t = 1, 2, …, or works inside an Averaged. It costs n shadows of memory,
/// one pass over them a fold, O(1) on the steps that fold nothing, and allocates at the first fold only.
template <class Gain, class Shadow = default_shadow>
class Averager : public Average<Shadow> {
  using Base = Average<Shadow>;

 public:
  using typename Base::shadow_type;
  class Fold;

  Averager(std::string_view name, Gain gain, Cadence cadence) : Base(name, cadence), gain_(std::move(gain)) {}

  /// Gives s_0, the weights before the first fold: the average until that is made, also where a_1 = 1 then leaves
  /// nothing of them. Needed only alone, where a_1 < 1 (an EMA without bias correction) and the very first step folds;
  /// later on they are the θ of the update before. Throws std::logic_error after the first fold and while swapped in.
  template <ReadableParameters P>
  void start_from(const P& params) {
    if (this->count() > 0) detail::throw_bad_order(name_, "start_from must come before the first fold");
    this->require_not_swapped();
    Base::template require_wide_enough<scalar_of<const P&>>();
    this->note(detail::layout_of(params, name_));
    detail::for_each_block(params, name_, [this](std::size_t offset, auto weights) { this->assign(offset, weights); });
    this->started_ = true;
  }

  /// Counts a step and, when it is due, folds θ_t in. Throws std::invalid_argument on a size other than that of the
  /// average, and std::logic_error while swapped in or, in the first step, where start_from is missing; then nothing
  /// has changed.
  template <ReadableParameters P>
  void update(const P& params) {
    auto fold = begin_fold(detail::layout_of(params, name_));
    if (fold.wants_start()) {
      detail::throw_bad_order(name_, "the first gain is below 1, so start_from(weights) must come before update");
    }
    if (takes_start()) start_from(params);
    detail::for_each_part<true>(params, name_, [&](std::size_t offset, auto weights) {
      fold.after(offset, std::span<const scalar_of<const P&>>(weights));
    });
    fold.commit();
  }

  /// True once there is anything to lose: a step, or a start.
  [[nodiscard]] bool in_use() const noexcept { return this->steps() > 0 || this->has_average(); }
  /// 1/Σw² over the weights w of the iterates and of the start, which counts as one: k for a uniform mean. 0 where
  /// there is no average yet.
  [[nodiscard]] double effective_sample_size() const noexcept { return this->has_average() ? 1 / squares_ : 0; }
  /// Σ w_i (k − i): how many folds ago the average's centre of mass lies.
  [[nodiscard]] double mean_age() const noexcept { return age_; }
  /// Π (1 − a): the share of s_0 in the average.
  [[nodiscard]] double start_mass() const noexcept { return start_mass_; }

  /// Back to the state after construction; frees the shadow.
  void reset() {
    this->forget();
    squares_ = start_mass_ = 1;
    age_ = 0;
    state_ = {};
  }

  /// Saves or loads all that a later step depends on, in the convention of cereal and Boost.Serialization; also saves
  /// while swapped in. The options are compared on loading: throws std::invalid_argument where they are not those of
  /// the saved object, saying which and how, and std::logic_error while swapped in; then, as where the archive throws,
  /// nothing has changed. A Gain of one's own lists its options by for_each_option, and its State has serialize, unless
  /// they are empty. O(n).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    this->serialize_cadence(archive);
    if constexpr (requires { gain_.for_each_option(detail::AnyOption{}); }) {
      gain_.for_each_option(detail::OptionSerializer<Archive>{archive, name_});
    } else {
      static_assert(std::is_empty_v<Gain>, "polyak: to be saved, a Gain that is not empty has for_each_option(visit)");
    }
    double squares = squares_, age = age_, start_mass = start_mass_;
    typename Gain::State state = state_;
    detail::serialize_value(archive, squares);
    detail::serialize_value(archive, age);
    detail::serialize_value(archive, start_mass);
    detail::serialize_part(archive, "gain", state);
    this->serialize_average(archive, [](std::size_t) {});
    if constexpr (detail::is_loading<Archive>) {
      squares_ = squares;
      age_ = age;
      start_mass_ = start_mass;
      state_ = state;
    }
  }

  /// Begins the fold of the next step: throws as update does, and else changes nothing but the capacity of the shadow
  /// until the fold is committed.
  [[nodiscard]] Fold begin_fold(const Layout& layout) {
    const bool fresh = !this->has_average();
    if (!fresh) layout_.check(layout, name_);
    Fold fold = begin_gain();
    if (fresh && !fold.idle()) this->note(layout);
    return fold;
  }
  /// The same for what keeps its average in a form of its own: only gain(), idle(), wants_start() and commit() of the
  /// fold are of use then, and nothing but the statistics of this averager.
  [[nodiscard]] Fold begin_gain() {
    this->require_not_swapped();
    Fold fold(*this);
    if (!this->due()) return fold;
    fold.gain_ = gain_(this->count() + 1, fold.state_);
    fold.due_ = true;
    fold.wants_start_ = !this->has_average() && fold.gain_ != 1;
    return fold;
  }

 protected:
  using Base::layout_;
  using Base::name_;

  [[nodiscard]] const Gain& gain() const noexcept { return gain_; }
  /// Whether the weights of this update are those before the first fold, which needs them.
  [[nodiscard]] bool takes_start() const { return !this->has_average() && this->due_in(2) && first_gain() != 1; }

 private:
  [[nodiscard]] double first_gain() const {
    typename Gain::State state{};
    return gain_(1, state);
  }

  Gain gain_;
  double squares_ = 1;
  double age_ = 0;
  double start_mass_ = 1;
  [[no_unique_address]] typename Gain::State state_;
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Gain, class Shadow>
class Averager<Gain, Shadow>::Fold {
 public:
  static constexpr bool concurrent = true;

  /// True where s_0 is still unknown: `before` takes it from the weights as they are before the step.
  [[nodiscard]] bool wants_start() const noexcept { return wants_start_; }

  template <FloatingPoint Weight>
  void before(std::size_t offset, std::span<const Weight> weights) const noexcept {
    if (wants_start_) averager_->assign(offset, weights);
  }

  /// A gain of 1 assigns, since s + (θ − s) need not round to θ. A gain of 0 leaves every bit alone, whatever θ is:
  /// what has no weight does not count, and 0 · ∞ would be NaN.
  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    Base::template require_wide_enough<Weight>();
    if (!due_ || gain_ == 0) return;
    if (assigns()) {
      averager_->assign(offset, weights);
    } else {
      detail::for_each_index(weights.size(), detail::then(detail::Read<Weight>{weights.data()}, at(offset)));
    }
  }

  /// Whether `after` would leave the shadow finite; writes nothing.
  template <FloatingPoint Weight>
  [[nodiscard]] bool stays_finite(std::size_t offset, std::span<const Weight> weights) const noexcept {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      shadow_type s = averager_->shadow_.data()[offset + i];
      if (assigns()) {
        detail::assign(&s, &weights[i], 1);
      } else if (gain_ != 0) {
        detail::Fold<shadow_type>{&s, static_cast<T>(gain_)}(0, weights[i]);
      }
      if (!detail::is_finite(s)) return false;
    }
    return true;
  }

  [[nodiscard]] double gain() const noexcept { return gain_; }
  /// Nothing to do in this step but to count it.
  [[nodiscard]] bool idle() const noexcept { return !due_; }
  [[nodiscard]] bool simple() const noexcept { return due_ && !wants_start_ && !assigns() && gain_ != 0; }
  [[nodiscard]] auto at(std::size_t offset) const noexcept { return averager_->fold_at(offset, static_cast<T>(gain_)); }

  void commit() const noexcept {
    Averager& averager = *averager_;
    averager.count_step(due_);
    if (!due_) return;
    const double kept = 1 - gain_;
    averager.squares_ = kept * kept * averager.squares_ + gain_ * gain_;
    averager.age_ = kept * (averager.age_ + 1);
    averager.start_mass_ *= kept;
    if (averager.start_mass_ < std::numeric_limits<double>::min()) averager.start_mass_ = 0;  // no slow subnormals
    averager.state_ = state_;
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
