#include <polyak/averaged.hpp>
#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "catch.hpp"
#include "slices_only.hpp"
#include "support.hpp"

// Averages of 1, 2, 4, 8 as fractions, worked out in rational arithmetic, for an averager alone and inside an Averaged.

using namespace polyak;
using Eigen::VectorXd;
using support::ulps_between;

namespace {

constexpr std::array iterates{1.0, 2.0, 4.0, 8.0};

/// s_1 … s_4 of an averager alone; 0 before the first fold.
template <class A>
std::vector<double> alone(A averager) {
  std::vector<double> result;
  for (const double theta : iterates) {
    averager.update(VectorXd{{theta}});
    result.push_back(averager.has_average() ? averager.average()[0] : 0);
  }
  return result;
}

template <class A>
std::vector<double> alone(A averager, double theta_0) {
  if constexpr (requires { averager.start_from(VectorXd()); }) averager.start_from(VectorXd{{theta_0}});
  return alone(averager);
}

/// The same where the iterates are steps of an optimizer from theta_0, in a vector long enough for every way to loop.
template <class Optimizer, class A>
std::vector<double> averaged(Optimizer optimizer, A averager, double theta_0) {
  Averaged opt{optimizer, averager};
  VectorXd params = support::constant(1100, theta_0);
  std::vector<double> result;
  for (const double theta : iterates) {
    opt.step(params, VectorXd(params.array() - theta));
    REQUIRE(params == support::constant(1100, theta));
    if (opt.has_average()) REQUIRE(opt.average() == support::constant(1100, opt.average()[0]));
    result.push_back(opt.has_average() ? opt.average()[0] : 0);
  }
  return result;
}

void check_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    INFO("s_" << i + 1 << ": expected " << detail::to_text(expected[i]) << ", got " << detail::to_text(actual[i]));
    CHECK(ulps_between(actual[i], expected[i]) <= 2);
  }
}

/// `start_matters` where s_0 = theta_0 has a weight.
template <class A>
void check_case(const A& averager, const std::vector<double>& expected, double theta_0 = 0,
                bool start_matters = false) {
  const Sgd sgd{{.learning_rate = 1}};
  check_near(start_matters ? alone(averager, theta_0) : alone(averager), expected);
  check_near(averaged(sgd, averager, theta_0), expected);
  check_near(averaged(support::SlicesOnly<double>(sgd), averager, theta_0), expected);
  check_near(averaged(support::whole_step(sgd), averager, theta_0), expected);
}

}  // namespace

TEST_CASE("uniform averages are exact") {
  check_case(TailAverage{}, {1, 3.0 / 2, 7.0 / 3, 15.0 / 4});
  check_case(TailAverage{{.start = 3}}, {0, 0, 4, 6});
  check_case(TailAverage{{.start = 2, .every = 2}}, {0, 2, 2, 5});
  check_case(Swa{{.start = 2, .period = 2}}, {0, 2, 2, 5});
  check_case(Swa{{.period = 2}}, {0, 2, 2, 5});
  check_case(Swa{{.start = 1, .period = 3}}, {1, 1, 1, 9.0 / 2});
  check_case(Swa{{.start = 4}}, {0, 0, 0, 8});
}

TEST_CASE("polynomial-decay averages are exact") {
  const auto polynomial = [](double eta) {
    return GainAverage{{.gain = [eta](std::uint64_t k) { return (eta + 1) / (static_cast<double>(k) + eta); }}};
  };
  check_case(polynomial(0), {1, 3.0 / 2, 7.0 / 3, 15.0 / 4});
  check_case(polynomial(1), {1, 5.0 / 3, 17.0 / 6, 49.0 / 10});
  check_case(polynomial(3), {1, 9.0 / 5, 49.0 / 15, 209.0 / 35});
  check_case(PolynomialAverage{{.eta = 0}}, {1, 3.0 / 2, 7.0 / 3, 15.0 / 4});
  check_case(PolynomialAverage{{.eta = 1}}, {1, 5.0 / 3, 17.0 / 6, 49.0 / 10});
  check_case(PolynomialAverage{{.eta = 3}}, {1, 9.0 / 5, 49.0 / 15, 209.0 / 35});
}

TEST_CASE("power-function averages are exact") {
  const auto power = [](double gamma) {
    return GainAverage{
        {.gain = [gamma](std::uint64_t k) { return 1 - std::pow(1 - 1 / static_cast<double>(k), gamma + 1); }}};
  };
  check_case(power(1), {1, 7.0 / 4, 3, 83.0 / 16});
  check_case(power(2), {1, 15.0 / 8, 91.0 / 27, 387.0 / 64});
  check_case(PowerEma{{.gamma = 1}}, {1, 7.0 / 4, 3, 83.0 / 16});
  check_case(PowerEma{{.gamma = 2}}, {1, 15.0 / 8, 91.0 / 27, 387.0 / 64});
}

TEST_CASE("averages of a window are exact") {
  check_case(Lawa{{.window = 2}}, {1, 3.0 / 2, 3, 6});
  check_case(Lawa{{.window = 3}}, {1, 3.0 / 2, 7.0 / 3, 14.0 / 3});
  check_case(Lawa{{.window = 2, .start = 2, .every = 2}}, {0, 2, 2, 5});
}

TEST_CASE("anytime tail averages are exact") {
  // The gains of c = 1/2 are 1, 1, (1 + √⅓)/2, (2 + √1.5)/5.
  const double third = 3 + std::sqrt(1.0 / 3);
  check_case(AnytimeTailAverage{{.fraction = 0.5}}, {1, 2, third, third + (2 + std::sqrt(1.5)) / 5 * (8 - third)});
  check_case(AnytimeTailAverage{{.fraction = 0.25}}, {1, 2, 4, 8});
}

TEST_CASE("exponential averages are exact") {
  check_case(Ema{{.decay = 0.9}}, {1, 29.0 / 19, 661.0 / 271, 13949.0 / 3439});
  check_case(Ema{{.decay = 0.9}}, {1, 29.0 / 19, 661.0 / 271, 13949.0 / 3439}, 1e6);
  check_case(Ema{{.decay = 0.9, .bias_correction = false}}, {0.1, 0.29, 0.661, 1.3949}, 0, true);
  check_case(Ema{{.decay = 0.9, .bias_correction = false}}, {1, 1.1, 1.39, 2.051}, 1, true);

  const auto moving = [](std::uint64_t k) { return std::array{0.5, 0.75, 0.9, 0.99}.at(k); };
  check_case(Ema{{.decay = moving}}, {1, 7.0 / 5, 95.0 / 53, 1435.0 / 761});
  CHECK(alone(Ema{{.decay = 0}}) == std::vector<double>{1, 2, 4, 8});
}

TEST_CASE("ten steps of SGD with an exponential average") {
  const auto after_ten_steps = [](bool bias_correction) {
    Averaged opt{Sgd{{.learning_rate = 0.01}}, Ema{{.decay = 0.99, .bias_correction = bias_correction}}};
    VectorXd theta{{10}};
    for (int t = 0; t < 10; ++t) opt.step(theta, VectorXd{{1}});
    CHECK(ulps_between(theta[0], 9.9) <= 4);
    return opt.average()[0];
  };
  CHECK(ulps_between(after_ten_steps(true), 9.944170988240877) <= 4);
  CHECK(ulps_between(after_ten_steps(false), 9.994661745741283) <= 4);
}
