#include <polyak/polyak.hpp>

#include <cmath>
#include <vector>

#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::error_of;
using support::same_bits;

namespace {

/// f = θ²/2, from 1.
template <class Optimizer>
std::vector<std::vector<double>> run(Optimizer opt, int steps) {
  VectorXd theta = VectorXd::Ones(1);
  std::vector<std::vector<double>> rows;
  for (int k = 0; k < steps; ++k) {
    opt.step(theta, theta);
    rows.push_back({opt.iterate()[0], opt.average()[0], theta[0]});
  }
  return rows;
}
void require_rows(const std::vector<std::vector<double>>& got, const std::vector<std::vector<double>>& z_x_y) {
  REQUIRE(got.size() == z_x_y.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    for (std::size_t i = 0; i < 3; ++i) {
      INFO("step " << k + 1 << ", number " << i);
      if (!std::isnan(z_x_y[k][i])) CHECK(got[k][i] == Approx(z_x_y[k][i]).epsilon(1e-14));
    }
  }
}
const double any = std::nan("");

}  // namespace

TEST_CASE("schedule-free SGD: the rational numbers of four steps") {
  require_rows(run(ScheduleFree{Sgd{{.learning_rate = 0.5}}}, 4), {{1 / 2., 1 / 2., 1 / 2.},
                                                                   {1 / 4., 3 / 8., 29 / 80.},
                                                                   {11 / 160., 131 / 480., 101 / 400.},
                                                                   {-23 / 400., 609 / 3200., 5297 / 32000.}});
  const Sgd warming{{.learning_rate = LinearWarmup{{.start_factor = 0.5, .steps = 1, .then = 0.5}}}};
  require_rows(
      run(ScheduleFree{warming}, 4),
      {{any, 3 / 4., any}, {any, 9 / 20., any}, {any, 191 / 600., any}, {9 / 3200., 177 / 800., 6381 / 32000.}});
  require_rows(run(ScheduleFree{Sgd{{.learning_rate = 0.5}}, RateWeightedAverage{{.step_power = 1}}}, 4),
               {{any, 1 / 2., any}, {any, 1 / 3., any}, {any, 101 / 480., any}, {any, 973 / 8000., any}});
  require_rows(run(ScheduleFree{Sgd{{.learning_rate = 0.5}}, {.weight_decay = 0.1}}, 3),
               {{any, 9 / 20., any}, {any, 261 / 800., any}, {any, 36393 / 160000., 83079 / 400000.}});
}

TEST_CASE("schedule-free AdamW: forty digits of three steps") {
  const auto adamw = [](const Hyperparameter& rate) {
    return AdamW{{.learning_rate = rate, .beta1 = 0, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0}};
  };
  require_rows(run(ScheduleFree{adamw(0.1), {.weight_decay = 0.1}}, 3),
               {{any, 0.89000000099999999, any},
                {0.78707648609632133863, 0.83853824354816066432, any},
                {0.6871985389178065945, 0.78809167533804264104, any}});
  require_rows(
      run(ScheduleFree{adamw(LinearWarmup{{.start_factor = 0.5, .steps = 1, .then = 0.1}}), {.weight_decay = 0.1}}, 3),
      {{any, 0.945000000499999995, any}, {any, 0.85973217559274331488, any}, {any, 0.80572426518884880972, any}});
}

TEST_CASE("generalized primal averaging is an EMA from the start; AC-SA and primal averaging by their gains") {
  const Ema slow{{.decay = 0.9, .bias_correction = false}};
  require_rows(run(ScheduleFree{Sgd{{.learning_rate = 0.5}}, slow, {.beta = 0.75}}, 3),
               {{1 / 2., 19 / 20., any}, {13 / 160., 1381 / 1600., any}, {-3233 / 12800., 96199 / 128000., any}});
  // c = 2/(k + 1): z = 1/2, x = 1/2; then, the gradient taken at x = 1/2, z = 1/4, x = 1/3.
  require_rows(run(ScheduleFree{Sgd{{.learning_rate = 0.5}}, PolynomialAverage{{.eta = 1}}, {.beta = 1}}, 2),
               {{1 / 2., 1 / 2., 1 / 2.}, {1 / 4., 1 / 3., 1 / 3.}});
}

TEST_CASE("with beta = 0 it is an Averaged, bit for bit") {
  const Adam<float> adam{{.learning_rate = 0.1}};
  ScheduleFree steered{adam, TailAverage{{.start = 3, .every = 2}}, {.beta = 0}};
  Averaged averaged{adam, TailAverage{{.start = 3, .every = 2}}};
  Eigen::VectorXf y = Eigen::VectorXf::LinSpaced(70, -1, 1), theta = y;
  y[3] = theta[3] = -0.0F;
  for (int t = 0; t < 50; ++t) {
    const Eigen::VectorXf gradient = (theta.array() * 3).sin();
    steered.step(y, gradient);
    averaged.step(theta, gradient);
    REQUIRE(same_bits(y, theta));
    REQUIRE(steered.has_average() == averaged.has_average());
    if (averaged.has_average()) REQUIRE(same_bits(steered.average(), averaged.average()));
  }
}

TEMPLATE_TEST_CASE("long runs follow the recursion in long double", "", float, double) {
  const double beta = 0.85, rate = 0.05, lambda = 0.01;
  ScheduleFree opt{Sgd<TestType>{{.learning_rate = rate}}, {.beta = beta, .weight_decay = lambda}};
  Eigen::Matrix<TestType, Eigen::Dynamic, 1> theta = Eigen::Matrix<TestType, Eigen::Dynamic, 1>::Ones(1);
  long double z = 1, x = 1, y = 1;
  for (int k = 1; k <= 100000; ++k) {
    const Eigen::Matrix<TestType, Eigen::Dynamic, 1> gradient = (theta.array() - TestType(0.25)) + TestType(k % 7 - 3);
    z -= static_cast<long double>(rate) * gradient[0] + static_cast<long double>(rate * lambda) * y;
    opt.step(theta, gradient);
    if (std::is_same_v<TestType, float>) z = opt.iterate()[0];  // what is rounded to float is not the point
    x += (z - x) / k;
    y = (1 - static_cast<long double>(beta)) * z + static_cast<long double>(beta) * x;
    if (std::is_same_v<TestType, float>) y = theta[0];
  }
  CHECK(opt.average()[0] == Approx(static_cast<double>(x)).epsilon(1e-12));
  CHECK(theta[0] == Approx(static_cast<double>(y)).epsilon(1e-12));
}

TEST_CASE("any optimizer, any holder: whole steps, sets and spans take the same numbers") {
  const ScheduleFreeOptions options{.beta = 0.7, .weight_decay = 0.125};
  const auto by_hand = [](auto& params, const auto& gradient) {
    for (Eigen::Index i = 0; i < params.size(); ++i) params[i] -= 0.25 * gradient[i];
  };
  ScheduleFree parts{Sgd{{.learning_rate = 0.25}}, TailAverage{}, {.beta = 0.7}};
  ScheduleFree whole{by_hand, TailAverage{}, {.beta = 0.7}};
  ScheduleFree set{Sgd{{.learning_rate = 0.25, .blocks = {{}, {.weight_decay_factor = 0}}}}, TailAverage{}, options};
  ScheduleFree head{Sgd{{.learning_rate = 0.25}}, TailAverage{}, options};
  ScheduleFree tail{Sgd{{.learning_rate = 0.25}}, TailAverage{}, {.beta = 0.7}};
  VectorXd a = VectorXd::LinSpaced(5, 1, 2), b = a, c = a.head(2), d = a.tail(3), e = c, f = d;
  for (int t = 0; t < 20; ++t) {
    const VectorXd gradient = a;
    parts.step(a, gradient);
    whole.step(b, gradient);
    REQUIRE(a == b);
    const VectorXd gc = c, gd = d;
    set.step(ParameterSet{c, d}, ParameterSet{gc, gd});
    head.step(e, gc);
    tail.step(f, gd);
    REQUIRE(c == e);
    REQUIRE(d == f);
  }
  CHECK(parts.average() == whole.average());
}

TEST_CASE("a step that is not taken leaves parameters, iterate and average alone") {
  VectorXd theta = VectorXd::Constant(2, 1);
  ScheduleFree skipping{SkipNonFinite{Sgd{{.learning_rate = 0.5}}}};
  bool fails = false, refuses = false;
  ScheduleFree whole{[&](VectorXd& params, const auto& gradient) {
    params -= 0.5 * gradient;
    if (fails) throw std::runtime_error("fails");
    return !refuses;
  }};
  VectorXd other = theta;
  for (int t = 0; t < 3; ++t) {
    skipping.step(theta, VectorXd(theta));
    whole.step(other, VectorXd(other));
  }
  const VectorXd y = theta, z = skipping.iterate(), x = skipping.average();
  CHECK_FALSE(skipping.step(theta, VectorXd::Constant(2, std::nan(""))));
  refuses = true;
  CHECK_FALSE(whole.step(other, VectorXd(other)));
  fails = true;
  CHECK_THROWS_AS(whole.step(other, VectorXd(other)), std::runtime_error);
  for (const auto& now : {theta, other}) CHECK(now == y);
  CHECK(skipping.iterate() == z);
  CHECK(whole.iterate() == z);
  CHECK(skipping.average() == x);
  CHECK(skipping.steps() == 3);
}

TEST_CASE("frozen blocks stay, whatever their gradient; they go on from where they were") {
  ScheduleFree opt{Sgd{{.learning_rate = 0.5, .blocks = {{.frozen = true}, {}}}}, {.weight_decay = 0.5}};
  VectorXd a = VectorXd::Ones(2), b = VectorXd::Ones(3);
  const VectorXd nan = VectorXd::Constant(2, std::nan(""));
  for (int t = 0; t < 4; ++t) opt.step(ParameterSet{a, b}, ParameterSet{nan, b});
  CHECK(a == VectorXd::Ones(2));
  CHECK(opt.average().head(2) == VectorXd::Ones(2));
  CHECK(b[0] < 1);
  opt.optimizer().set_frozen(0, false);
  const VectorXd ga = a;
  opt.step(ParameterSet{a, b}, ParameterSet{ga, b});
  CHECK(opt.iterate()[0] == 0.25);  // 1 − ½ (1 + ½ · 1)
  opt.optimizer().set_frozen(0, true);
  a.setConstant(8);  // a layer that was loaded
  opt.step(ParameterSet{a, b}, ParameterSet{nan, b});
  opt.optimizer().set_frozen(0, false);
  const VectorXd none = VectorXd::Zero(2);
  opt.step(ParameterSet{a, b}, ParameterSet{none, b});
  CHECK(opt.iterate()[0] == 6);  // 8 − ½ · ½ · 8
}

TEST_CASE(
    "averages around it are of the parameters, those inside of the iterate; guards, flushes and swaps as everywhere") {
  Averaged opt{ScheduleFree{Averaged{Accumulate{Sgd{{.learning_rate = 0.5}}, {.micro_batches = 2}}, TailAverage{}},
                            Guarded{TailAverage{}},
                            {.beta = 0.5}},
               TailAverage{}};
  VectorXd theta = VectorXd::Ones(1);
  double z = 1, x = 1, y = 1, sum_z = 0, sum_y = 0;
  for (int k = 1; k <= 5; ++k) {
    const VectorXd gradient = theta;
    CHECK_FALSE(opt.step(theta, gradient));
    if (k < 5) CHECK(opt.step(theta, gradient));
    if (k == 5) CHECK(opt.flush(theta));
    z -= 0.5 * y;
    x += (z - x) / k;
    y = 0.5 * z + 0.5 * x;
    sum_z += z;
    sum_y += y;
    CHECK(theta[0] == Approx(y).epsilon(1e-15));
    CHECK(opt.average()[0] == Approx(sum_y / k).epsilon(1e-15));
    CHECK(opt.optimizer().average()[0] == Approx(x).epsilon(1e-15));
    CHECK(opt.optimizer().optimizer().average()[0] == Approx(sum_z / k).epsilon(1e-15));
  }
  const VectorXd trained = theta;
  {
    const auto guard = opt.optimizer().swap_in(theta);
    CHECK(theta == opt.optimizer().average());
    CHECK_THROWS_AS(opt.step(theta, theta), std::logic_error);
  }
  CHECK(theta == trained);
  opt.reset();
  CHECK(opt.optimizer().iterate().size() == 0);
}

TEST_CASE("it goes on where it was saved, bit for bit") {
  using Trainer = ScheduleFree<Adam<float>>;
  const Trainer made{Adam<float>{{.learning_rate = LinearWarmup{{.start_factor = 0.1, .steps = 9, .then = 0.1}}}},
                     {.beta = 0.8, .weight_decay = 0.01}};
  Trainer opt = made, loaded = made;
  Eigen::VectorXf theta = Eigen::VectorXf::LinSpaced(40, -1, 1);
  const auto go_on = [](Trainer& trainer, Eigen::VectorXf& weights) {
    for (int t = 0; t < 7; ++t) trainer.step(weights, Eigen::VectorXf(weights.array().sin()));
  };
  for (const bool used : {false, true}) {
    if (used) go_on(opt, theta);
    serialize::Output out;
    out& opt;
    serialize::Input in(out.bytes);
    in& loaded;
    Eigen::VectorXf resumed = theta;
    go_on(loaded, resumed);
    Trainer straight = opt;
    Eigen::VectorXf expected = theta;
    go_on(straight, expected);
    CHECK(same_bits(resumed, expected));
    CHECK(same_bits(loaded.average(), straight.average()));
    CHECK(same_bits(loaded.iterate(), straight.iterate()));
  }
  serialize::Output out;
  out& opt;
  Trainer other{Adam<float>{}, {.beta = 0.7}};
  serialize::Input in(out.bytes);
  CHECK_THROWS_AS(in & other, std::invalid_argument);
}

TEST_CASE("options out of range are refused by name") {
  const Sgd sgd;
  CHECK(error_of([&] {
          ScheduleFree{sgd, {.beta = 1.5}};
        }) == "invalid_argument: polyak::ScheduleFree: beta must be in [0, 1], got 1.5");
  ScheduleFree opt{sgd, {.weight_decay = [](std::uint64_t t) { return t < 2 ? 0.5 : -1; }}};
  VectorXd theta = VectorXd::Ones(1);
  opt.step(theta, VectorXd(theta)), opt.step(theta, VectorXd(theta));
  const VectorXd before = theta;
  CHECK(error_of([&] { opt.step(theta, VectorXd(theta)); }) ==
        "invalid_argument: polyak::ScheduleFree: weight_decay must be finite and >= 0, got -1");
  CHECK(theta == before);
}
