#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/lookahead.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::constant;
using support::error_of;

namespace {

/// Moves against the gradient, whole steps only, and fails on demand.
struct Stubborn {
  bool fails = false;
  int steps = 0;
  int resets = 0;

  void step(VectorXd& params, const VectorXd& grad) {
    if (fails) throw std::runtime_error("not today");
    params -= grad;
    ++steps;
  }
  void reset() { ++resets; }
};

void descend(VectorXd& params, const VectorXd& grad) { params -= grad; }

/// Two optimizers whose parts have the same history go on alike: the strictest comparison there is.
template <class Optimizer, std::size_t... I>
void go_on_alike(Optimizer a, Optimizer b, VectorXd theta_a, VectorXd theta_b, std::index_sequence<I...>) {
  support::Random random(99);
  for (int t = 0; t < 6; ++t) {
    const VectorXd grad = random.vector(theta_a.size());
    a.step(theta_a, grad);
    b.step(theta_b, grad);
    REQUIRE(support::same_bits(theta_a, theta_b));
    const auto same = [](const auto& x, const auto& y) {
      REQUIRE(x.steps() == y.steps());
      REQUIRE(x.count() == y.count());
      REQUIRE(x.effective_sample_size() == y.effective_sample_size());
      REQUIRE(x.mean_age() == y.mean_age());
      REQUIRE(x.start_mass() == y.start_mass());
      REQUIRE(x.has_average() == y.has_average());
      if (x.has_average()) REQUIRE(support::same_bits(x.average(), y.average()));
    };
    (same(a.template averager<I>(), b.template averager<I>()), ...);
  }
}

}  // namespace

TEST_CASE("with no averager named there is an Ema") {
  Averaged opt{Sgd{{.learning_rate = 1}}};
  STATIC_REQUIRE(std::same_as<decltype(opt), Averaged<Sgd<>>>);
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(opt.averager())>, Ema<>>);
  CHECK(opt.averager().options().decay.number() == 0.999);
  VectorXd theta = constant(2, 1);
  opt.step(theta, constant(2, 0.5));
  CHECK(opt.average() == theta);
}

TEST_CASE("anything that steps or can be called is an optimizer") {
  const auto run = [](auto optimizer) {
    Averaged opt{std::move(optimizer), TailAverage{}};
    VectorXd theta = constant(3, 4);
    const VectorXd grad = constant(3, 1);
    opt.step(theta, grad);
    opt.step(theta, grad);
    CHECK(theta == constant(3, 2));
    CHECK(opt.average() == constant(3, 2.5));
    CHECK(opt.averager().count() == 2);
  };
  run(Stubborn{});
  run(descend);
  run(&descend);
  run(std::function<void(VectorXd&, const VectorXd&)>(descend));
  run([](auto& params, const auto& grad) { params -= grad; });
  run([calls = 0](VectorXd& params, const VectorXd& grad) mutable {
    ++calls;
    params -= grad;
  });
  run([only = std::make_unique<double>(1)](VectorXd& params, const VectorXd& grad) { params -= *only * grad; });
  run(Averaged{Stubborn{}});
  run(Averaged{Averaged{&descend, Swa{}}, Ema{}});
}

TEST_CASE("an optimizer that has the gradient itself is stepped with the parameters alone") {
  VectorXd theta = constant(3, 4);
  const auto run = [&](auto optimizer) {
    theta = constant(3, 4);
    Averaged opt{std::move(optimizer), TailAverage{}};
    CHECK(opt.step(theta));
    CHECK(opt.step(theta));
    CHECK(theta == constant(3, 2));
    CHECK(opt.average() == constant(3, 2.5));
    CHECK(opt.averager().count() == 2);
  };
  const auto descend_by_itself = [](VectorXd& params) { params -= constant(3, 1); };
  struct StepsParams {
    void step(VectorXd& params) { params -= constant(3, 1); }
  };
  struct Steps {
    VectorXd& params;
    double step() {
      params -= constant(3, 1);
      return 0.5;  // a loss, say, and no verdict
    }
  };
  run(descend_by_itself);
  run([&theta] { theta -= constant(3, 1); });
  run(StepsParams{});
  run(Steps{theta});
  run(Averaged{Steps{theta}});

  std::vector<VectorXd> blocks{constant(2, 4), constant(1, 4)};
  Averaged opt{[](std::vector<VectorXd>& params) {
                 if (params[1][0] < 4) return false;
                 for (VectorXd& block : params) block.array() -= 1;
                 return true;
               },
               TailAverage{}};
  CHECK(opt.step(blocks));
  CHECK_FALSE(opt.step(blocks));
  CHECK(opt.average() == constant(3, 3));
  CHECK(opt.averager().steps() == 1);

  Averaged slow{Lookahead<Steps, double>{Steps{theta}, {.every = 2, .alpha = 0.5}}, TailAverage{}};
  theta = constant(3, 4);
  slow.step(theta);
  slow.step(theta);
  CHECK(theta == constant(3, 3));
  CHECK(slow.average() == constant(3, 3));
}

TEST_CASE("a whole step may replace the parameters' memory") {
  Averaged opt{[](std::vector<double>& params, const std::vector<double>& grad) {
                 std::vector<double> moved(params);
                 for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= grad[i];
                 params.swap(moved);
               },
               TailAverage{}, Ema{{.decay = 0.5, .bias_correction = false}}};
  std::vector<double> theta{4, 8};
  opt.step(theta, std::vector<double>{2, 2});
  CHECK(theta == std::vector<double>{2, 6});
  CHECK(opt.average<0>() == VectorXd{{2, 6}});
  CHECK(opt.average<1>() == VectorXd{{3, 7}});
}

TEST_CASE("a whole step must not change the number of parameters") {
  Averaged opt{[](VectorXd& params, const VectorXd&) { params.conservativeResize(params.size() + 1); }, TailAverage{}};
  VectorXd theta = constant(3, 1);
  CHECK(error_of([&] { opt.step(theta, theta); }) ==
        "logic_error: polyak::Averaged: the optimizer changed the number of parameters");
  CHECK(opt.averager().steps() == 0);
  CHECK_FALSE(opt.has_average());
}

TEST_CASE("an optimizer that throws leaves every average as it was") {
  Averaged opt{Stubborn{}, TailAverage{}, Ema{{.decay = 0.5, .bias_correction = false}}, Swa{{.period = 2}}};
  VectorXd theta = constant(2, 8);
  opt.optimizer().fails = true;
  CHECK_THROWS_WITH(opt.step(theta, constant(2, 1)), "not today");
  CHECK(opt.averager<0>().steps() == 0);
  CHECK_FALSE(opt.has_average<1>());
  opt.optimizer().fails = false;
  theta = constant(2, 4);  // so the uncorrected average starts from here, not from 8
  opt.step(theta, constant(2, 2));
  CHECK(opt.average<1>() == constant(2, 3));

  auto before = opt;
  const VectorXd there = theta;
  opt.optimizer().fails = true;
  CHECK_THROWS_WITH(opt.step(theta, constant(2, 1)), "not today");
  CHECK(theta == there);
  opt.optimizer().fails = false;
  go_on_alike(opt, before, theta, there, std::make_index_sequence<3>());
}

TEST_CASE("an optimizer taken whole is not asked where an average cannot fold") {
  int fails = 0;
  const auto gain = [&fails](std::uint64_t k) {
    if (fails > 0) throw std::runtime_error("no gain");
    return 1 / static_cast<double>(k);
  };
  Averaged opt{Stubborn{}, TailAverage{}, GainAverage{{.gain = gain}}};
  VectorXd theta = constant(2, 8);
  opt.step(theta, constant(2, 1));
  const auto before = opt;
  fails = 1;
  CHECK_THROWS_WITH(opt.step(theta, constant(2, 1)), "no gain");
  fails = 0;
  CHECK(theta == constant(2, 7));
  CHECK(opt.optimizer().steps == 1);
  {
    const auto guard = opt.swap_in<0>(theta);
    CHECK_THROWS_AS(opt.step(theta, constant(2, 1)), std::logic_error);
    CHECK(opt.optimizer().steps == 1);
  }
  CHECK(theta == constant(2, 7));
  go_on_alike(opt, before, theta, theta, std::make_index_sequence<2>());
}

TEST_CASE("whatever throws before the pass leaves everything as it was, bit for bit") {
  int fails = 0;  // which of the callables throws
  const auto rate = [&fails](std::uint64_t t) {
    if (fails == 1) throw std::runtime_error("rate");
    return 0.1 / static_cast<double>(t + 1);
  };
  const auto momentum = [&fails](std::uint64_t) {
    if (fails == 2) throw std::runtime_error("momentum");
    return 0.9;
  };
  const auto gain = [&fails](std::uint64_t k) {
    if (fails == 3) throw std::runtime_error("gain");
    return fails == 5 ? 1.5 : 1 / static_cast<double>(k);
  };
  const auto decay = [&fails](std::uint64_t k) {
    if (fails == 4) throw std::runtime_error("decay");
    return fails == 6 ? 1.5 : static_cast<double>(k) / static_cast<double>(k + 3);
  };
  Averaged opt{Sgd{{.learning_rate = rate, .momentum = momentum, .nesterov = true, .weight_decay = 0.01}},
               TailAverage{{.start = 2}},
               GainAverage{{.gain = gain}},
               Ema{{.decay = decay}},
               Ema{{.decay = decay, .bias_correction = false, .start = 3}},
               Swa{{.period = 2}}};
  support::Random random(8);
  VectorXd theta = random.vector(700);

  for (int t = 0; t < 6; ++t) {
    const VectorXd grad = random.vector(700);
    const auto before = opt;
    const VectorXd there = theta;
    const auto untouched = [&] {
      fails = 0;
      REQUIRE(support::same_bits(theta, there));
      REQUIRE(opt.optimizer().steps() == static_cast<std::uint64_t>(t));
      go_on_alike(opt, before, theta, there, std::make_index_sequence<5>());
    };
    const std::vector<std::string> errors{
        "",
        "rate",
        "momentum",
        "gain",
        "decay",
        "polyak::GainAverage: gain must be in [0, 1], got 1.5 at fold " + std::to_string(t + 1),
        "polyak::Ema: decay must be in [0, 1], got 1.5 at fold " + std::to_string(t + 1)};
    for (int failure = 1; failure <= 6; ++failure) {
      fails = failure;
      CHECK_THROWS_WITH(opt.step(theta, grad), errors[static_cast<std::size_t>(failure)]);
      untouched();
    }
    CHECK_THROWS_AS(opt.step(theta, constant(3, 1)), std::invalid_argument);
    untouched();
    CHECK_THROWS_AS(opt.step(theta, Eigen::Map<const VectorXd>(theta.data() + 1, 699)), std::invalid_argument);
    untouched();
    if (t > 0) {
      VectorXd longer = constant(701, 1);
      const std::string first = t == 1 ? "GainAverage" : "TailAverage";  // of those that have an average
      CHECK(error_of([&] { opt.step(longer, longer); }) ==
            "invalid_argument: polyak::" + first + ": parameters must keep the size, 700x1, got 701x1");
      CHECK(longer == constant(701, 1));
      untouched();
      const auto guard = opt.swap_in<1>(theta);
      const VectorXd swapped = theta;
      CHECK_THROWS_AS(opt.step(theta, grad), std::logic_error);
      CHECK(support::same_bits(theta, swapped));
    }
    untouched();
    opt.step(theta, grad);
  }
}

TEST_CASE("the size is that of the first step also where the optimizer does not care") {
  Averaged opt{&descend, TailAverage{}};
  VectorXd theta = constant(3, 1);
  opt.step(theta, theta);
  VectorXd longer = constant(4, 1);
  CHECK(error_of([&] { opt.step(longer, longer); }) ==
        "invalid_argument: polyak::TailAverage: parameters must keep the size, 3x1, got 4x1");
  CHECK(longer == constant(4, 1));
}

TEST_CASE("several averagers share the steps and are read by index") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}, Swa{{.start = 2, .period = 2}}, Ema{{.decay = 0}}};
  VectorXd theta{{0}};
  for (int t = 0; t < 4; ++t) opt.step(theta, VectorXd{{-1}});
  CHECK(opt.average<0>()[0] == 2.5);
  CHECK(opt.average<1>()[0] == 3);
  CHECK(opt.average<2>()[0] == 4);
  CHECK(opt.averager<1>().count() == 2);
  CHECK(opt.has_average<1>());
  CHECK(opt.average_or<1>(theta)[0] == 3);
  VectorXd copy(1);
  opt.copy_average_to<0>(copy);
  CHECK(copy[0] == 2.5);
  {
    const auto guard = opt.swap_in<1>(theta);
    CHECK(theta[0] == 3);
    CHECK(error_of([&] { auto other = opt.swap_in<0>(theta); }) ==
          "logic_error: polyak::Swa: the average is swapped in; restore the trained weights first");
    CHECK(error_of([&] { opt.step(theta, theta); }) ==
          "logic_error: polyak::Swa: the average is swapped in; restore the trained weights first");
    CHECK(theta[0] == 3);
  }
  CHECK(theta[0] == 4);
  opt.step(theta, VectorXd{{-1}});
  CHECK(opt.average<0>()[0] == 3);
}

TEST_CASE("reading goes through to the one averager") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{{.start = 2}}};
  VectorXd theta{{8, 0}};
  opt.step(theta, VectorXd{{1, 0}});
  CHECK_FALSE(opt.has_average());
  CHECK(error_of([&] { (void)opt.average(); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 2, got 1 steps");
  CHECK(opt.average_or(theta) == theta);
  opt.step(theta, VectorXd{{1, 0}});
  opt.step(theta, VectorXd{{1, 0}});
  CHECK(opt.has_average());
  CHECK(opt.average() == VectorXd{{5.5, 0}});
  CHECK(&opt.average() == &opt.averager().average());
  CHECK(opt.average_or(theta) == opt.average());
  std::vector<float> narrow(2);
  opt.copy_average_to(narrow);
  CHECK(narrow == std::vector<float>{5.5f, 0});
  const auto& constant_view = opt;
  CHECK(constant_view.average()[0] == 5.5);
  CHECK(constant_view.optimizer().steps() == 3);
}

TEST_CASE("swapping in: the guard restores on scope exit, on request and by exception") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
  VectorXd theta{{8}};
  for (int t = 0; t < 3; ++t) opt.step(theta, VectorXd{{1}});
  const auto before = opt;
  SECTION("scope") {
    {
      const auto guard = opt.swap_in(theta);
      CHECK(theta[0] == 6);
    }
    CHECK(theta[0] == 5);
  }
  SECTION("request") {
    auto guard = opt.swap_in(theta);
    guard.restore();
    CHECK(theta[0] == 5);
    opt.step(theta, VectorXd{{0}});
    CHECK(opt.average()[0] == 5.75);
    return;
  }
  SECTION("exception") {
    const auto evaluate = [&] {
      const auto guard = opt.swap_in(theta);
      CHECK(theta[0] == 6);
      throw std::runtime_error("the evaluation failed");
    };
    CHECK_THROWS_WITH(evaluate(), "the evaluation failed");
    CHECK(theta[0] == 5);
  }
  SECTION("a step while swapped in moves nothing") {
    const auto guard = opt.swap_in(theta);
    VectorXd other{{3}};
    CHECK_THROWS_AS(opt.step(theta, theta), std::logic_error);
    CHECK_THROWS_AS(opt.step(other, other), std::logic_error);
    CHECK_THROWS_AS(opt.averager().update(theta), std::logic_error);
    CHECK(theta[0] == 6);
    CHECK(other[0] == 3);
  }
  go_on_alike(opt, before, theta, VectorXd{{5}}, std::make_index_sequence<1>());
}

TEST_CASE("a guard finds weights that have moved in memory meanwhile") {
  const auto run = [](auto theta, const auto& move, const auto& read) {
    Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
    opt.step(theta, theta);
    for (double& x : read(theta)) x = 5;
    {
      const auto guard = opt.swap_in(theta);
      move(theta);
    }
    for (const double x : read(theta)) CHECK(x == 5);
  };
  const auto reserve = [](std::vector<double>& theta) { theta.reserve(1000); };
  const auto itself = [](auto& theta) { return flat(theta); };
  run(std::vector<double>{1, 2, 3}, reserve, itself);
  run(
      VectorXd(constant(3, 2)), [](VectorXd& theta) { theta = VectorXd(constant(3, 9)); }, itself);
  const auto last = [](auto& theta) { return flat(theta.back()); };
  run(
      std::vector<std::vector<double>>{{1}, {2, 3}}, [&](auto& theta) { reserve(theta.back()); }, last);
  run(
      std::vector<VectorXd>{constant(1, 2), constant(2, 1)},
      [](auto& theta) {
        std::vector<VectorXd> moved = theta;
        theta.swap(moved);
      },
      last);
}

TEST_CASE("a guard does not put weights back into a vector of another size") {
  TailAverage tail;
  std::vector<double> theta{1, 2};
  tail.update(theta);
  theta = {3, 4};
  {
    auto guard = tail.swap_in(theta);
    theta.push_back(7);
    CHECK(error_of([&] { guard.restore(); }) ==
          "logic_error: polyak::SwapGuard: the weights must have the size they had when swapped in");
    CHECK(theta == std::vector<double>{1, 2, 7});
    theta.pop_back();
    guard.restore();
    CHECK(theta == std::vector<double>{3, 4});
  }
  {
    const auto guard = tail.swap_in(theta);
    theta = {7};
  }
  CHECK(theta == std::vector<double>{7});
  tail.update(std::vector<double>{3, 4});  // which is not swapped in any more
}

TEST_CASE("one average at a time is swapped in, also of averagers alone") {
  TailAverage tail;
  Ema ema;
  VectorXd theta = constant(3, 2);
  tail.update(theta);
  ema.update(theta);
  theta = constant(3, 5);
  auto guard = std::make_unique<SwapGuard<double>>(tail.swap_in(theta));
  CHECK(error_of([&] { auto other = ema.swap_in(theta); }) ==
        "logic_error: polyak::Ema: another average is swapped in on these weights; restore the trained weights first");
  CHECK(theta == constant(3, 2));
  VectorXd others = constant(3, 7);
  {
    const auto other = ema.swap_in(others);
    guard.reset();
  }
  CHECK(theta == constant(3, 5));
  CHECK(others == constant(3, 7));
  const auto again = ema.swap_in(theta);
}

TEST_CASE("a second average is refused on a vector whose memory has moved since the first was swapped in") {
  std::vector<float> weights{1, 2, 3};
  TailAverage first, second;
  first.update(std::vector<float>{10, 10, 10});
  second.update(std::vector<float>{20, 20, 20});
  {
    const auto guard = first.swap_in(weights);
    weights.reserve(1000);
    CHECK_THROWS_AS(second.swap_in(weights), std::logic_error);
  }
  CHECK(weights == std::vector<float>{1, 2, 3});
}

TEST_CASE("an average is swapped in for weights that are got and set by value") {
  class Net {
   public:
    [[nodiscard]] std::vector<std::vector<float>> get() const { return weights_; }
    void set(const std::vector<std::vector<float>>& weights) {
      if (fails) throw std::runtime_error("busy");
      weights_ = weights;
    }
    bool fails = false;

   private:
    std::vector<std::vector<float>> weights_{{1, 2}, {3}};
  } net;
  const auto get = [&] { return net.get(); };
  const auto set = [&](const auto& weights) { net.set(weights); };
  const std::vector<std::vector<float>> first{{1, 2}, {3}}, last{{5, 6}, {7}}, mean{{3, 4}, {5}};
  Averaged opt{[](auto& weights, const auto&) { weights = {{5, 6}, {7}}; }, TailAverage{}};
  net.fails = true;  // nothing is set where there is nothing to set
  CHECK(error_of([&] { auto guard = opt.swap_in(get, set); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 1, got 0 steps");
  net.fails = false;
  CHECK(net.get() == first);
  opt.averager().update(net.get());
  auto weights = net.get();
  opt.step(weights, weights);
  net.set(weights);
  net.fails = true;
  CHECK_THROWS_AS(opt.swap_in(get, set), std::runtime_error);
  net.fails = false;
  CHECK(net.get() == last);
  opt.averager().require_not_swapped();
  {
    auto guard = opt.swap_in(get, set);
    CHECK(net.get() == mean);
    CHECK_THROWS_AS(opt.step(weights, weights), std::logic_error);
    CHECK_THROWS_AS(opt.swap_in(get, set), std::logic_error);
    net.fails = true;
    CHECK_THROWS_AS(guard.restore(), std::runtime_error);
    CHECK(net.get() == mean);
    net.fails = false;
    const auto moved = std::move(guard);
    CHECK(net.get() == mean);
  }
  CHECK(net.get() == last);
  auto guard = opt.swap_in(get, set);
  guard.restore();
  net.set(first);
  guard.restore();
  CHECK(net.get() == first);
  opt.step(weights, weights);
}

TEST_CASE("a weight that is too large for the shadow is kept out by a Guarded alone") {
  Ema<float> ema;
  Guarded guarded{Ema<float>{}};
  for (const double weight : {1.0, 1e300}) {
    ema.update(constant(2, weight));
    guarded.update(constant(2, weight));
  }
  CHECK(ema.average()[0] == std::numeric_limits<float>::infinity());
  CHECK(guarded.average() == Eigen::VectorXf::Ones(2));
  CHECK(guarded.skipped() == 1);
}

TEST_CASE("an average that was never due says when it would have been") {
  Averaged opt{Sgd{}, Swa{{.start = 500, .period = 10}}};
  VectorXd theta = constant(2, 1);
  for (int t = 0; t < 30; ++t) opt.step(theta, theta);
  const std::string text =
      "logic_error: polyak::Swa: there is no average before the first fold, due at step 500, got 30 steps";
  CHECK(error_of([&] { (void)opt.average(); }) == text);
  CHECK(error_of([&] { (void)opt.average_block(0); }) == text);
  CHECK(error_of([&] { opt.copy_average_to(theta); }) == text);
  CHECK(error_of([&] { auto guard = opt.swap_in(theta); }) == text);
}

TEST_CASE("a swapped-in Averaged may move and may be copied") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
  VectorXd theta{{8}};
  for (int t = 0; t < 3; ++t) opt.step(theta, VectorXd{{1}});
  auto guard = opt.swap_in(theta);

  auto copy = opt;
  VectorXd other{{5}};
  copy.step(other, VectorXd{{1}});
  CHECK(copy.average()[0] == 5.5);
  CHECK(opt.average()[0] == 6);

  auto moved = std::move(opt);
  CHECK_THROWS_AS(moved.step(theta, theta), std::logic_error);
  CHECK_THROWS_AS(moved.swap_in(theta), std::logic_error);
  Averaged assigned{Sgd{{.learning_rate = 1}}, TailAverage{}};
  assigned = std::move(moved);
  CHECK_THROWS_AS(assigned.step(theta, theta), std::logic_error);
  moved = std::move(assigned);
  auto moved_guard = std::move(guard);
  CHECK_THROWS_AS(moved.step(theta, theta), std::logic_error);
  moved_guard.restore();
  CHECK(theta[0] == 5);
  moved.step(theta, VectorXd{{1}});
  CHECK(moved.average()[0] == 5.5);
}

TEST_CASE("what is assigned over a swapped-in Averaged waits for the weights as well") {
  for (const bool by_move : {false, true}) {
    Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
    VectorXd theta{{8}};
    opt.step(theta, VectorXd{{1}});
    opt.step(theta, VectorXd{{1}});
    auto guard = opt.swap_in(theta);
    Averaged fresh{Sgd{{.learning_rate = 1}}, TailAverage{}};
    if (by_move) {
      opt = std::move(fresh);
    } else {
      opt = fresh;
    }
    // The weights are still the average, and the guard would undo a step.
    CHECK_THROWS_AS(opt.step(theta, VectorXd{{1}}), std::logic_error);
    guard.restore();
    CHECK(theta[0] == 6);
    opt.step(theta, VectorXd{{1}});
    CHECK(opt.average()[0] == 5);
  }
}

TEST_CASE("T steps are T/2, a copy or a move, and T/2") {
  Averaged opt{Sgd{{.learning_rate = Cosine{{.initial = 0.1, .steps = 20}}, .momentum = 0.9}}, Ema{{.decay = 0.9}},
               TailAverage{{.start = 7}}, Swa{{.period = 3}}};
  support::Random random(10);
  const VectorXd start = random.vector(600);
  std::vector<VectorXd> grads;
  for (int t = 0; t < 20; ++t) grads.push_back(random.vector(600));

  auto whole = opt;
  VectorXd expected = start;
  for (const auto& grad : grads) whole.step(expected, grad);

  VectorXd theta = start;
  for (std::size_t t = 0; t < 10; ++t) opt.step(theta, grads[t]);
  auto copy = opt;
  VectorXd elsewhere = theta;
  for (int t = 0; t < 3; ++t) opt.step(elsewhere, grads[0]);  // must not be seen by the copy
  auto moved = std::move(copy);
  for (std::size_t t = 10; t < 15; ++t) moved.step(theta, grads[t]);
  opt = moved;
  moved.reset();
  for (std::size_t t = 15; t < 20; ++t) opt.step(theta, grads[t]);

  CHECK(support::same_bits(theta, expected));
  CHECK(support::same_bits(opt.average<0>(), whole.average<0>()));
  CHECK(support::same_bits(opt.average<1>(), whole.average<1>()));
  CHECK(support::same_bits(opt.average<2>(), whole.average<2>()));
  CHECK(opt.optimizer().steps() == 20);
}

TEST_CASE("an Averaged that is reset is as after construction") {
  Averaged opt{Sgd{{.learning_rate = 0.5, .momentum = 0.5}}, Ema{{.decay = 0.5}}, Swa{{.period = 2}}};
  const auto fresh = opt;
  VectorXd theta = constant(3, 1);
  for (int t = 0; t < 5; ++t) opt.step(theta, theta);
  opt.reset();
  CHECK(opt.optimizer().steps() == 0);
  CHECK_FALSE(opt.has_average<0>());
  CHECK_FALSE(opt.has_average<1>());
  go_on_alike(opt, fresh, constant(7, 1), constant(7, 1), std::make_index_sequence<2>());

  Averaged whole{Stubborn{}};
  whole.step(theta, theta);
  whole.reset();
  CHECK(whole.optimizer().resets == 1);
  CHECK(whole.averager().steps() == 0);
  Averaged forgetful{&descend};  // has no reset of its own
  forgetful.step(theta, theta);
  forgetful.reset();
  CHECK_FALSE(forgetful.has_average());
}

TEST_CASE("the uncorrected average starts from the weights before its first fold") {
  const auto average_after = [](std::uint64_t start, std::uint64_t every) {
    Averaged opt{Sgd{{.learning_rate = 1}},
                 Ema{{.decay = 0.5, .bias_correction = false, .start = start, .every = every}}};
    VectorXd theta{{0}};
    while (!opt.has_average()) opt.step(theta, VectorXd{{-2}});
    return std::pair{opt.average()[0], opt.averager().start_mass()};
  };
  CHECK(average_after(0, 1) == std::pair{1.0, 0.5});  // half of θ_0 = 0, half of θ_1 = 2
  CHECK(average_after(1, 1) == std::pair{1.0, 0.5});
  CHECK(average_after(3, 1) == std::pair{5.0, 0.5});  // θ_2 = 4, θ_3 = 6
  CHECK(average_after(0, 3) == std::pair{5.0, 0.5});

  // A start given beforehand takes precedence.
  Averaged opt{Sgd{{.learning_rate = 1}}, Ema{{.decay = 0.5, .bias_correction = false}}};
  opt.averager().start_from(VectorXd{{10}});
  VectorXd theta{{0}};
  CHECK(opt.has_average());
  CHECK(opt.average()[0] == 10);  // until the first step folds
  CHECK(opt.average_or(theta)[0] == 10);
  {
    const auto guard = opt.swap_in(theta);
    CHECK(theta[0] == 10);
    CHECK_THROWS_AS(opt.step(theta, VectorXd{{-2}}), std::logic_error);
  }
  opt.step(theta, VectorXd{{-2}});
  CHECK(opt.average()[0] == 6);
}

TEST_CASE("an Averaged is an optimizer and nests") {
  Averaged opt{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}, Swa{{.period = 2}}};
  VectorXd theta{{0}};
  for (int t = 0; t < 4; ++t) opt.step(theta, VectorXd{{-1}});
  CHECK(opt.average()[0] == 3);
  CHECK(opt.optimizer().average()[0] == 2.5);
  CHECK(opt.optimizer().optimizer().steps() == 4);

  {
    const auto guard = opt.optimizer().swap_in(theta);
    CHECK_THROWS_AS(opt.step(theta, theta), std::logic_error);
    CHECK(theta[0] == 2.5);
    CHECK(opt.averager().steps() == 4);
  }
  {
    const auto guard = opt.swap_in(theta);
    CHECK_THROWS_AS(opt.step(theta, theta), std::logic_error);
    CHECK(opt.optimizer().averager().steps() == 4);
  }
  CHECK(theta[0] == 4);
  opt.reset();
  CHECK(opt.optimizer().optimizer().steps() == 0);
}

TEST_CASE("one average at a time is swapped in, nested or not") {
  Averaged opt{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}, Swa{{.period = 2}}};
  VectorXd theta{{0}};
  for (int t = 0; t < 4; ++t) opt.step(theta, VectorXd{{-1}});
  const auto inner = opt.optimizer().swap_in(theta);
  CHECK(error_of([&] { auto outer = opt.swap_in(theta); }) ==
        "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first");
  CHECK(theta[0] == 2.5);
}

namespace {

/// Layers that lose what they are handed.
template <class Optimizer>
struct Forgets : Wrapper<Forgets<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "Forgets";
  explicit Forgets(Optimizer inside) : Wrapper<Forgets, Optimizer>(std::move(inside)) {}
  Outcome advance(const auto& step, const auto&...) { return polyak::advance(this->optimizer(), step); }
};
template <class Optimizer>
struct Swallows : Wrapper<Swallows<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "Swallows";
  explicit Swallows(Optimizer inside) : Wrapper<Swallows, Optimizer>(std::move(inside)) {}
  Outcome advance(const auto& step, const auto&... folds) {
    return {.taken = polyak::advance(this->optimizer(), step, folds...).taken};
  }
};

}  // namespace

TEST_CASE("a layer that loses folds or the outcome of the layer inside is an error in its first step") {
  const auto error_in = [](auto opt) {
    VectorXd theta{{5}};
    const std::string error = error_of([&] { opt.step(theta, theta); });
    CHECK_FALSE(opt.has_average());
    return error;
  };
  const std::string lost =
      "logic_error: polyak: a layer must hand on all folds that it is given, and return the Outcome of the layer "
      "inside, or of move_and_fold";
  const auto move_on = [](VectorXd& theta, const VectorXd& grad) { theta -= grad; };
  CHECK(error_in(Averaged{Forgets{Sgd{}}, Ema{}}) == lost);
  CHECK(error_in(Averaged{Forgets{move_on}, Ema{}}) == lost);
  CHECK(error_in(Averaged{Forgets{Averaged{Sgd{}, TailAverage{}}}, Ema{}}) == lost);
  CHECK(error_in(Averaged{Forgets{Averaged{Sgd{}, Guarded{TailAverage{}}}}, Ema{}}) == lost);
  CHECK(error_in(Averaged{Swallows{Sgd{}}, Guarded{Ema{}}}) == lost);
}

TEST_CASE("the average is read in the weights' scalar") {
  Averaged opt{Sgd<float>{{.learning_rate = 1}}, TailAverage{}, Guarded{Ema{}}, Ema<Compensated<float>>{}};
  Eigen::VectorXf theta{{8, 0.1f}};
  CHECK(error_of([&] { static_cast<void>(opt.average_as<float, 2>()); }).starts_with("logic_error: polyak::Ema: "));
  opt.step(theta, Eigen::VectorXf{{1, 0}});
  opt.step(theta, Eigen::VectorXf{{1, 0}});
  const Eigen::VectorXf average = opt.average_as<float, 0>();
  CHECK(average == Eigen::VectorXf{{6.5f, 0.1f}});
  CHECK((opt.average_as<float, 0>() - theta).norm() == 0.5f);
  CHECK(opt.average_as<double, 1>() == opt.average<1>());
  VectorXd copy(2);
  opt.copy_average_to<2>(copy);
  CHECK(opt.average_as<double, 2>() == copy);  // with its residue
}

TEST_CASE("what is moved from has no average") {
  TailAverage from;
  from.update(VectorXd{{1, 2}});
  const TailAverage to = std::move(from);
  CHECK(to.average() == VectorXd{{1, 2}});
  CHECK_FALSE(from.has_average());
  VectorXd theta{{3, 4}};
  CHECK(error_of([&] { from.copy_average_to(theta); }).starts_with("logic_error: polyak::TailAverage: "));
  CHECK(theta == VectorXd{{3, 4}});
}

TEST_CASE("an averager that has been used alone goes on inside") {
  TailAverage tail;
  tail.update(VectorXd{{2}});
  Averaged opt{Sgd{{.learning_rate = 1}}, tail};
  VectorXd theta{{5}};
  opt.step(theta, VectorXd{{1}});
  CHECK(opt.average()[0] == 3);
}

TEST_CASE("an averager that has been used cannot change its shadow") {
  using Half = Eigen::Matrix<Eigen::half, Eigen::Dynamic, 1>;
  TailAverage used;
  used.update(constant(1, 1));
  CHECK(error_of([&] { Averaged opt(Sgd<Eigen::half>{}, used); }) ==
        "logic_error: polyak::Averaged: an averager already in use must name its shadow type");
  Ema started{{.bias_correction = false}};
  started.start_from(constant(1, 1));
  CHECK(error_of([&] { Averaged opt(Sgd<Eigen::half>{}, started); }) ==
        "logic_error: polyak::Averaged: an averager already in use must name its shadow type");

  // A fresh one keeps its options.
  Averaged opt{Sgd<Eigen::half>{{.learning_rate = 1}}, TailAverage{{.start = 2}}, Swa{{.start = 1, .period = 2}},
               Ema{{.decay = 0.5, .bias_correction = false, .start = 2}},
               GainAverage{{.gain = [](std::uint64_t) { return 0.25; }, .start = 2}}};
  Half theta = Half::Constant(1, Eigen::half(0));
  const Half grad = Half::Constant(1, Eigen::half(-4));
  for (int t = 0; t < 3; ++t) opt.step(theta, grad);
  CHECK(opt.average<0>()[0] == 10);
  CHECK(opt.average<1>()[0] == 8);
  CHECK(opt.average<2>()[0] == 9);
  CHECK(opt.average<3>()[0] == 6.75f);
}

TEST_CASE("optimizer and averagers can be reached and changed while training") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
  VectorXd theta{{0}};
  opt.step(theta, VectorXd{{-1}});
  opt.optimizer().set_learning_rate(3);
  opt.step(theta, VectorXd{{-1}});
  CHECK(theta[0] == 4);
  CHECK(opt.average()[0] == 2.5);
  opt.averager().reset();
  opt.step(theta, VectorXd{{-1}});
  CHECK(opt.average()[0] == 7);
  CHECK(opt.averager().count() == 1);
}

namespace {

/// A layer of one's own that moves coordinate by coordinate and notes what it is asked for.
class Recorder : public OptimizerLayer<Recorder> {
 public:
  using scalar_type = double;
  [[maybe_unused]] static constexpr std::string_view name = "Recorder";
  explicit Recorder(std::vector<std::size_t>* log) : log_(log) {}

  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    log_->push_back(step.size());
    const auto with_kernel = [this](const auto& slice, const auto& f) {
      log_->push_back(slice.offset);
      log_->push_back(slice.params.size());
      f([weights = slice.params.data()](std::size_t i) noexcept { return weights[i] += 1; });
    };
    const Outcome outcome = move_and_fold(step, with_kernel, folds...);
    log_->push_back(9999);
    return outcome;
  }

 private:
  std::vector<std::size_t>* log_;
};

}  // namespace

TEST_CASE("an optimizer of one's own moves every coordinate once, slice by slice where an average wants to see them") {
  std::vector<std::size_t> log;
  Averaged opt{Recorder{&log}, Swa{{.period = 2}}};
  VectorXd theta = constant(1200, 0);
  opt.step(theta, theta);  // folds nothing: one piece
  CHECK(log == std::vector<std::size_t>{1200, 0, 1200, 9999});
  log.clear();
  opt.step(theta, theta);
  REQUIRE(log.size() > 4);
  CHECK(log.front() == 1200);
  CHECK(log.back() == 9999);
  std::size_t covered = 0;
  for (std::size_t i = 1; i + 1 < log.size(); i += 2) {
    CHECK(log[i] == covered);
    covered += log[i + 1];
  }
  CHECK(covered == 1200);
  CHECK(theta == constant(1200, 2));
  CHECK(opt.average() == constant(1200, 2));
}

namespace {

/// Keeps the weights as they were before the latest step.
struct WeightsBefore {
  VectorXd weights = {};

  struct Fold {
    void after(std::size_t, std::span<const double>) const noexcept {}
    void commit(Outcome&) const noexcept {}
  };
  Fold begin_fold(const auto& step) {
    weights.resize(static_cast<Eigen::Index>(step.size()));
    step.for_each_unfiltered([this](const auto& block) {
      std::copy(block.params.begin(), block.params.end(), weights.data() + block.offset);
    });
    return {};
  }
  bool has_average() const { return weights.size() > 0; }
  const VectorXd& average() const { return weights; }
};

}  // namespace

TEST_CASE("an averager of one's own sees the weights before they move when its fold begins") {
  const auto check = [](auto optimizer) {
    Averaged opt{optimizer, WeightsBefore{}};
    VectorXd a{{1, 2}}, b{{3}};
    const VectorXd one{{1, 1}}, two{{2}};
    opt.step(ParameterSet{a, b}, ParameterSet{one, two});
    CHECK(opt.average() == VectorXd{{1, 2, 3}});
    opt.step(ParameterSet{a, b}, ParameterSet{one, two});
    CHECK(opt.average() == VectorXd{{0, 1, 1}});
    CHECK(a == VectorXd{{-1, 0}});
  };
  check(Sgd{{.learning_rate = 1}});
  check(support::whole_step(Sgd{{.learning_rate = 1}}));
}
