#pragma once

#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "support.hpp"

namespace dense {

using Vector = Eigen::Matrix<long double, Eigen::Dynamic, 1>;
using Matrix = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;

struct Input {
  std::vector<int> indices;
  std::vector<double> values;

  [[nodiscard]] polyak::SparseRow<int, double> row() const { return {indices, values}; }
};

/// What a sparse model is defined by: every coordinate moves, shrinks and is folded in every step, in long double.
template <class Options, class Averager>
class Model {
 public:
  Model(Options options, const Averager& averager)
      : options_(std::move(options)),
        gains_(averager.gains()),
        weights_(
            Matrix::Zero(static_cast<Eigen::Index>(options_.features), static_cast<Eigen::Index>(options_.outputs))),
        average_(weights_),
        paid_(weights_),
        sums_(weights_),
        intercept_(Vector::Zero(weights_.cols())),
        average_intercept_(intercept_),
        intercept_sums_(intercept_) {
    if constexpr (adaptive) {
      sums_.setConstant(options_.initial_accumulator);
      intercept_sums_.setConstant(options_.initial_accumulator);
    }
  }

  void step(const Input& x, std::span<const double> derivatives) {
    const auto next = gains_.next();
    const long double rate = options_.learning_rate(steps_++);
    if (gains_.count() == 0) {  // where the first gain is below 1, the average starts from here
      average_ = weights_;
      average_intercept_ = intercept_;
    }
    weights_ *= 1 - rate * static_cast<long double>(options_.l2);
    owed_ += rate * static_cast<long double>(options_.l1);
    for (Eigen::Index o = 0; o < weights_.cols(); ++o) {
      const long double derivative = derivatives[static_cast<std::size_t>(o)];
      for (std::size_t i = 0; i < x.indices.size(); ++i) {
        const auto j = static_cast<Eigen::Index>(x.indices[i]);
        weights_(j, o) += move(rate, derivative * static_cast<long double>(x.values[i]), sums_(j, o));
        if (options_.l1 > 0) pay(weights_(j, o), paid_(j, o));
      }
      if (options_.intercept) {
        intercept_[o] += move(rate * static_cast<long double>(options_.intercept_rate), derivative, intercept_sums_[o]);
      }
    }
    if (next.due()) {
      const long double gain = next.gain();
      average_ += gain * (weights_ - average_);
      average_intercept_ += gain * (intercept_ - average_intercept_);
    }
    gains_.commit(next);
  }

  [[nodiscard]] long double score(const Input& x, Eigen::Index output = 0) const {
    return score(x, output, weights_, intercept_);
  }
  [[nodiscard]] long double average_score(const Input& x, Eigen::Index output = 0) const {
    return score(x, output, average_, average_intercept_);
  }

  [[nodiscard]] const Matrix& weights() const { return weights_; }
  [[nodiscard]] const Matrix& average() const { return average_; }
  [[nodiscard]] const Vector& intercept() const { return intercept_; }
  [[nodiscard]] const Vector& average_intercept() const { return average_intercept_; }

  /// The largest difference from the model in a coordinate, as a share of the largest coordinate.
  template <class Sparse>
  [[nodiscard]] double error_of(const Sparse& model) const {
    using support::largest, support::worse;
    double error = largest(model.weights().template cast<long double>() - weights_);
    error = worse(error, largest(model.intercept().template cast<long double>() - intercept_));
    double scale = std::max(largest(weights_), largest(intercept_));
    if (model.has_average()) {
      error = worse(error, largest(model.average().template cast<long double>() - average_));
      error = worse(error, largest(model.average_intercept().template cast<long double>() - average_intercept_));
      scale = std::max({scale, largest(average_), largest(average_intercept_)});
    }
    return error == 0 ? 0 : error / scale;
  }

 private:
  static constexpr bool adaptive = requires(const Options& options) { options.epsilon; };

  [[nodiscard]] long double score(const Input& x, Eigen::Index output, const Matrix& weights,
                                  const Vector& intercept) const {
    long double sum = intercept[output];
    for (std::size_t i = 0; i < x.indices.size(); ++i) {
      sum += weights(x.indices[i], output) * static_cast<long double>(x.values[i]);
    }
    return sum;
  }
  [[nodiscard]] long double move(long double rate, long double gradient, [[maybe_unused]] long double& sum) const {
    if constexpr (adaptive) {
      sum += gradient * gradient;
      return gradient == 0 ? 0 : -rate * gradient / (std::sqrt(sum) + static_cast<long double>(options_.epsilon));
    } else {
      return -rate * gradient;
    }
  }
  /// Tsuruoka, Tsujii & Ananiadou (2009), figure 2.
  void pay(long double& weight, long double& paid) const {
    const long double before = weight;
    if (weight > 0) {
      weight = std::max(0.0L, weight - (owed_ + paid));
    } else if (weight < 0) {
      weight = std::min(0.0L, weight + (owed_ - paid));
    }
    paid += weight - before;
  }

  Options options_;
  std::remove_cvref_t<decltype(std::declval<const Averager&>().gains())> gains_;
  std::uint64_t steps_ = 0;
  Matrix weights_, average_, paid_, sums_;
  Vector intercept_, average_intercept_, intercept_sums_;
  long double owed_ = 0;
};

/// Inputs of up to `most` of d features, the first of them the most frequent; of the last two, one is never seen and
/// one once.
class Inputs {
 public:
  static constexpr int never = 1;  // from the end
  static constexpr int once = 2;

  Inputs(int features, int most, std::uint64_t seed) : features_(features), most_(most), random_(seed) {}

  Input next() {
    Input x;
    const std::uint64_t count = random_.integer(0, static_cast<std::uint64_t>(most_));
    for (std::uint64_t i = 0; i < count; ++i) {
      const double u = random_.uniform(0, 1);
      x.indices.push_back(static_cast<int>(u * u * (features_ - 2)));
      x.values.push_back(random_.uniform(-1, 1));
    }
    if (++made_ == 1000) {
      x.indices.push_back(features_ - once);
      x.values.push_back(0.75);
    }
    return x;
  }

 private:
  int features_;
  int most_;
  std::uint64_t made_ = 0;
  support::Random random_;
};

}  // namespace dense
