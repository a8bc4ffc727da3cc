#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/averagers/cadence.hpp"
#include "polyak/averagers/compensated.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak {

/// An averager that is a sequence of gains, as all of the library are but Lawa and Guarded: gains() is that sequence.
template <class A>
concept GainAverager = std::copy_constructible<A> && requires(const A& averager) {
  { averager.gains().next().gain() } -> std::convertible_to<double>;
  { averager.gains().next().due() } -> std::same_as<bool>;
  { averager.in_use() } -> std::convertible_to<bool>;
};

namespace detail {

/// The gains of an average that is kept in the lag form, and what they tell of it.
template <class Averager>
class LagGains {
  static_assert(
      GainAverager<Averager>,
      "polyak: a GainAverager tells the gain of its next step: any averager of the library but Lawa and Guarded");
  static_assert(!names_compensated<Averager>,
                "polyak: sparse averages are kept in a form of their own, which Compensated does nothing for");

 public:
  [[nodiscard]] bool has_average() const noexcept { return count() > 0; }
  /// Iterates folded in, and what the average is made of: see Averager.
  [[nodiscard]] std::uint64_t count() const noexcept { return gains_.count(); }
  [[nodiscard]] double effective_sample_size() const noexcept { return gains_.effective_sample_size(); }
  [[nodiscard]] double mean_age() const noexcept { return gains_.mean_age(); }
  [[nodiscard]] double start_mass() const noexcept { return gains_.start_mass(); }

 protected:
  LagGains(const Averager& averager, std::string_view who) : gains_(averager.gains()) {
    if (averager.in_use()) throw_bad_order(who, "the averager must not be in use already");
  }
  void require_average(std::string_view who) const {
    if (has_average()) return;
    if constexpr (requires { cadence_of(gains_.options()), gains_.steps(); }) {
      throw_no_average(who, cadence_of(gains_.options()), gains_.steps());
    }
    throw_bad_order(who, "there is no average before the first fold");  // of gains of the user's own
  }

  std::remove_cvref_t<decltype(std::declval<const Averager&>().gains())> gains_;
};

/// The scalars of the lag form: the weights are θ = c v, their average is s = b v + a u. A step that moves a coordinate
/// by δ adds δ/c to v and −(b/a) δ/c to u, and so leaves s as it was. To shrink all weights changes c alone; to fold,
/// by any gain, changes a and b alone. So a step writes only the coordinates with δ ≠ 0. (For the uniform mean: Xu
/// 2011; Bottou 2012.)
class Lag {
  template <FloatingPoint Scalar>
  static constexpr double smallest = sizeof(Scalar) == 4 ? 0x1p-30 : 0x1p-240;

 public:
  /// Of a vector that is of_v · v + of_u · u.
  struct Shares {
    double of_v;
    double of_u;
  };
  [[nodiscard]] Shares weights() const noexcept { return {c_, 0}; }
  [[nodiscard]] Shares average() const noexcept { return {b_, equal_ ? 0 : a_}; }
  [[nodiscard]] double scale() const noexcept { return c_; }
  /// What u changes by as v changes by 1.
  [[nodiscard]] double counterweight() const noexcept { return -b_ / a_; }
  /// Whether s is θ, whatever u is: from the start or a fold by a gain of 1 on, until a step that is no such fold.
  [[nodiscard]] bool equal() const noexcept { return equal_; }
  /// How often all of v or u was written.
  [[nodiscard]] std::uint64_t sweeps() const noexcept { return sweeps_; }

  /// Whether s is θ after this step, so that u need not be written.
  template <class Next>
  [[nodiscard]] static bool follows(const Next& next, bool has_average) noexcept {
    return next.due() ? next.gain() == 1 : !has_average;
  }
  /// Begins a step. Returns true if u must be set to 0 first, because from now on it is read.
  [[nodiscard]] bool begin(bool follows) noexcept {
    if (!equal_ || follows) return false;
    equal_ = false;
    if (u_in_use_) ++sweeps_;
    return std::exchange(u_in_use_, false);
  }
  /// θ ← (1 − loss) θ, for loss in [0, 1].
  void shrink(double loss) noexcept { c_ = std::fma(-loss, c_, c_); }
  /// s ← s + gain (θ − s), once the weights have moved.
  template <class Next>
  void fold(const Next& next, bool follows) noexcept {
    u_in_use_ = u_in_use_ || !follows;
    if (follows) {
      a_ = weight_ = 1;
      b_ = c_;
      equal_ = true;
    } else if (next.due()) {
      const double gain = next.gain();
      a_ *= 1 - gain;
      b_ = std::fma(gain, c_ - b_, b_);
      weight_ = std::fma(gain, 1 - weight_, weight_);
    }
  }
  /// Call it once v has been set to θ and u to s; or v alone, where s is still to be θ: then `equal`.
  void rescaled(bool equal) noexcept {
    equal_ = equal;
    c_ = a_ = 1;
    b_ = weight_ = equal ? 1 : 0;
    u_in_use_ = u_in_use_ || !equal;
    ++sweeps_;
  }

  /// Whether v must be set to θ and u to s before the next step. It is so when a scale nears the end of the range of
  /// Scalar, and when b v and a u are so much larger than their sum that it cancels. They become so where the weights
  /// shrink faster than the average forgets. (While the weights do not shrink, b is weight · c.)
  template <FloatingPoint Scalar>
  [[nodiscard]] bool wants_rescaling() const noexcept {
    return c_ < smallest<Scalar> || a_ < smallest<Scalar> || b_ > 32 * c_ * weight_;
  }

  /// What a step adds to |v| + |u| at most for each 1 that it moves a weight by.
  [[nodiscard]] double per_move() const noexcept { return (1 + b_ / a_) / c_; }
  /// The most that this is while nothing wants rescaling.
  template <FloatingPoint Scalar>
  static constexpr double most_per_move = 33 / smallest<Scalar> / smallest<Scalar>;

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_value(archive, "c", c_);
    serialize_value(archive, "b", b_);
    serialize_value(archive, "a", a_);
    serialize_value(archive, "weight", weight_);
    serialize_value(archive, "equal", equal_);
    serialize_value(archive, "u_in_use", u_in_use_);
    serialize_value(archive, "sweeps", sweeps_);
  }

 private:
  double c_ = 1;
  double b_ = 1;
  double a_ = 1;
  double weight_ = 1;  // in s, of the folds since v was last set to θ
  bool equal_ = true;
  bool u_in_use_ = false;  // some u is not 0
  std::uint64_t sweeps_ = 0;
};

}  // namespace detail
}  // namespace polyak
