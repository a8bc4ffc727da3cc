#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/exact_sum.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/non_finite.hpp"
#include "polyak/parameters.hpp"
#include "polyak/sparse/lag.hpp"
#include "polyak/sparse/lagged_rows.hpp"
#include "polyak/sparse/sparse_row.hpp"

namespace polyak::detail {

/// The options that all sparse models have.
void for_each_sparse_option(const auto& options, const auto& visit) {
  visit("features", std::uint64_t{options.features}, at_least_1);
  visit("outputs", std::uint64_t{options.outputs}, at_least_1);
  visit("learning_rate", options.learning_rate, nonnegative);
  visit("l2", options.l2, nonnegative);
  visit("l1", options.l1, nonnegative);
  visit("intercept", options.intercept);
  visit("intercept_rate", options.intercept_rate, nonnegative);
  visit("non_finite", name_of(options.non_finite));
}

/// What the linear models on sparse inputs have in common: scores x·W + intercept of d features and k outputs, trained
/// and averaged at O(nonzeros · k) a step. The Rule holds what differs:
///
///     Options (features, outputs, learning_rate, l2, l1, intercept, intercept_rate, non_finite), name
///     Rule{Options}
///     has_state, initial_state()   whether each weight has a state, and the double it starts as
///     descend(rate, g, state)      returns by how much a weight moves along its derivative g
template <class Rule, class Averager, class Scalar>
  requires(std::same_as<Scalar, float> || std::same_as<Scalar, double>)
class SparseLinear : public LagGains<Averager> {
 public:
  using scalar_type = Scalar;
  using averager_type = Averager;  ///< whose gains fold the weights
  using Options = typename Rule::Options;
  using Matrix = typename LaggedRows<Scalar>::Matrix;                        ///< features × outputs
  using Vector = Eigen::Matrix<double, Eigen::Dynamic, 1, Eigen::ColMajor>;  ///< outputs

  /// The averager lends its gains and must not be in use.
  SparseLinear(Options options, const Averager& averager)
      : LagGains<Averager>(averager, Rule::name), rule_{std::move(options)} {
    const Options& o = rule_.options;
    o.for_each_option(OptionChecker{Rule::name});
    if (o.learning_rate.is_number()) check_rate(o.learning_rate(0));
    start();
  }

  /// The score x·w + intercept by the trained weights, for one output. O(nonzeros). Throws std::invalid_argument on a
  /// feature out of range, as do all that take an input.
  template <class X>
  [[nodiscard]] double predict(const X& x) const {
    check_outputs(1);
    return score(nonzeros_of(x, features(), Rule::name));
  }
  /// The scores of all outputs, into an Eigen vector, std::vector or std::span of double. O(nonzeros · outputs).
  template <class X, ParametersOf<double> Scores>
  void predict(const X& x, Scores&& into) const {
    const std::span<double> scores = flat(into, Rule::name);
    check_outputs(scores.size());
    put_scores(nonzeros_of(x, features(), Rule::name), scores);
  }
  /// The same by the averaged weights. Throws std::logic_error before the first fold.
  template <class X>
  [[nodiscard]] double predict_average(const X& x) const {
    double score = 0;
    predict_average(x, std::span(&score, 1));
    return score;
  }
  /// The scores of all outputs by the averaged weights, likewise.
  template <class X, ParametersOf<double> Scores>
  void predict_average(const X& x, Scores&& into) const {
    const std::span<double> scores = flat(into, Rule::name);
    this->require_average(Rule::name);
    check_outputs(scores.size());
    const auto row = nonzeros_of(x, features(), Rule::name);
    std::copy_n(average_intercept_.data(), scores.size(), scores.data());
    rows_.add_products(row, rows_.lag().average(), scores);
  }

  /// Takes a step, given the derivative of the loss by the score at x, and folds the weights into the average where
  /// that is due. O(nonzeros). Throws std::invalid_argument on a feature out of range, or a learning rate or a gain out
  /// of range from a schedule; then nothing has changed. With NonFinite::raise, throws std::runtime_error on a row that
  /// is left out, when nothing but skipped() has changed.
  template <class X>
  void step(const X& x, double derivative) {
    step(x, std::span(&derivative, 1));
  }
  /// The same for several outputs, one derivative each. O(nonzeros · outputs).
  template <class X, Scalars Derivatives>
  void step(const X& x, const Derivatives& given) {
    const std::span<const double> derivatives = flat(given, Rule::name);
    check_outputs(derivatives.size());
    take(x, [derivatives](const auto&) { return derivatives; });
  }
  /// The same, given a function from the score to the derivative. If it throws, nothing has changed.
  template <class X, std::invocable<double> F>
    requires(!EigenDense<F>)
  void step(const X& x, F&& derivative_at) {
    check_outputs(1);
    double derivative;
    take(x, [&](const auto& row) {
      derivative = std::forward<F>(derivative_at)(score(row));
      return std::span<const double>(&derivative, 1);
    });
  }
  /// The same for several outputs: f(scores, derivatives) fills in the derivatives.
  template <class X, std::invocable<std::span<const double>, std::span<double>> F>
    requires(!EigenDense<F>)
  void step(const X& x, F&& put_derivatives) {
    take(x, [&](const auto& row) -> std::span<const double> {
      const std::span<double> scores(scratch_.data(), outputs());
      const std::span<double> derivatives(scratch_.data() + outputs(), outputs());
      std::fill(derivatives.begin(), derivatives.end(), 0.0);
      put_scores(row, scores);
      std::forward<F>(put_derivatives)(std::span<const double>(scores), derivatives);
      return derivatives;
    });
  }

  /// The trained weights, features × outputs. O(features · outputs), as is average().
  [[nodiscard]] Matrix weights() const { return rows_.read_out(rows_.lag().weights()); }
  /// Their average; throws std::logic_error before the first fold.
  [[nodiscard]] Matrix average() const {
    this->require_average(Rule::name);
    return rows_.read_out(rows_.lag().average());
  }
  /// The intercepts, one for each output.
  [[nodiscard]] const Vector& intercept() const noexcept { return intercept_; }
  /// Their average. Throws std::logic_error before the first fold.
  [[nodiscard]] const Vector& average_intercept() const {
    this->require_average(Rule::name);
    return average_intercept_;
  }

  [[nodiscard]] std::size_t features() const noexcept { return rule_.options.features; }
  [[nodiscard]] std::size_t outputs() const noexcept { return rule_.options.outputs; }
  [[nodiscard]] const Options& options() const noexcept { return rule_.options; }
  /// Steps taken: the t that schedules are asked next.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  /// Rows that were left out, by NonFinite::skip or raise.
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }
  /// How often a step visited all features, O(features · outputs), to fold the scales back into the numbers: about once
  /// in 166/(1−β) steps of an EMA; with L2 of strength λ at rate η once in 5/λη steps if the average looks back further
  /// than that, else once in 166/λη; and once in the step after a gain of 1 that was not the first. For float, read 21
  /// for 166. Not counted is the one that makes room for the average, in the first step that it does not follow.
  [[nodiscard]] std::uint64_t sweeps() const noexcept { return rows_.lag().sweeps(); }
  /// Bytes of memory that the numbers of all features take.
  [[nodiscard]] std::size_t memory() const noexcept { return rows_.bytes() + paid_.size() * sizeof(double); }

  /// The η of the next step.
  [[nodiscard]] double learning_rate() const { return rule_.options.learning_rate(steps_); }

  /// Back to the state after construction.
  void reset() {
    this->gains_.reset();
    steps_ = skipped_ = 0;
    owed_ = {};
    start();
  }

  /// Saves or loads as Averager::serialize does: weights, intercepts, their averages, and all that a later step
  /// depends on. O(features · outputs).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Rule::name);
    const OptionSerializer<Archive> option{archive, Rule::name};
    option("scalar", scalar_name<Scalar>);
    rule_.options.for_each_option(option);
    std::conditional_t<is_loading<Archive>, SparseLinear, SparseLinear&> state = *this;
    serialize_value(archive, "steps", state.steps_);
    serialize_value(archive, "skipped", state.skipped_);
    serialize_value(archive, "bound", state.bound_);
    serialize_value(archive, "owed", state.owed_.sum);
    serialize_value(archive, "owed_rest", state.owed_.rest);
    state.rows_.serialize(archive, Rule::name);
    const auto array = [&archive](std::string_view member, auto& numbers) {
      serialize_array(archive, Rule::name, member, numbers, static_cast<std::uint64_t>(numbers.size()));
    };
    array("paid", state.paid_);
    array("intercepts", state.intercept_);
    array("intercept_rest", state.intercept_rest_);
    array("average_intercept", state.average_intercept_);
    array("intercept_state", state.intercept_state_);
    serialize_part(archive, "averager", state.gains_);
    if constexpr (is_loading<Archive>) *this = std::move(state);
  }

 private:
  void start() {
    const std::size_t k = outputs();
    double state = 0;
    if constexpr (Rule::has_state) state = rule_.initial_state();
    rows_ = LaggedRows<Scalar>(features(), k, Rule::has_state, state, Rule::name);
    if constexpr (Rule::has_state) intercept_state_.assign(k, state);
    if (rule_.options.l1 > 0) paid_.assign(features() * k, 0);
    intercept_.setZero(static_cast<Eigen::Index>(k));
    intercept_rest_ = average_intercept_ = intercept_;
    scratch_.resize(2 * k);
    bound_ = guards() ? state : std::numeric_limits<double>::infinity();
  }

  [[nodiscard]] bool guards() const noexcept { return rule_.options.non_finite != NonFinite::propagate; }

  void check_rate(double rate) const {
    OptionChecker{Rule::name}("learning_rate", rate, nonnegative);
    require(rate * rule_.options.l2 <= 1, Rule::name, "learning_rate times l2 must be <= 1", rate * rule_.options.l2);
  }
  void check_outputs(std::size_t n) const {
    if (n != outputs())
      throw_bad_size(Rule::name, "there must be as many scores or derivatives as outputs,", outputs(), n);
  }

  template <class Row>
  [[nodiscard]] double score(const Row& x) const noexcept {
    return intercept_[0] + rows_.product(x);
  }
  template <class Row>
  void put_scores(const Row& x, std::span<double> scores) const noexcept {
    if (outputs() == 1) {
      scores[0] = score(x);
    } else {
      std::copy_n(intercept_.data(), scores.size(), scores.data());
      rows_.add_products(x, rows_.lag().weights(), scores);
    }
  }

  /// Takes a step along derivatives_at(nonzeros of x). After that call nothing throws.
  template <class X, class F>
  void take(const X& x, const F& derivatives_at) {
    const auto row = nonzeros_of(x, features(), Rule::name);
    const double rate = learning_rate();
    check_rate(rate);
    if constexpr (requires { this->gains_.set_rate(rate); }) this->gains_.set_rate(rate);
    const auto next = this->gains_.next();
    const Options& o = rule_.options;
    const bool small = guards() && all_below<small_exponent>(row.values);
    if (guards() && !small && !has_finite_values(row)) return;
    const std::span<const double> derivatives = derivatives_at(row);
    const bool follows = Lag::follows(next, this->has_average());
    if (guards() && !stays_finite(row, small, rate, follows, derivatives)) return;

    rows_.begin(follows, rate * o.l2);
    if (o.l1 > 0) {
      owed_ = exact_sum(owed_.sum, rate * o.l1 + owed_.rest);
      move<true>(row, rate, derivatives);
    } else if (Rule::has_state || outputs() > 1) {
      move<false>(row, rate, derivatives);
    } else {
      rows_.add_multiple(row, -rate * derivatives[0]);
    }
    rows_.lag().fold(next, follows);

    if (o.intercept) move_intercept(rate * o.intercept_rate, derivatives);
    if (follows) {
      average_intercept_ = intercept_;
    } else if (next.gain() != 0) {
      average_intercept_ += next.gain() * (intercept_ - average_intercept_);
    }
    this->gains_.commit(next);
    ++steps_;
  }

  /// What is left out is known before anything is written. Numbers are told by their bits, because of -ffast-math.
  static constexpr int small_exponent = 16;  // |value| < 2^16
  /// Numbers of the model stay below 2^limit: what is between them, and 32 times as large, does not overflow either.
  template <class T>
  static constexpr int limit = std::numeric_limits<T>::max_exponent - 8;

  template <class Row>
  [[nodiscard]] bool has_finite_values(const Row& x) {
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      if (!is_finite(x.values[i])) {
        return leave_out("values must be finite", static_cast<double>(x.values[i]), "feature", x.indices[i]);
      }
    }
    return true;
  }
  /// Whether all numbers stay below the limit. In one step none can come farther than the row is long times the largest
  /// move, since a feature may come twice. As long as the sum of these, bound_, is below the limit, no row is looked
  /// at.
  template <class Row>
  [[nodiscard]] bool stays_finite(const Row& x, bool small, double rate, bool follows,
                                  std::span<const double> derivatives) {
    const Options& o = rule_.options;
    double steepest = 0;
    for (std::size_t k = 0; k < derivatives.size(); ++k) {
      if (!is_finite(derivatives[k])) return leave_out("derivatives must be finite", derivatives[k], "output", k);
      steepest = (std::max)(steepest, std::abs(derivatives[k]));
    }
    const double n = static_cast<double>(x.indices.size());
    const double owed = o.l1 > 0 ? 2 * (owed_.sum + rate * o.l1) : 0;
    // How far numbers of a feature move: v and u by their weight's move, a state by a square.
    const auto farthest = [=](double value, double per_move) {
      const double gradient = value * steepest;
      const double moved = rate * gradient + owed + 2 * rate;  // Adagrad's are below 2 rate
      return per_move * moved + (Rule::has_state ? gradient * gradient : 0);
    };
    if (small) {
      const double moves = n + 1 + 3 * o.intercept_rate;
      const double most = bound_ + moves * farthest(1 << small_exponent, Lag::most_per_move<Scalar>);
      if (is_below<limit<Scalar>>(most)) {
        bound_ = most;
        return true;
      }
    }
    const double per_move = rows_.per_move(follows, rate * o.l2);
    double most = bound_;
    for (std::size_t i = 0; i < x.indices.size(); ++i) {
      const double value = (std::max)(1.0, std::abs(static_cast<double>(x.values[i])));
      const double number = rows_.largest(static_cast<std::size_t>(x.indices[i])) + n * farthest(value, per_move);
      if (!is_below<limit<Scalar>>(number)) {
        return leave_out("a row must leave the model finite", static_cast<double>(x.values[i]), "feature",
                         x.indices[i]);
      }
      most = (std::max)(most, number);
    }
    for (std::size_t k = 0; k < derivatives.size(); ++k) {
      const double d = std::abs(derivatives[k]);
      double number = owed;
      if (o.intercept) number += std::abs(intercept_.data()[k]) + o.intercept_rate * (rate * d + 2 * rate);
      if constexpr (Rule::has_state) number += intercept_state_[k] + d * d;
      if (!is_below<limit<double>>(number)) {
        return leave_out("a step must leave the model finite", derivatives[k], "output", k);
      }
      most = (std::max)(most, number);
    }
    bound_ = most;
    return true;
  }
  /// Counts a row. Throws "name: rule, got value in place number at step t" if the rule is to raise; else returns
  /// false.
  template <class Number>
  [[gnu::cold, gnu::noinline]] bool leave_out(std::string_view rule, double got, std::string_view place, Number which) {
    ++skipped_;
    if (rule_.options.non_finite != NonFinite::raise) return false;
    throw std::runtime_error(std::string(Rule::name)
                                 .append(": ")
                                 .append(rule)
                                 .append(", got " + to_text(got) + " in ")
                                 .append(place)
                                 .append(" " + std::to_string(which) + " at step " + std::to_string(steps_ + 1)));
  }

  template <bool Penalised, class Row>
  void move(const Row& x, double rate, std::span<const double> derivatives) noexcept {
    rows_.add(x, [&](std::size_t j, std::size_t o, double value, double weight, [[maybe_unused]] Scalar* state) {
      const double gradient = value * derivatives[o];
      double moved = -rate * gradient;
      if constexpr (Rule::has_state) {
        double s = double{*state};
        moved = rule_.descend(rate, gradient, s);
        *state = static_cast<Scalar>(s);
      }
      if constexpr (Penalised) moved = penalised(weight + moved, paid_[j * outputs() + o]) - weight;
      return moved;
    });
  }
  /// A weight less the penalty it still owes, but not past zero.
  [[nodiscard]] double penalised(double weight, double& paid) const noexcept {
    double rest = weight;
    if (weight > 0) {
      rest = (std::max)(0.0, weight - ((owed_.sum + paid) + owed_.rest));
    } else if (weight < 0) {
      rest = (std::min)(0.0, weight + ((owed_.sum - paid) + owed_.rest));
    }
    paid += rest - weight;
    return rest;
  }

  /// With its rest, since every step moves the intercepts and they forget nothing: what rounding drops would add up
  /// (Kahan 1965).
  void move_intercept(double rate, std::span<const double> derivatives) noexcept {
    for (std::size_t o = 0; o < derivatives.size(); ++o) {
      double moved = -rate * derivatives[o];
      if constexpr (Rule::has_state) moved = rule_.descend(rate, derivatives[o], intercept_state_[o]);
      const ExactSum<double> next = exact_sum(intercept_.data()[o], moved + intercept_rest_.data()[o]);
      intercept_.data()[o] = next.sum;
      intercept_rest_.data()[o] = next.rest;
    }
  }

  Rule rule_;
  LaggedRows<Scalar> rows_;
  std::uint64_t steps_ = 0;
  ExactSum<double> owed_{};   // L1 in all; with the rest, since equal terms are rounded alike, and that adds up
  std::vector<double> paid_;  // L1 that each weight has paid
  Vector intercept_;          // up to intercept_rest_
  Vector intercept_rest_;
  Vector average_intercept_;
  std::vector<double> intercept_state_;
  std::vector<double> scratch_;
  std::uint64_t skipped_ = 0;
  double bound_ = 0;  // of every |number| of the model, while guards()
};

}  // namespace polyak::detail
