#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/sparse/lag.hpp"

namespace polyak::detail {

/// Weights w of d features × k outputs and their average s, in the lag form. The numbers of one feature lie side by
/// side: k of v, k of u and, if the caller keeps a state, k of that. Until the average first lags behind the weights, u
/// is 0 and left out, so that a step costs as much as one without an average.
///
/// Side by side, v and u of a feature are one line of the cache to wait for. A step with 70 nonzeros of 2²⁰ (of 47,236)
/// features takes 1.4 (1.05) times as long as one without an average; with v and u in arrays of their own, 2.1 (1.3)
/// times, and with eight of v, then their eight of u, 1.9 (1.3) times. See bench/sparse_steps.cpp.
template <class Scalar>
class LaggedRows {
 public:
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;

  LaggedRows() = default;
  /// All weights are 0, and all states `state`, which is 0 if there are none. Throws std::invalid_argument if there are
  /// more numbers than memory can hold.
  LaggedRows(std::size_t features, std::size_t outputs, bool has_state, double state, std::string_view who)
      : features_(features), outputs_(outputs), stride_(outputs * (has_state ? 2 : 1)) {
    const std::size_t most =
        (std::min)(numbers_.max_size(), static_cast<std::size_t>((std::numeric_limits<Eigen::Index>::max)()));
    if (outputs > most / 3 || features > most / (stride_ + outputs)) {
      throw_bad_value(who, "features times outputs must fit in memory", std::uint64_t{features});
    }
    numbers_.assign(features * (stride_ + outputs), Scalar(0));
    for (std::size_t at = outputs; state != 0 && at < features * stride_; at += stride_) {
      std::fill_n(numbers_.data() + at, outputs, static_cast<Scalar>(state));
    }
  }

  [[nodiscard]] const Lag& lag() const noexcept { return lag_; }
  [[nodiscard]] Lag& lag() noexcept { return lag_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return numbers_.size() * sizeof(Scalar); }

  /// Σ x_j w_j, for one output. In four sums, since in one each addition would wait for the one before.
  template <class Row>
  [[nodiscard]] double product(const Row& x) const noexcept {
    const auto* const indices = x.indices.data();
    const auto* const values = x.values.data();
    const auto term = [indices, values, numbers = numbers_.data(), stride = stride_](std::size_t i) {
      return static_cast<double>(values[i]) * double{numbers[static_cast<std::size_t>(indices[i]) * stride]};
    };
    const std::size_t n = x.indices.size();
    ask_for(x);
    const std::size_t rest = n % 4;
    double sums[4] = {};
    for (std::size_t i = 0; i < n - rest; i += 4) {
      for (std::size_t j = 0; j < 4; ++j) sums[j] += term(i + j);
    }
    if (n == 0) return 0;
    for (std::size_t j = 0; j < 3; ++j) {  // without a branch: no processor predicts how many terms are left
      const double last = term((std::min)(n - rest + j, n - 1));
      sums[j] += j < rest ? last : 0;
    }
    return lag_.scale() * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
  /// sums_o += Σ x_j y_jo, where y are the weights or their average, as lag() has them.
  template <class Row>
  void add_products(const Row& x, Lag::Shares y, std::span<double> sums) const noexcept {
    ask_for(x);
    for (std::size_t i = 0; i < x.indices.size(); ++i) {
      const auto j = static_cast<std::size_t>(x.indices[i]);
      const double value = static_cast<double>(x.values[i]);
      for (std::size_t o = 0; o < outputs_; ++o) sums[o] += value * mix(j, o, y);
    }
  }
  /// The weights or their average, features × outputs.
  [[nodiscard]] Matrix read_out(Lag::Shares y) const {
    Matrix all(static_cast<Eigen::Index>(features_), static_cast<Eigen::Index>(outputs_));
    for (std::size_t j = 0; j < features_; ++j) {
      for (std::size_t o = 0; o < outputs_; ++o) {
        all(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(o)) = mix(j, o, y);
      }
    }
    return all;
  }

  /// The largest |number| kept of feature j, or NaN.
  [[nodiscard]] double largest(std::size_t j) const noexcept {
    magnitude_t<Scalar> most = 0;
    for (std::size_t at = j * stride_; at < (j + 1) * stride_; ++at) most = (std::max)(most, magnitude(numbers_[at]));
    return double{std::bit_cast<Scalar>(most)};
  }
  /// Lag::per_move in a step that begins so.
  [[nodiscard]] double per_move(bool follows, double loss) const noexcept {
    Lag lag = lag_;
    static_cast<void>(lag.begin(follows));
    lag.shrink(loss);
    if (lag.template wants_rescaling<Scalar>()) lag.rescaled(lag.equal());
    return lag.per_move();
  }

  /// Begins a step, which first shrinks all weights by 1 − loss. The average follows the weights or stays where it is.
  void begin(bool follows, double loss) noexcept {
    if (lag_.begin(follows)) sweep([](Scalar&, Scalar& u) { u = 0; });
    if (!lag_.equal() && !has_u()) add_u();
    lag_.shrink(loss);
    if (!lag_.template wants_rescaling<Scalar>()) return;
    sweep([equal = lag_.equal(), c = lag_.scale(), s = lag_.average()](Scalar& v, Scalar& u) {
      if (!equal) u = static_cast<Scalar>(s.of_v * double{v} + s.of_u * double{u});
      v = static_cast<Scalar>(c * double{v});
    });
    lag_.rescaled(lag_.equal());
  }
  /// w_j ← w_j + factor x_j, for one output without states.
  template <class Row>
  void add_multiple(const Row& x, double factor) noexcept {
    if (lag_.equal()) return add_pairs<false>(x, factor);
    add_pairs<true>(x, factor);
  }
  /// w_jo ← w_jo + f(j, o, x_j, w_jo, state); f may change the state of jo.
  template <class Row, class F>
  void add(const Row& x, const F& f) noexcept {
    const double scale = lag_.scale();
    const double into_v = 1 / scale;
    const double counterweight = lag_.counterweight();
    for (std::size_t i = 0; i < x.indices.size(); ++i) {
      const auto j = static_cast<std::size_t>(x.indices[i]);
      Scalar* const v = numbers_.data() + j * stride_;
      Scalar* const u = v + outputs_;
      Scalar* const states = v + stride_ - outputs_;
      for (std::size_t o = 0; o < outputs_; ++o) {
        const double before = double{v[o]};
        const double weight = scale * before;
        const double moved = f(j, o, static_cast<double>(x.values[i]), weight, states + o);
        v[o] = static_cast<Scalar>(weight + moved == 0 ? 0 : before + into_v * moved);
        if (!lag_.equal()) u[o] = moved_u(u[o], counterweight, double{v[o]} - before);
      }
    }
  }

  /// Saves, or loads into rows of the same size, always with u: that is added first where there is none yet.
  template <class Archive>
  void serialize(Archive& archive, std::string_view who) {
    if (!has_u()) add_u();
    lag_.serialize(archive, 0);
    serialize_array(archive, who, "rows", numbers_, numbers_.size());
  }

 private:
  /// Rows that are not in the cache arrive sooner if all are asked for at once.
  template <class Row>
  void ask_for(const Row& x) const noexcept {
    if (bytes() <= std::size_t{1} << 20) return;
    for (const auto j : x.indices) Eigen::internal::prefetch(numbers_.data() + static_cast<std::size_t>(j) * stride_);
  }

  template <bool Lagging, class Row>
  void add_pairs(const Row& x, double factor) noexcept {
    // Copies, because the compiler cannot know that the numbers stored here do not overwrite the pointers of x.
    const auto* const indices = x.indices.data();
    const auto* const values = x.values.data();
    Scalar* const numbers = numbers_.data();
    const std::size_t stride = Lagging ? 2 : stride_;
    const double for_v = factor / lag_.scale();
    const double counterweight = lag_.counterweight();
    using Pair = Eigen::Array<double, 2, 1, Eigen::ColMajor>;
    const Pair for_both(for_v, counterweight * for_v);
    lanes::for_each<8>(x.indices.size(), [=](auto at) {
      for (std::size_t i = at.first; i < at.first + at.count; ++i) {
        Scalar* const pair = numbers + static_cast<std::size_t>(indices[i]) * stride;
        const double value = static_cast<double>(values[i]);
        if constexpr (Lagging && std::is_same_v<Scalar, double>) {
          Eigen::Map<Pair> both(pair);
          both += value * for_both;
        } else {
          const double before = double{pair[0]};
          pair[0] = static_cast<Scalar>(before + value * for_v);
          if constexpr (Lagging) pair[1] = moved_u(pair[1], counterweight, double{pair[0]} - before);
        }
      }
    });
  }
  /// u moves by the difference between the numbers that are stored of v, so that s does not take the rounding of v for
  /// a move, which would add up where steps are small beside the weight. (For one output in double the rounding is less
  /// than 1e-16 of the weight a step, so there v and u move at once.)
  [[nodiscard]] static Scalar moved_u(Scalar u, double counterweight, double moved) noexcept {
    return static_cast<Scalar>(double{u} + counterweight * moved);
  }

  [[nodiscard]] bool has_u() const noexcept { return features_ * stride_ == numbers_.size(); }
  /// Moves rows apart, from the last to the first, so that each has room for its u.
  void add_u() noexcept {
    const std::size_t wide = stride_ + outputs_;
    for (std::size_t j = features_; j-- > 0;) {
      const Scalar* const from = numbers_.data() + j * stride_;
      Scalar* const to = numbers_.data() + j * wide;
      std::copy_backward(from + outputs_, from + stride_, to + wide);
      std::copy_backward(from, from + outputs_, to + outputs_);
      std::fill_n(to + outputs_, outputs_, Scalar(0));
    }
    stride_ = wide;
  }
  /// y_jo.
  [[nodiscard]] double mix(std::size_t j, std::size_t o, Lag::Shares y) const noexcept {
    const Scalar* const v = numbers_.data() + j * stride_ + o;
    return y.of_v * double{*v} + (has_u() ? y.of_u * double{v[outputs_]} : 0);
  }
  /// f(v, u) everywhere, which may change them, but must leave u alone where there is none.
  template <class F>
  void sweep(F f) noexcept {
    for (std::size_t j = 0; j < features_; ++j) {
      Scalar* const row = numbers_.data() + j * stride_;
      for (std::size_t o = 0; o < outputs_; ++o) f(row[o], row[outputs_ + o]);
    }
  }

  Lag lag_;
  std::size_t features_ = 0;
  std::size_t outputs_ = 1;
  std::size_t stride_ = 1;
  std::vector<Scalar> numbers_;
};

}  // namespace polyak::detail
