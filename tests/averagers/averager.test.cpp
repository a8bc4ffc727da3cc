#include <polyak/averaged.hpp>
#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/averager.hpp>
#include <polyak/averagers/compensated.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/published.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

// What every averager does, whatever its gains.

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::constant;
using support::error_of;

namespace {

/// An averager that folds with these gains, one after the other.
GainAverage<> with_gains(std::vector<double> gains, std::uint64_t start = 0, std::uint64_t every = 1) {
  return GainAverage{{.gain = [gains](std::uint64_t k) { return gains.at(k - 1); }, .start = start, .every = every}};
}

VectorXd one(double x) { return constant(1, x); }

/// All that can be read from an averager.
template <class A>
std::vector<double> reading(const A& a) {
  std::vector<double> all{static_cast<double>(a.steps()), static_cast<double>(a.count()), a.effective_sample_size(),
                          a.mean_age(), a.start_mass()};
  if (a.has_average()) all.insert(all.end(), a.average().begin(), a.average().end());
  return all;
}

}  // namespace

TEST_CASE("an averager folds from start on, at the multiples of every") {
  for (std::uint64_t start = 0; start <= 7; ++start) {
    for (std::uint64_t every = 1; every <= 5; ++every) {
      TailAverage tail{{.start = start, .every = every}};
      double sum = 0;
      std::uint64_t folds = 0;
      for (std::uint64_t t = 1; t <= 23; ++t) {
        tail.update(one(static_cast<double>(t * t)));
        if (t >= start && (t - start) % every == 0) {
          sum += static_cast<double>(t * t);
          ++folds;
        }
        INFO("start " << start << ", every " << every << ", t " << t);
        REQUIRE(tail.steps() == t);
        REQUIRE(tail.count() == folds);
        REQUIRE(tail.has_average() == (folds > 0));
        if (folds > 0) REQUIRE(close(tail.average()[0], sum / static_cast<double>(folds)));
      }
    }
  }
}

TEST_CASE("a start or a period that is never reached folds nothing") {
  const auto never = std::numeric_limits<std::uint64_t>::max();
  for (TailAverage tail : {TailAverage{{.start = never}}, TailAverage{{.every = never}}}) {
    for (int t = 0; t < 5; ++t) {
      CHECK(tail.in_use() == (t > 0));
      tail.update(one(1));
    }
    CHECK(tail.steps() == 5);
    CHECK_FALSE(tail.has_average());
  }
  TailAverage once{{.start = 2, .every = never}};
  for (double t = 1; t < 6; ++t) once.update(one(t));
  CHECK(once.count() == 1);
  CHECK(once.average()[0] == 2);
}

TEST_CASE("the diagnostics are those of the weights") {
  support::Random random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t folds = random.integer(1, 40);
    std::vector<double> gains(folds);
    for (double& a : gains) a = random.uniform(0, 1);
    if (trial % 4 == 0) gains[0] = 1;
    if (trial % 8 == 1) gains[random.integer(0, folds - 1)] = 1;
    if (trial % 8 == 2) gains[random.integer(0, folds - 1)] = 0;

    // w_i = a_i Π_{j > i} (1 − a_j), and the start is w_0 with a_0 = 1.
    std::vector<double> weights{1};
    for (const double a : gains) {
      for (double& w : weights) w *= 1 - a;
      weights.push_back(a);
    }
    const double theta_0 = random.normal();
    double average = weights[0] * theta_0;
    double squares = weights[0] * weights[0];
    double age = weights[0] * static_cast<double>(folds);

    auto averager = with_gains(gains);
    averager.start_from(one(theta_0));
    CHECK(averager.count() == 0);
    CHECK(averager.effective_sample_size() == 1);
    CHECK(averager.mean_age() == 0);
    CHECK(averager.start_mass() == 1);
    for (std::size_t i = 1; i <= folds; ++i) {
      const double theta = random.normal();
      averager.update(one(theta));
      average += weights[i] * theta;
      squares += weights[i] * weights[i];
      age += weights[i] * static_cast<double>(folds - i);
    }
    CHECK(averager.count() == folds);
    CHECK(close(averager.effective_sample_size(), 1 / squares, 1e-12));
    CHECK(std::abs(averager.mean_age() - age) < 1e-12 * (1 + age));
    CHECK(std::abs(averager.start_mass() - weights[0]) <= 1e-12 * weights[0]);
    CHECK(std::abs(averager.average()[0] - average) < 1e-12);
  }
}

TEST_CASE("there is nothing to read before the first fold") {
  TailAverage tail{{.start = 2}};
  tail.update(one(5));
  CHECK_FALSE(tail.has_average());
  CHECK(error_of([&] { (void)tail.average(); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 2, got 1 steps");
  CHECK(tail.average_or(one(7)) == one(7));
  CHECK(tail.average_or(std::vector<float>{0.5f, 2}) == VectorXd{{0.5, 2}});
  tail.update(one(6));
  CHECK(tail.average_or(one(7)) == one(6));
  CHECK(error_of([&] { (void)tail.average_or(constant(2, 7)); }) ==
        "invalid_argument: polyak::TailAverage: parameters must have the size of the average, 1, got 2");
}

TEST_CASE("there is nothing to copy or swap in before the first fold either") {
  for (const bool failed_before : {false, true}) {
    auto averager = with_gains({0.5, 1});
    VectorXd theta = constant(3, 7);
    if (failed_before) CHECK_THROWS_AS(averager.update(theta), std::logic_error);
    const std::string expected =
        "logic_error: polyak::GainAverage: there is no average before the first fold, due at step 1, got 0 steps";
    CHECK(error_of([&] { averager.copy_average_to(theta); }) == expected);
    CHECK(error_of([&] { auto guard = averager.swap_in(theta); }) == expected);
    CHECK(theta == constant(3, 7));
  }
}

TEST_CASE("parameters must keep their size, and a refused one changes nothing") {
  const std::string who = "invalid_argument: polyak::TailAverage: parameters must ";
  const std::string other_target = who + "have the size of the average, 3, got 4";
  TailAverage tail;
  tail.update(VectorXd{{1, 2, 3}});
  tail.update(VectorXd{{3, 4, 5}});
  const auto before = reading(tail);
  VectorXd four = constant(4, 7);
  CHECK(error_of([&] { tail.update(four); }) == who + "keep the size, 3x1, got 4x1");
  CHECK(error_of([&] { tail.update(VectorXd()); }) == who + "keep the size, 3x1, got 0x1");
  CHECK(error_of([&] { tail.copy_average_to(four); }) == other_target);
  CHECK(error_of([&] { auto guard = tail.swap_in(four); }) == other_target);
  CHECK(four == constant(4, 7));
  CHECK(reading(tail) == before);
  tail.update(VectorXd{{5, 6, 7}});
  CHECK(tail.average() == VectorXd{{3, 4, 5}});

  TailAverage started;
  started.start_from(VectorXd{{1, 2, 3}});
  CHECK(error_of([&] { started.update(four); }) == who + "keep the size, 3x1, got 4x1");
  CHECK(started.steps() == 0);
}

TEST_CASE("a step that folds nothing checks the size as well") {
  TailAverage tail{{.every = 2}};
  tail.update(constant(3, 1));
  tail.update(constant(3, 1));
  CHECK(error_of([&] { tail.update(constant(5, 1)); }) ==
        "invalid_argument: polyak::TailAverage: parameters must keep the size, 3x1, got 5x1");
  CHECK(tail.steps() == 2);
}

TEST_CASE("a first gain below 1 needs a start") {
  auto averager = with_gains({0.5, 0.25});
  const std::string missing =
      "logic_error: polyak::GainAverage: the first gain is below 1, so start_from(weights) must come before update";
  CHECK(error_of([&] { averager.update(one(4)); }) == missing);
  CHECK(averager.steps() == 0);
  CHECK(averager.count() == 0);
  CHECK_FALSE(averager.has_average());

  averager.start_from(one(9));
  averager.start_from(one(2));  // the last word before the first fold
  averager.update(one(4));
  CHECK(averager.average()[0] == 3);
  averager.update(one(7));
  CHECK(averager.average()[0] == 4);
  CHECK(averager.start_mass() == 0.375);

  CHECK(error_of([&] { averager.start_from(one(1)); }) ==
        "logic_error: polyak::GainAverage: start_from must come before the first fold");
  CHECK(averager.average()[0] == 4);

  averager.reset();
  averager.start_from(one(1));
  averager.reset();
  CHECK(error_of([&] { averager.update(one(4)); }) == missing);
}

TEST_CASE("where the first fold is not the first step, the weights before it are known") {
  for (const std::uint64_t every : {1u, 3u}) {
    auto late = with_gains({0.5, 0.5}, every == 1 ? 3 : 0, every);
    late.update(one(1));
    CHECK_FALSE(late.has_average());
    late.update(one(2));
    CHECK(late.average() == one(2));  // the start
    CHECK(late.count() == 0);
    late.update(one(8));
    CHECK(late.average()[0] == 5);
    CHECK(late.start_mass() == 0.5);
  }
  auto told_otherwise = with_gains({0.5}, 3);
  told_otherwise.start_from(one(4));
  for (const double theta : {1.0, 2.0, 8.0}) told_otherwise.update(one(theta));
  CHECK(told_otherwise.average()[0] == 6);

  auto told_late = with_gains({0.5}, 3);
  told_late.update(one(1));
  told_late.update(one(2));
  told_late.start_from(one(4));
  told_late.update(one(8));
  CHECK(told_late.average()[0] == 6);

  // Where the first gain is 1 nothing need be kept, and the size is free until then.
  TailAverage tail{{.start = 3}};
  tail.update(constant(5, 1));
  tail.update(constant(4, 1));
  tail.update(constant(3, 7));
  CHECK(tail.average() == constant(3, 7));
}

namespace {

/// A start is the average until the first fold, whatever the first gain: to all who read it.
template <class A>
void check_start_is_average(A averager) {
  const auto fresh = reading(averager);
  const VectorXd start{{3, -0.5}};
  averager.start_from(VectorXd{{8, 9}});
  averager.start_from(start);  // the last word
  CHECK(averager.has_average());
  CHECK(averager.in_use());
  CHECK(averager.average().template cast<double>() == start);
  CHECK(averager.average_or(constant(2, 7)).template cast<double>() == start);
  CHECK(averager.average_block(0).template cast<double>() == start);
  CHECK(averager.count() == 0);
  CHECK(averager.steps() == 0);
  CHECK(averager.start_mass() == 1);
  CHECK(averager.effective_sample_size() == 1);
  CHECK(averager.mean_age() == 0);
  Eigen::VectorXf into(2);
  averager.copy_average_to(into);
  CHECK(into == start.cast<float>());
  VectorXd theta{{1, 2}};
  {
    const auto guard = averager.swap_in(theta);
    CHECK(theta == start);
    CHECK(support::has(error_of([&] { averager.start_from(theta); }), "the average is swapped in"));
    CHECK(support::has(error_of([&] { averager.update(theta); }), "the average is swapped in"));
  }
  CHECK(theta == VectorXd{{1, 2}});
  VectorXd other = one(1);
  CHECK(
      support::has(error_of([&] { averager.copy_average_to(other); }), "must have the size of the average, 2, got 1"));
  CHECK(support::has(error_of([&] { averager.update(other); }), "must keep the size, 2x1, got 1x1"));

  auto copy = averager;
  averager.update(VectorXd{{1, 2}});
  CHECK(averager.count() == 1);
  CHECK(averager.average() != copy.average());
  CHECK(error_of([&] { averager.start_from(start); }).starts_with("logic_error: "));
  copy.reset();
  CHECK_FALSE(copy.has_average());
  CHECK(reading(copy) == fresh);
}

}  // namespace

TEST_CASE("a start is the average until the first fold") {
  check_start_is_average(Ema{{.decay = 0.5, .bias_correction = false}});
  check_start_is_average(Ema{{.decay = 0.5}});
  check_start_is_average(TailAverage{});
  check_start_is_average(TailAverage<float>{});
  check_start_is_average(TailAverage<Eigen::half>{});
  check_start_is_average(Ema<Compensated<float>>{{.decay = 0.5, .bias_correction = false}});
  check_start_is_average(Swa{});
  check_start_is_average(PolynomialAverage{});
  check_start_is_average(PowerEma{});
  check_start_is_average(AnytimeTailAverage{});
  check_start_is_average(with_gains({0.5}));
  check_start_is_average(Guarded{Ema{{.decay = 0.5, .bias_correction = false}}});

  // It stays so over the steps that fold nothing, and the blocks of a set have their shapes.
  TailAverage late{{.start = 3}};
  const Eigen::MatrixXd matrix{{1, 2}, {3, 4}};
  const VectorXd bias{{5}};
  late.start_from(ParameterSet{matrix, bias});
  CHECK(late.average_block(0) == matrix);
  for (int t = 0; t < 2; ++t) late.update(ParameterSet{matrix, bias});
  CHECK(late.average_block(1) == bias);
  CHECK(late.count() == 0);
}

TEST_CASE("a mass that would be subnormal is none") {
  Ema ema{{.decay = 0.5, .bias_correction = false}};
  ema.start_from(one(1));
  for (int k = 0; k < 1022; ++k) ema.update(one(0));
  CHECK(ema.start_mass() == std::numeric_limits<double>::min());
  ema.update(one(0));
  CHECK(ema.start_mass() == 0);
}

TEST_CASE("a start does not matter where the first gain is 1") {
  TailAverage tail;
  tail.start_from(one(1e300));
  tail.update(one(0.1));
  CHECK(tail.average()[0] == 0.1);
  CHECK(tail.start_mass() == 0);
}

TEST_CASE("a gain of 1 assigns and a gain of 0 does not move") {
  auto averager = with_gains({0.5, 1, 0, 1});
  averager.start_from(one(1e300));
  averager.update(one(-1e300));
  averager.update(one(0.1));  // 0 + (0.1 − 0) is right, 1e300 + (0.1 − 1e300) is not
  CHECK(averager.average()[0] == 0.1);
  averager.update(one(5));
  CHECK(averager.average()[0] == 0.1);
  averager.update(one(0.3));
  CHECK(averager.average()[0] == 0.3);
  CHECK(averager.effective_sample_size() == 1);
  CHECK(averager.mean_age() == 0);
}

namespace {

/// Averages to begin with whose bits a sum with 0 would not keep, and iterates that a product with 0 would let in.
template <class Scalar>
std::vector<Scalar> delicate() {
  using Limits = std::numeric_limits<Scalar>;
  return {Scalar(-0.0f),      Scalar(1),           Limits::denorm_min(), Scalar(-Limits::max()),
          Limits::infinity(), Limits::quiet_NaN(), Scalar(0.1f)};
}
template <class Scalar>
std::vector<Scalar> wild() {
  using Limits = std::numeric_limits<Scalar>;
  return {Scalar(1), Limits::quiet_NaN(), Limits::infinity(), Limits::max(), Scalar(-Limits::infinity()),
          Scalar(7), Scalar(-0.0f)};
}

template <class Shadow>
void check_gain_of_0() {
  using Scalar = typename GainAverage<Shadow>::shadow_type;
  const GainAverageOptions options{.gain = [](std::uint64_t k) { return k == 1 ? 1.0 : 0.0; }};
  const std::vector<Scalar> first = delicate<Scalar>(), next = wild<Scalar>();
  const auto check = [&](const auto& averager, std::uint64_t folds) {
    CHECK(support::same_bits(averager.average(), first));
    CHECK(averager.count() == folds);
    CHECK(averager.effective_sample_size() == 1);
    CHECK(averager.mean_age() == static_cast<double>(folds - 1));
  };
  GainAverage<Shadow> alone{options};
  alone.update(first);
  alone.update(next);
  check(alone, 2);

  // Beside an average that folds, in the loop that moves the weights and after it.
  const auto follow = [](std::vector<Scalar>& params, const std::vector<Scalar>& to) { params = to; };
  Averaged whole{follow, GainAverage<Shadow>{options}, TailAverage<Shadow>{}};
  Averaged fused{Sgd<Scalar>{{.learning_rate = 1}}, GainAverage<Shadow>{options}, TailAverage<Shadow>{}};
  std::vector<Scalar> theta(first.size(), Scalar(1));
  whole.step(theta, first);
  whole.step(theta, next);
  check(whole.template averager<0>(), 2);
  theta = first;
  fused.step(theta, std::vector<Scalar>(first.size(), Scalar(0)));
  const auto before = fused.template average<0>();
  fused.step(theta, next);
  CHECK(support::same_bits(fused.template average<0>(), before));
  CHECK(fused.template average<1>() != before);
}

}  // namespace

TEST_CASE("a gain of 0 leaves every bit of the average alone, whatever the iterate") {
  check_gain_of_0<float>();
  check_gain_of_0<double>();
  check_gain_of_0<long double>();
  check_gain_of_0<Eigen::half>();
  check_gain_of_0<Eigen::bfloat16>();

  // The residue of a compensated one as well.
  GainAverage<Compensated<float>> compensated{
      {.gain = [](std::uint64_t k) { return k < 3 ? 1 / static_cast<double>(k) : 0; }}};
  for (const float theta : {1.0f, 1.0f + 0x1p-23f}) compensated.update(std::vector<float>{theta});
  VectorXd before(1), after(1);
  compensated.copy_average_to(before);
  CHECK(before[0] == 1 + 0x1p-24);
  compensated.update(std::vector<float>{std::numeric_limits<float>::infinity()});
  compensated.copy_average_to(after);
  CHECK(support::same_bits(before, after));
  CHECK(compensated.count() == 3);

  // A guard looks at every iterate that is due, and leaves this fold out as any other.
  Guarded guarded{with_gains({1, 0, 0})};
  guarded.update(one(3));
  guarded.update(one(support::infinity));
  CHECK(guarded.skipped() == 1);
  CHECK(guarded.count() == 1);
  guarded.update(one(5));
  CHECK(guarded.count() == 2);
  CHECK(guarded.average() == one(3));
  // And where the shadow could not have taken a larger one.
  Guarded large{with_gains({1, 0})};
  large.update(one(-std::numeric_limits<double>::max()));
  large.update(one(std::numeric_limits<double>::max()));
  CHECK(large.count() == 2);
  CHECK(large.average() == one(-std::numeric_limits<double>::max()));
}

TEST_CASE("an averager alone cannot be updated while its average is swapped in") {
  TailAverage tail;
  tail.update(one(2));
  tail.update(one(4));
  VectorXd theta = one(4);
  const auto before = reading(tail);
  const std::string refused =
      "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first";
  {
    const auto guard = tail.swap_in(theta);
    CHECK(theta[0] == 3);
    CHECK(error_of([&] { tail.update(theta); }) == refused);
    CHECK(error_of([&] { tail.require_not_swapped(); }) == refused);
    CHECK(error_of([&] { auto second = tail.swap_in(theta); }) == refused);
    CHECK(reading(tail) == before);
  }
  CHECK(theta[0] == 4);
  tail.update(one(9));
  CHECK(tail.average()[0] == 5);
}

TEST_CASE("a copy of a swapped-in averager goes its own way, a moved one stays swapped in") {
  TailAverage tail;
  tail.update(one(2));
  VectorXd theta = one(8);
  auto guard = tail.swap_in(theta);

  TailAverage copy = tail;
  copy.update(one(4));
  CHECK(copy.average()[0] == 3);
  CHECK(tail.average()[0] == 2);

  TailAverage moved = std::move(tail);
  CHECK_THROWS_AS(moved.update(one(4)), std::logic_error);
  guard.restore();
  CHECK(theta[0] == 8);
  moved.update(one(6));
  CHECK(moved.average()[0] == 4);
}

TEST_CASE("copies and moves carry on where the averager was") {
  const auto fold = [](auto& averager, double from, double to) {
    for (double x = from; x <= to; ++x) averager.update(VectorXd{{x, -x * x}});
  };
  Ema whole{{.decay = 0.75, .every = 2}};
  fold(whole, 1, 9);

  Ema first{{.decay = 0.75, .every = 2}};
  fold(first, 1, 4);
  Ema copy = first;
  fold(first, 100, 120);
  Ema moved = std::move(copy);
  fold(moved, 5, 7);
  Ema assigned;
  assigned = moved;
  moved.reset();
  fold(assigned, 8, 9);
  CHECK(reading(assigned) == reading(whole));
  CHECK(support::same_bits(assigned.average(), whole.average()));
}

TEST_CASE("an averager that is reset is as after construction") {
  auto averager = with_gains({0.5, 0.5, 0.25}, 2);
  const auto fresh = reading(averager);
  averager.start_from(constant(3, 1));
  for (int t = 0; t < 3; ++t) averager.update(constant(3, 0));
  CHECK(reading(averager) != fresh);
  averager.reset();
  CHECK(reading(averager) == fresh);
  CHECK_FALSE(averager.has_average());
  averager.update(one(3));  // another size, and step 1 folds nothing again
  CHECK(averager.count() == 0);
  averager.start_from(one(1));
  averager.update(one(3));
  CHECK(averager.average() == one(2));
  CHECK(averager.start_mass() == 0.5);
  CHECK(averager.mean_age() == 0.5);
  CHECK(averager.effective_sample_size() == 2);

  Ema ema{{.decay = 0.5}};
  for (double x = 1; x < 5; ++x) ema.update(one(x));
  ema.reset();
  ema.update(one(2));
  ema.update(one(5));
  CHECK(ema.average()[0] == 4);  // gains 1 and 2/3 again: the gain's own state went as well
}

TEMPLATE_TEST_CASE("an average of any scalar is read into any scalar", "", POLYAK_TEST_SCALARS) {
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  const auto into = [](auto& averager, auto target) {
    using Target = typename decltype(target)::Scalar;
    for (Eigen::Index i = 0; i < target.size(); ++i) target[i] = Target(9);
    averager.copy_average_to(target);
    CHECK(static_cast<double>(target[0]) == 3);
    CHECK(static_cast<double>(target[1]) == -0.5);
    auto live = target;
    for (Eigen::Index i = 0; i < live.size(); ++i) live[i] = Target(7);
    {
      const auto guard = averager.swap_in(live);
      CHECK(static_cast<double>(live[0]) == 3);
    }
    CHECK(static_cast<double>(live[1]) == 7);
  };
  TailAverage<TestType> tail;
  tail.update(Eigen::Vector2f(2, -1));
  tail.update(Eigen::Vector2d(4, 0));
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(tail.average())>, Vector>);
  into(tail, Eigen::VectorXf(2));
  into(tail, Eigen::VectorXd(2));
  into(tail, Eigen::Matrix<long double, 2, 1>());
  into(tail, Eigen::Matrix<Eigen::half, 2, 1>());
  into(tail, Eigen::Matrix<Eigen::bfloat16, 2, 1>());
  CHECK(static_cast<double>(tail.average_or(std::vector<TestType>(2))[1]) == -0.5);
}

TEST_CASE("reading rounds to the weights' scalar") {
  TailAverage tail;
  tail.update(one(1 + 0x1p-24));  // half an ulp of float above 1
  tail.update(one(1 + 0x1p-23));
  Eigen::VectorXf theta(1);
  tail.copy_average_to(theta);
  CHECK(theta[0] == 1 + 0x1p-23f);
}

namespace {

/// Numbers just beside a tie of Narrow, on the side of the odd one, that in float are the tie, which goes to even.
template <class Narrow, class Wide>
void check_rounded_once() {
  constexpr int digits = std::is_same_v<Narrow, Eigen::half> ? 11 : 8;
  const Wide unit = std::ldexp(Wide(1), -digits), hair = std::ldexp(Wide(1), -40);
  using Vector = Eigen::Matrix<Wide, Eigen::Dynamic, 1>;
  using NarrowVector = Eigen::Matrix<Narrow, Eigen::Dynamic, 1>;
  const Vector wide{{1 + unit + hair, -1 - unit - hair, 1 + 3 * unit - hair}};
  const NarrowVector expected = Vector{{1 + 2 * unit, -1 - 2 * unit, 1 + 2 * unit}}.template cast<Narrow>();

  TailAverage<Wide> tail;
  tail.update(wide);
  NarrowVector theta = NarrowVector::Zero(3);
  tail.copy_average_to(theta);
  CHECK(theta == expected);
  theta.setZero();
  {
    const auto guard = tail.swap_in(theta);
    CHECK(theta == expected);
  }
  TailAverage<Narrow> narrow;
  CHECK(narrow.average_or(wide) == expected);
  narrow.start_from(wide);
  CHECK(narrow.average() == expected);
  narrow.update(wide);  // by a gain of 1
  CHECK(narrow.average() == expected);
  Lawa<Narrow> lawa{{.window = 2}};
  lawa.update(wide);
  CHECK(lawa.average() == expected);
  Published<Narrow> published;
  published.publish(tail);
  CHECK(published.snapshot().average() == expected);
}

}  // namespace

TEST_CASE("reading rounds to 16 bits once, from the value itself") {
  check_rounded_once<Eigen::half, double>();
  check_rounded_once<Eigen::bfloat16, double>();
  check_rounded_once<Eigen::half, long double>();
  check_rounded_once<Eigen::bfloat16, long double>();

  // A residue is part of the value: the mean of 1 + 2^−11 and the next float is half an ulp above the tie.
  TailAverage<Compensated<float>> compensated;
  for (const float theta : {1 + 0x1p-11f, 1 + 0x1p-11f + 0x1p-23f}) compensated.update(std::vector<float>{theta});
  CHECK(compensated.average()[0] == 1 + 0x1p-11f);
  std::vector<Eigen::half> half(1);
  compensated.copy_average_to(half);
  CHECK(static_cast<float>(half[0]) == 1 + 0x1p-10f);
}

TEST_CASE("a fold tells beforehand whether the average stays finite, coordinate by coordinate") {
  constexpr double max = std::numeric_limits<double>::max();
  GainAverage average = with_gains({1, 0.5});
  const auto stays_finite = [&](const VectorXd& next, std::size_t offset, std::size_t n) {
    const BlockRef only{nullptr, nullptr, {static_cast<std::size_t>(next.size()), 1}, 0};
    const auto fold = average.begin_fold(StepView<double>(only));
    bool stays = true;
    for (std::size_t i = offset; i < offset + n; ++i) stays = fold.stays_finite(i, next.data()[i]) && stays;
    return stays;
  };
  const VectorXd far{{0, 0, 0, -max, 0}};
  CHECK(stays_finite(far, 0, 5));
  CHECK_FALSE(stays_finite(VectorXd{{1, 1, support::infinity}}, 1, 2));
  average.update(far);
  CHECK_FALSE(stays_finite(-far, 2, 2));
  CHECK(stays_finite(-far, 1, 2));
  CHECK(stays_finite(-far, 4, 1));
  CHECK(stays_finite(VectorXd{{max, max, max, -max, max}}, 0, 5));
}
