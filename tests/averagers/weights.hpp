#pragma once

#include <polyak/averagers/averager.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

/// What an average is made of, seen from outside.

namespace weights {

/// The weights of θ_1 … θ_n in the average after n steps: θ_i is the i-th unit vector.
template <class Averager>
Eigen::VectorXd of(Averager averager, Eigen::Index n) {
  for (Eigen::Index i = 0; i < n; ++i) averager.update(Eigen::VectorXd(Eigen::VectorXd::Unit(n, i)));
  return averager.average();
}

/// The same, by the gains a_1 … a_n, in long double: a_i Π_{j > i} (1 − a_j).
inline std::vector<long double> of_gains(const std::vector<long double>& gains) {
  std::vector<long double> result(gains.size());
  long double kept = 1;
  for (std::size_t i = gains.size(); i-- > 0;) {
    result[i] = gains[i] * kept;
    kept *= 1 - gains[i];
  }
  return result;
}

inline void check_close(const Eigen::VectorXd& actual, const std::vector<long double>& expected, double tolerance) {
  REQUIRE(actual.size() == static_cast<Eigen::Index>(expected.size()));
  for (Eigen::Index i = 0; i < actual.size(); ++i) {
    INFO("weight " << i);
    CHECK(support::close(actual[i], static_cast<double>(expected[static_cast<std::size_t>(i)]), tolerance));
  }
}

/// 1/Σw² and Σ w_i (k − i) are what the averager says of itself.
template <class Averager>
void check_diagnostics(Averager averager, Eigen::Index n) {
  const Eigen::VectorXd w = of(averager, n);
  for (Eigen::Index i = 0; i < n; ++i) averager.update(Eigen::VectorXd(Eigen::VectorXd::Zero(1)));
  double age = 0;
  for (Eigen::Index i = 0; i < n; ++i) age += w[i] * static_cast<double>(n - 1 - i);
  CHECK(std::abs(w.sum() - 1) < 1e-12);
  CHECK(support::close(averager.effective_sample_size(), 1 / w.squaredNorm(), 1e-11));
  CHECK(std::abs(averager.mean_age() - age) <= 1e-11 * static_cast<double>(n));
  CHECK(averager.start_mass() == 0);
}

/// The average of 1, 2, 4, 8.
template <class Averager>
double of_powers_of_two(Averager averager) {
  for (const double theta : {1.0, 2.0, 4.0, 8.0}) averager.update(Eigen::VectorXd{{theta}});
  CHECK(averager.count() == 4);
  return averager.average()[0];
}

/// start, every, a constant, a copy, reset, and the steps that do not fit.
template <class Make>
void check_life(Make make, const std::string& name) {
  using Eigen::VectorXd;
  using support::error_of;
  const auto theta = [](std::uint64_t t) { return VectorXd{{std::sin(static_cast<double>(t)), 1.0 / 3}}; };

  // Folds θ_t where t ≥ max(start, 1) and t − start is a multiple of every.
  for (const std::uint64_t start : {0u, 1u, 3u, 4u}) {
    for (const std::uint64_t every : {1u, 2u, 5u}) {
      INFO(name << " from " << start << " every " << every);
      auto seldom = make(start, every);
      auto always = make(std::uint64_t(0), std::uint64_t(1));
      for (std::uint64_t t = 1; t <= 40; ++t) {
        seldom.update(theta(t));
        CHECK(seldom.steps() == t);
        if (t < start || (t - start) % every != 0) continue;
        always.update(theta(t));
        CHECK(seldom.count() == always.count());
        REQUIRE(seldom.average() == always.average());
      }
      CHECK(seldom.effective_sample_size() == always.effective_sample_size());
      CHECK(seldom.mean_age() == always.mean_age());
      CHECK(seldom.options().start == start);
      CHECK(seldom.options().every == every);
      CHECK(seldom.average()[1] == 1.0 / 3);
    }
  }

  auto average = make(std::uint64_t(0), std::uint64_t(1));
  CHECK(average.effective_sample_size() == 0);
  CHECK(average.mean_age() == 0);
  CHECK(average.start_mass() == 1);
  CHECK_FALSE(average.has_average());
  auto whole = average;
  for (std::uint64_t t = 1; t <= 30; ++t) whole.update(theta(t));
  for (std::uint64_t t = 1; t <= 11; ++t) average.update(theta(t));
  auto copy = average;
  for (std::uint64_t t = 1; t <= 5; ++t) average.update(theta(100 * t));
  CHECK(error_of([&] { copy.update(VectorXd(VectorXd::Zero(3))); }) ==
        "invalid_argument: " + name + ": parameters must keep the size, 2x1, got 3x1");
  CHECK(copy.steps() == 11);
  for (std::uint64_t t = 12; t <= 30; ++t) copy.update(theta(t));
  CHECK(support::same_bits(copy.average(), whole.average()));
  CHECK(copy.effective_sample_size() == whole.effective_sample_size());

  copy.reset();
  CHECK(copy.steps() == 0);
  CHECK(copy.count() == 0);
  CHECK(copy.effective_sample_size() == 0);
  CHECK(copy.mean_age() == 0);
  CHECK(copy.start_mass() == 1);
  CHECK(error_of([&] { (void)copy.average(); }) ==
        "logic_error: " + name + ": there is no average before the first fold, due at step 1, got 0 steps");
  for (std::uint64_t t = 1; t <= 30; ++t) copy.update(theta(t));
  CHECK(support::same_bits(copy.average(), whole.average()));
  copy.reset();
  copy.update(VectorXd(VectorXd::Ones(5)));
  CHECK(copy.average() == VectorXd(VectorXd::Ones(5)));

  CHECK(error_of([&] { make(std::uint64_t(0), std::uint64_t(0)); }) ==
        "invalid_argument: " + name + ": every must be >= 1, got 0");
}

}  // namespace weights
