#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::error_of;
using support::infinity;
using support::not_a_number;

namespace {

/// Where one weight goes from `theta` with these gradients.
template <class Scalar>
std::vector<double> path(Sgd<Scalar> sgd, double theta, const std::vector<double>& grads) {
  Eigen::Matrix<Scalar, 1, 1> params(static_cast<Scalar>(theta));
  std::vector<double> result;
  for (const double g : grads) {
    sgd.step(params, Eigen::Matrix<Scalar, 1, 1>(static_cast<Scalar>(g)));
    result.push_back(static_cast<double>(params[0]));
  }
  return result;
}

template <class Scalar>
std::vector<double> rounded(std::vector<double> values) {
  for (double& x : values) x = static_cast<double>(static_cast<Scalar>(x));
  return values;
}

std::function<double(std::uint64_t)> sequence(std::vector<double> values) {
  return [values](std::uint64_t t) { return values.at(t); };
}

std::string built(SgdOptions options) {
  return error_of([&] { Sgd sgd(options); });
}

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them.

TEMPLATE_TEST_CASE("Sgd follows its formula", "", POLYAK_TEST_SCALARS) {
  using Values = std::vector<double>;
  CHECK(path(Sgd<TestType>{{.learning_rate = 0.5}}, 8, {2, 4, -6}) == Values{7, 5, 8});
  CHECK(path(Sgd<TestType>{{.learning_rate = 0}}, 8, {2, 4}) == Values{8, 8});

  SECTION("weight decay") {
    // d = 2 + 8/4 = 4, then 4 + 6/4 = 5.5
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .weight_decay = 0.25}}, 8, {2, 4}) == Values{6, 3.25});
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .weight_decay = 1}}, 8, {2, 4}) == Values{3, -0.5});
  }
  SECTION("momentum") {
    // v = 2, 1 + 4 = 5, 2.5 − 2 = 0.5
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .momentum = 0.5}}, 8, {2, 4, -2}) == Values{7, 4.5, 4.25});
  }
  SECTION("momentum above 1 is allowed, as it is in torch") {
    CHECK(path(Sgd<TestType>{{.learning_rate = 1, .momentum = 2}}, 0, {1, 1, 1}) == Values{-1, -4, -11});
  }
  SECTION("dampening, which spares the first step") {
    // v = 2, 1 + 3 = 4, 2 − 1.5 = 0.5
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .momentum = 0.5, .dampening = 0.25}}, 8, {2, 4, -2}) ==
          Values{7, 5, 4.75});
    // A negative one amplifies: v = 2, 1 + 8 = 9
    CHECK(path(Sgd<TestType>{{.learning_rate = 1, .momentum = 0.5, .dampening = -1}}, 0, {2, 4}) == Values{-2, -11});
    // Without momentum there is no velocity to damp.
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .dampening = 0.25}}, 8, {2, 4}) == Values{7, 5});
  }
  SECTION("Nesterov") {
    // v = 2, 5, 0.5;  d = 3, 6.5, −1.75
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .momentum = 0.5, .nesterov = true}}, 8, {2, 4, -2}) ==
          Values{6.5, 3.25, 4.125});
  }
  SECTION("Nesterov with weight decay") {
    // d = 2 + 8/4 = 4, v = 4, θ = 8 − 6/2 = 5;  d = 1.75 + 5/4 = 3, v = 2 + 3 = 5, θ = 5 − (3 + 2.5)/2
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .momentum = 0.5, .nesterov = true, .weight_decay = 0.25}}, 8,
               {2, 1.75}) == Values{5, 2.25});
  }
  SECTION("everything but Nesterov") {
    CHECK(path(Sgd<TestType>{{.learning_rate = 0.5, .momentum = 0.5, .dampening = 0.25, .weight_decay = 0.25}}, 8,
               {2, 4, -2}) == rounded<TestType>({6, 2.9375, 1.880859375}));
  }
}

TEST_CASE("16-bit weights are moved in float and rounded once") {
  // v = 1, 1 + 2⁻¹¹ (no half, and kept), −1 + 2⁻¹¹ + 2⁻²²; θ = −1, −2 − 2⁻¹¹, then −1 − 2⁻¹¹ − 2⁻²², each rounded.
  // With a velocity in half the last would be −1 − 2⁻¹¹, a tie that rounds to −1.
  CHECK(path(Sgd<Eigen::half>{{.learning_rate = 1, .momentum = 0x1p-11}}, 0, {1, 1, -1}) ==
        std::vector<double>{-1, -2, -1 - 0x1p-10});
  // d = 1 + 2⁻¹¹ would round to 1 in half; 2048 times that tells.
  CHECK(path(Sgd<Eigen::half>{{.learning_rate = 2048, .weight_decay = 0x1p-11}}, 1, {1}) == std::vector<double>{-2048});
}

TEST_CASE("momentum from a schedule: the velocity rests where it is 0") {
  using Values = std::vector<double>;
  const auto with_momentum = [](std::vector<double> momentum, double dampening = 0) {
    return Sgd{{.learning_rate = 1, .momentum = sequence(momentum), .dampening = dampening}};
  };
  // v = 2, –, 1 + 3 = 4
  CHECK(path(with_momentum({0.5, 0, 0.5}, 0.5), 0, {2, 4, 6}) == Values{-2, -6, -10});
  // The first velocity is that of the first step with a momentum, undamped: v = –, 4, 2 + 3 = 5
  CHECK(path(with_momentum({0, 0.5, 0.5}, 0.5), 0, {2, 4, 6}) == Values{-2, -6, -11});
  CHECK(path(with_momentum({0, 0, 0}), 0, {2, 4, 6}) == Values{-2, -6, -12});
  // v = 2, 0.5 + 4 = 4.5, 3.375 + 6 = 9.375
  CHECK(path(with_momentum({0, 0.25, 0.75}), 0, {0, 4, 6}) == Values{0, -4, -13});
  CHECK(path(Sgd{{.learning_rate = 1, .momentum = sequence({0, 0.5, 0.5}), .nesterov = true}}, 0, {2, 4, 6}) ==
        Values{-2, -8, -18});
}

TEST_CASE("weight decay from a schedule") {
  using Values = std::vector<double>;
  const auto with_decay = [](Hyperparameter decay, bool decoupled = false) {
    return Sgd{{.learning_rate = 0.5, .weight_decay = std::move(decay), .decoupled_weight_decay = decoupled}};
  };
  // λ = 1/4, 5/8, then 1: factors of 7/8, 11/16 and 1/2 without a gradient, and from then on 1/2
  const Cosine rises{{.initial = 0.25, .final = 1, .steps = 2}};
  for (const bool decoupled : {false, true}) {
    CHECK(path(with_decay(rises, decoupled), 8, {0, 0, 0, 0}) == Values{7, 4.8125, 2.40625, 1.203125});
  }
  // One that starts late: d = 2, 2, 2 + 6/2, 2 + 3.5/2
  const auto late = [](std::uint64_t t) { return t < 2 ? 0 : 0.5; };
  CHECK(path(with_decay(late), 8, {2, 2, 2, 2}) == Values{7, 6, 3.5, 1.625});
  // Decoupled: 3/4 · 6 − 1, 3/4 · 3.5 − 1
  CHECK(path(with_decay(late, true), 8, {2, 2, 2, 2}) == Values{7, 6, 3.5, 1.625});
  // With momentum they differ once the velocity has it: v = 2, 3, 3/2 + 19/4, 25/8 + 51/16
  Sgd heavy{{.learning_rate = 0.5, .momentum = 0.5, .weight_decay = late}};
  CHECK(path(heavy, 8, {2, 2, 2, 2}) == Values{7, 5.5, 2.375, -0.78125});
  // v = 2, 3, 7/2, 15/4: 3/4 · 11/2 − 7/4, 3/4 · 19/8 − 15/8
  Sgd apart{{.learning_rate = 0.5, .momentum = 0.5, .weight_decay = late, .decoupled_weight_decay = true}};
  CHECK(path(apart, 8, {2, 2, 2, 2}) == Values{7, 5.5, 2.375, -0.09375});
  // A decay that shrinks by more than everything turns the sign.
  CHECK(path(with_decay(Constant(4), true), 8, {0, 0}) == Values{-8, 8});
}

TEST_CASE("a block's share of the weight decay is that of the number which the schedule gives") {
  Sgd sgd{{.learning_rate = 0.5,
           .weight_decay = sequence({0.25, 0.5}),
           .blocks = {{.weight_decay_factor = 0}, {}, {.learning_rate_factor = 0.5, .weight_decay_factor = 2}}}};
  std::vector<VectorXd> theta(3, support::constant(1, 8));
  const std::vector<VectorXd> none(3, support::constant(1, 0));
  sgd.step(theta, none);
  CHECK(theta[0][0] == 8);
  CHECK(theta[1][0] == 7);
  CHECK(theta[2][0] == 7);
  sgd.step(theta, none);
  CHECK(theta[0][0] == 8);
  CHECK(theta[1][0] == 5.25);
  CHECK(theta[2][0] == 5.25);
}

TEST_CASE("a momentum is warmed up") {
  // μ = 0, 1/4, 1/2, 1/2: v = –, 4, 2 + 6 = 8, 4 + 2 = 6
  const LinearWarmup warmup{{.start_factor = 0, .steps = 2, .then = 0.5}};
  CHECK(path(Sgd{{.learning_rate = 1, .momentum = warmup}}, 0, {2, 4, 6, 2}) == std::vector<double>{-2, -6, -14, -20});
}

TEST_CASE("the first velocity does not depend on what the memory held before") {
  // Freed memory of the same size is what the velocity most likely gets.
  { const VectorXd dirt = support::constant(40, not_a_number); }
  Sgd sgd{{.learning_rate = 1, .momentum = 0.5}};
  VectorXd theta = VectorXd::Zero(40);
  {
    const VectorXd grad = VectorXd::Ones(40);
    { const VectorXd dirt = support::constant(40, not_a_number); }
    sgd.step(theta, grad);
    sgd.step(theta, grad);
  }
  CHECK(theta == support::constant(40, -2.5));
}

TEST_CASE("schedules are asked with the number of steps taken, once a step") {
  using Times = std::vector<std::uint64_t>;
  Times rates, decays, momenta;
  const auto recorded = [](Times& asked, double first) {
    return [&asked, first](std::uint64_t t) {
      asked.push_back(t);
      return first / static_cast<double>(1 << t);
    };
  };
  Sgd sgd{{.learning_rate = recorded(rates, 1), .momentum = recorded(momenta, 0), .weight_decay = recorded(decays, 0)}};
  const auto check_asked = [&](const Times& times) {
    CHECK(rates == times);
    CHECK(decays == times);
    CHECK(momenta == times);
  };
  check_asked({});
  VectorXd theta = VectorXd::Zero(2000);
  for (int t = 0; t < 3; ++t) sgd.step(theta, VectorXd::Ones(2000));
  check_asked({0, 1, 2});
  CHECK(theta == VectorXd::Constant(2000, -1.75));
  CHECK(sgd.learning_rate() == 0.125);
  CHECK_THROWS_AS(sgd.step(theta, VectorXd::Ones(3)), std::invalid_argument);
  CHECK(decays == Times{0, 1, 2});
}

TEST_CASE("the learning rate is read and set in the middle of training") {
  VectorXd theta = VectorXd::Zero(1);
  const VectorXd grad = VectorXd::Ones(1);
  Sgd sgd{{.learning_rate = 1}};
  CHECK(sgd.learning_rate() == 1);
  sgd.step(theta, grad);
  CHECK(theta[0] == -1);

  sgd.set_learning_rate(0.25);
  CHECK(sgd.learning_rate() == 0.25);
  sgd.step(theta, grad);
  CHECK(theta[0] == -1.25);
  CHECK(sgd.steps() == 2);

  // A schedule set late is still asked with the number of steps taken.
  sgd.set_learning_rate(StepDecay{{.initial = 8, .factor = 0.5, .period = 1}});
  CHECK(sgd.learning_rate() == 2);
  sgd.step(theta, grad);
  CHECK(theta[0] == -3.25);
  CHECK(sgd.learning_rate() == 1);

  for (const double bad : {-1.0, infinity, not_a_number}) {
    CHECK(error_of([&] {
            sgd.set_learning_rate(bad);
          }).starts_with("invalid_argument: polyak::Sgd: learning_rate must be finite and >= 0, got "));
    CHECK(sgd.learning_rate() == 1);
  }
  CHECK(sgd.options().learning_rate(0) == 8);
}

TEST_CASE("weight decay and momentum are read and set in the middle of training") {
  VectorXd theta = VectorXd::Constant(1, 8);
  const VectorXd grad = VectorXd::Constant(1, 2);
  Sgd sgd{{.learning_rate = 0.5}};
  CHECK(sgd.weight_decay() == 0);
  CHECK(sgd.momentum() == 0);
  sgd.step(theta, grad);
  CHECK(theta[0] == 7);

  sgd.set_weight_decay(2);  // d = 2 + 14
  CHECK(sgd.weight_decay() == 2);
  sgd.step(theta, grad);
  CHECK(theta[0] == -1);
  sgd.set_weight_decay(0);
  sgd.set_momentum(0.5);  // v = 2, then 3
  CHECK(sgd.momentum() == 0.5);
  sgd.step(theta, grad);
  sgd.step(theta, grad);
  CHECK(theta[0] == -3.5);
  sgd.set_momentum(StepDecay{{.initial = 8, .factor = 0.5, .period = 1}});
  sgd.set_weight_decay(StepDecay{{.initial = 16, .factor = 0.5, .period = 1}});
  CHECK(sgd.momentum() == 0.5);
  CHECK(sgd.weight_decay() == 1);
  sgd.step(theta, grad);  // d = 2 − 3.5, v = 1.5 − 1.5
  CHECK(theta[0] == -3.5);
  CHECK(sgd.momentum() == 0.25);
  CHECK(sgd.weight_decay() == 0.5);
}

TEST_CASE("what is set goes with the other options, or is refused as at construction") {
  const std::string error = "invalid_argument: polyak::Sgd: momentum must be > 0 with nesterov, got 0";
  Sgd sgd{{.learning_rate = 1, .momentum = 0.5, .nesterov = true}};
  VectorXd theta = VectorXd::Zero(1);
  CHECK(error_of([&] { sgd.set_momentum(0); }) == error);
  CHECK(sgd.momentum() == 0.5);
  sgd.step(theta, VectorXd::Constant(1, 2));
  CHECK(theta[0] == -3);
  sgd.set_momentum(Constant(0));  // a schedule may rest
  sgd.step(theta, VectorXd::Constant(1, 2));
  CHECK(theta[0] == -5);
  CHECK(error_of([&] { sgd.set_momentum(0); }) == error);
  CHECK(sgd.options().momentum.description() == "Constant(value 0)");
  Sgd plain;
  plain.set_momentum(0);
  CHECK(plain.momentum() == 0);
}

TEST_CASE("Sgd takes nesterov with momentum and without dampening alone") {
  const std::string who = "invalid_argument: polyak::Sgd: ";
  CHECK(built({.momentum = 0.9, .dampening = 0.5, .nesterov = true}) ==
        who + "dampening must be 0 with nesterov, got 0.5");
  CHECK(built({.nesterov = true}) == who + "momentum must be > 0 with nesterov, got 0");
  CHECK(built({.momentum = 0.9, .nesterov = true}) == "nothing");
  CHECK(built({.momentum = Constant(0), .nesterov = true}) == "nothing");
}

TEST_CASE("what a schedule gives out of range is refused in the step that meets it") {
  VectorXd theta{{1, 2}};
  const VectorXd grad{{3, 4}};
  for (const double bad : {-0.5, infinity, not_a_number}) {
    for (const std::string member : {"learning_rate", "weight_decay", "momentum"}) {
      const auto turns_bad = sequence({0.5, 0.5, bad, 0.5});
      SgdOptions options{
          .learning_rate = sequence({1, 1, 1, 1}), .momentum = sequence({0, 0.5, 0.5, 0.5}), .weight_decay = 0.125};
      (member == "learning_rate" ? options.learning_rate
       : member == "momentum"    ? options.momentum
                                 : options.weight_decay) = turns_bad;
      Sgd sgd(options);
      sgd.step(theta, grad);
      sgd.step(theta, grad);
      const Sgd before = sgd;
      const VectorXd there = theta;
      CHECK(error_of([&] { sgd.step(theta, grad); }) ==
            "invalid_argument: polyak::Sgd: " + member + " must be finite and >= 0, got " + detail::to_text(bad));
      CHECK(support::same_bits(theta, there));
      CHECK(sgd.steps() == 2);
    }
  }
}

TEST_CASE("a step that throws leaves everything as it was") {
  int failures_left = 0;
  const auto may_fail = [&failures_left](std::uint64_t) -> double {
    if (failures_left > 0 && failures_left-- > 0) throw std::runtime_error("no rate today");
    return 0.5;
  };
  for (const int which : {0, 1, 2}) {
    Sgd sgd{{.learning_rate = which == 0 ? Hyperparameter(may_fail) : Hyperparameter(0.5),
             .momentum = which == 1 ? Hyperparameter(may_fail) : Hyperparameter(0.5),
             .dampening = 0.5,
             .weight_decay = which == 2 ? Hyperparameter(may_fail) : Hyperparameter(0.25)}};
    Sgd untroubled = sgd;
    support::Random random(5);
    VectorXd theta = random.vector(40);
    VectorXd twin = theta;
    for (int t = 0; t < 6; ++t) {
      const VectorXd grad = random.vector(40);
      untroubled.step(twin, grad);
      failures_left = 1;
      CHECK_THROWS_WITH(sgd.step(theta, grad), "no rate today");
      CHECK(sgd.steps() == static_cast<std::uint64_t>(t));
      CHECK_THROWS_AS(sgd.step(theta, VectorXd::Ones(3)), std::invalid_argument);
      if (t > 0) {
        VectorXd longer = VectorXd::Ones(41);
        CHECK(error_of([&] { sgd.step(longer, longer); }) ==
              "invalid_argument: polyak::Sgd: parameters must keep the size, 40x1, got 41x1");
        CHECK(longer == VectorXd::Ones(41));
      }
      sgd.step(theta, grad);
      REQUIRE(support::same_bits(theta, twin));
    }
  }
}

TEST_CASE("the first step that counts sets the size") {
  int failures_left = 1;
  Sgd sgd{{.learning_rate = [&failures_left](std::uint64_t) -> double {
             if (failures_left-- > 0) throw std::runtime_error("not yet");
             return 1;
           },
           .momentum = 0.5}};
  VectorXd three = VectorXd::Zero(3);
  VectorXd five = VectorXd::Zero(5);
  CHECK_THROWS_AS(sgd.step(three, three), std::runtime_error);
  sgd.step(five, VectorXd::Ones(5));
  sgd.step(five, VectorXd::Ones(5));
  CHECK(five == VectorXd::Constant(5, -2.5));
  CHECK_THROWS_AS(sgd.step(three, three), std::invalid_argument);
}

TEST_CASE("options are owned by value and handed back") {
  SgdOptions options{.learning_rate = 0.5, .momentum = 0.25, .dampening = 0.125, .weight_decay = 2};
  const Sgd sgd(options);
  options = {};
  CHECK(sgd.options().learning_rate(0) == 0.5);
  CHECK(sgd.options().momentum(0) == 0.25);
  CHECK(sgd.options().dampening == 0.125);
  CHECK(sgd.options().weight_decay(0) == 2);
  CHECK_FALSE(sgd.options().nesterov);

  CHECK(Sgd().learning_rate() == 0.01);
  CHECK(Sgd<float>().options().momentum(0) == 0);
  CHECK(Sgd().options().weight_decay(0) == 0);
  CHECK(Sgd().steps() == 0);
}

TEST_CASE("reset goes back to the beginning with what was set last") {
  const std::vector<double> grads{2, 4, -2};
  Sgd sgd{{.learning_rate = 1, .momentum = 0.5, .dampening = 0.25}};
  VectorXd three = VectorXd::Zero(3);
  sgd.step(three, VectorXd::Ones(3));
  sgd.step(three, VectorXd::Ones(3));
  sgd.set_learning_rate(0.5);
  sgd.set_weight_decay(0.125);
  sgd.set_momentum(0.25);
  sgd.reset();
  CHECK(sgd.steps() == 0);
  CHECK(sgd.learning_rate() == 0.5);
  CHECK(path(sgd, 8, grads) ==
        path(Sgd{{.learning_rate = 0.5, .momentum = 0.25, .dampening = 0.25, .weight_decay = 0.125}}, 8, grads));
}

TEST_CASE("copies and moves of an Sgd carry on where it was") {
  support::Random random(6);
  const SgdOptions options{.learning_rate = InverseTime{{.initial = 0.1, .timescale = 5}},
                           .momentum = 0.9,
                           .nesterov = true,
                           .weight_decay = 0.01};
  Sgd whole(options);
  VectorXd expected = random.vector(700);
  VectorXd theta = expected;
  std::vector<VectorXd> grads;
  for (int t = 0; t < 10; ++t) grads.push_back(random.vector(700));
  for (const auto& g : grads) whole.step(expected, g);

  Sgd first(options);
  for (int t = 0; t < 5; ++t) first.step(theta, grads[static_cast<std::size_t>(t)]);
  VectorXd apart = theta;
  Sgd copy = first;
  first.step(apart, VectorXd::Constant(700, 1e3));  // must not be seen by the copy
  Sgd moved = std::move(copy);
  for (std::size_t t = 5; t < 8; ++t) moved.step(theta, grads[t]);
  Sgd assigned;
  assigned = moved;
  moved = Sgd();
  for (std::size_t t = 8; t < 10; ++t) assigned.step(theta, grads[t]);
  CHECK(support::same_bits(theta, expected));
  CHECK(assigned.steps() == 10);
}

TEST_CASE("with decoupled weight decay the velocity is of gradients alone, whatever the weights are") {
  Sgd sgd{{.learning_rate = 0.5, .momentum = 0.5, .weight_decay = 1, .decoupled_weight_decay = true}};
  VectorXd theta(3);
  theta << infinity, -infinity, not_a_number;
  sgd.step(theta, VectorXd::Constant(3, 2).eval());
  CHECK(theta[0] == infinity);
  CHECK(theta[1] == -infinity);
  theta.setZero();  // by someone who starts again from good weights
  sgd.step(theta, VectorXd::Constant(3, 2).eval());
  CHECK(theta == VectorXd::Constant(3, -1.5));
}

TEST_CASE("divergence is data, not an error") {
  VectorXd theta{{1, -1}};
  Sgd sgd{{.learning_rate = 1e200}};
  sgd.step(theta, VectorXd{{1e200, 0}});
  CHECK(theta[0] == -infinity);
  CHECK(theta[1] == -1);
  sgd.step(theta, VectorXd{{0, not_a_number}});
  CHECK(std::isnan(theta[1]));
  CHECK(sgd.steps() == 2);
}

namespace {

/// A fold of slices that sees how many steps are counted while one is under way.
struct Counted {
  const Sgd<>* sgd;
  std::uint64_t expected;
  bool* wrong;
  template <class Weight>
  void before(std::size_t, std::span<const Weight>) const noexcept {
    *wrong |= sgd->steps() != expected;
  }
  template <class Weight>
  void after(std::size_t, std::span<const Weight>) const noexcept {
    *wrong |= sgd->steps() != expected;
  }
};

/// Has every step of its optimizer seen by such a fold.
class Watched : public Wrapper<Watched, Sgd<>> {
 public:
  static constexpr std::string_view name = "Watched";
  explicit Watched(Sgd<> sgd) : Wrapper<Watched, Sgd<>>(std::move(sgd)) {}
  Outcome advance(const auto& step) {
    const Counted counted{&optimizer_, optimizer_.steps(), &wrong};
    return polyak::advance(optimizer_, step, counted);
  }
  bool wrong = false;
};

template <class T>
std::vector<std::span<T>> pieces(std::span<T> all, std::size_t length) {
  std::vector<std::span<T>> result;
  for (std::size_t from = 0; from < all.size(); from += length) {
    result.push_back(all.subspan(from, std::min(length, all.size() - from)));
  }
  return result;
}

}  // namespace

TEST_CASE("a step over slices is the step over the whole") {
  for (const Eigen::Index n : {1, 31, 32, 33, 511, 512, 513, 1300}) {
    support::Random random(static_cast<std::uint64_t>(n));
    Sgd whole{{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}};
    Sgd in_pieces = whole;
    Watched sliced{whole};
    VectorXd a = random.vector(n);
    VectorXd b = a, c = a;
    auto parts = pieces(flat(c), 7);
    for (int t = 0; t < 3; ++t) {
      const VectorXd grad = random.vector(n);
      whole.step(a, grad);
      CHECK(sliced.step(b, grad));
      CHECK(in_pieces.step(parts, pieces(flat(grad), 7)));
      CHECK(sliced.optimizer().steps() == static_cast<std::uint64_t>(t) + 1);
    }
    CHECK_FALSE(sliced.wrong);
    CHECK(support::same_bits(a, b));
    CHECK(support::same_bits(a, c));
  }
}
