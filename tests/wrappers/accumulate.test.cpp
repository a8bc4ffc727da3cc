#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "optimizers/checks.hpp"
#include "serialize/archive.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::error_of;
using support::whole_step;

namespace {

VectorXd one(double x) { return support::constant(1, x); }

/// Where θ goes from 8.
template <class Optimizer>
std::vector<double> places(Optimizer& optimizer, const std::vector<double>& gradients) {
  VectorXd theta = one(8);
  std::vector<double> result;
  for (const double g : gradients) {
    optimizer.step(theta, one(g));
    result.push_back(theta[0]);
  }
  return result;
}

using Values = std::vector<double>;

}  // namespace

TEMPLATE_TEST_CASE("Accumulate steps along the mean of k gradients", "", POLYAK_TEST_SCALARS) {
  using Vector = checks::Vector<TestType>;
  const auto check = [](auto accumulate, auto make) {
    auto theta = make(8);
    std::vector<bool> taken;
    std::vector<double> where;
    for (const int g : {1, 2, 6, -3, 0, 0, 1, 1}) {
      taken.push_back(accumulate.step(theta, make(g)));
      where.push_back(static_cast<double>(theta[0]));
    }
    CHECK(taken == std::vector<bool>{false, false, true, false, false, true, false, false});
    CHECK(where == Values{8, 8, 5, 5, 5, 6, 6, 6});
    CHECK(accumulate.pending() == 2);
  };
  const auto make = [](int x) { return Vector(Vector::Constant(1, TestType(x))); };
  const Sgd<TestType> sgd{{.learning_rate = 1}};
  check(Accumulate{sgd, {.micro_batches = 3}}, make);
  check(Accumulate<decltype(whole_step(sgd)), TestType>{whole_step(sgd), {.micro_batches = 3}}, make);
}

TEST_CASE("the optimizer and its schedules tick once for k gradients") {
  std::vector<std::uint64_t> asked, decays, momenta;
  const auto logged = [](std::vector<std::uint64_t>& times, double value) {
    return [&times, value](std::uint64_t t) {
      times.push_back(t);
      return value;
    };
  };
  Accumulate accumulate{
      Sgd{{.learning_rate = logged(asked, 1), .momentum = logged(momenta, 0), .weight_decay = logged(decays, 0)}},
      {.micro_batches = 2}};
  CHECK(places(accumulate, {1, 3, 1, 1, 5}) == Values{8, 6, 6, 5, 5});
  // For the steps that are taken, and for no others.
  CHECK(asked == std::vector<std::uint64_t>{0, 1});
  CHECK(decays == asked);
  CHECK(momenta == asked);
  CHECK(accumulate.optimizer().steps() == 2);
  CHECK(accumulate.pending() == 1);
}

TEST_CASE("behind Accumulate schedules are asked for the steps that are taken, and for no others") {
  std::vector<std::uint64_t> rates, decays;
  const auto check = [&](auto optimizer) {
    rates.clear();
    decays.clear();
    const auto decay = [&](std::uint64_t k) {
      decays.push_back(k);
      return 0.5;
    };
    Accumulate accumulate{Averaged{ClipValue{std::move(optimizer)}, Ema{{.decay = decay}}}, {.micro_batches = 3}};
    places(accumulate, {1, 1, 1, 1, 1, 1, 1, 1});
    CHECK(rates == std::vector<std::uint64_t>{0, 1});
    CHECK(decays == std::vector<std::uint64_t>{0, 1});
  };
  const Sgd sgd{{.learning_rate = [&](std::uint64_t t) {
    rates.push_back(t);
    return 1.0;
  }}};
  check(sgd);
  check(whole_step(sgd));
  check(Accumulate{sgd, {.micro_batches = 1}});
}

TEST_CASE("an average around Accumulate folds once per real step, one inside too") {
  std::uint64_t asked = 0;
  const auto decay = [&](std::uint64_t) {
    ++asked;
    return 0.5;
  };
  Averaged around{Accumulate{Sgd{{.learning_rate = 1}}}, TailAverage{}, Ema{{.decay = decay, .bias_correction = false}},
                  Lawa{{.window = 2}}};
  Accumulate inside{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}};
  Averaged around_whole{Accumulate{whole_step(Sgd{{.learning_rate = 1}})}, TailAverage{},
                        Ema{{.decay = 0.5, .bias_correction = false}}};
  const Values gradients{1, 3, 1, 1, 2, 2, 7};
  const Values expected{8, 6, 6, 5, 5, 3, 3};
  CHECK(places(around, gradients) == expected);
  CHECK(places(inside, gradients) == expected);
  CHECK(places(around_whole, gradients) == expected);
  const auto check = [](const auto& average, double value) {
    CHECK(average.steps() == 3);
    CHECK(average.count() == 3);
    CHECK(close(average.average()[0], value));
  };
  check(around.averager<0>(), 14.0 / 3);
  check(around.averager<1>(), 8.0 / 8 + 6.0 / 8 + 5.0 / 4 + 3.0 / 2);  // started at 8
  check(around.averager<2>(), 4);
  check(inside.optimizer().averager(), 14.0 / 3);
  check(around_whole.averager<0>(), 14.0 / 3);
  check(around_whole.averager<1>(), 4.5);
  // The decay may be asked in vain, but what it gives is used once a step.
  CHECK(asked >= 3);
}

TEST_CASE("an average around Accumulate waits for the first real step") {
  Averaged opt{Accumulate{Sgd{{.learning_rate = 1}}}, TailAverage{}};
  VectorXd theta = one(8);
  CHECK_FALSE(opt.step(theta, one(1)));
  CHECK_FALSE(opt.has_average());
  CHECK(opt.averager().steps() == 0);
  CHECK(opt.step(theta, one(1)));
  CHECK(opt.has_average());
  CHECK(opt.average()[0] == 7);
}

TEST_CASE("Accumulate{ClipNorm} clips the accumulated gradient, ClipNorm{Accumulate} each") {
  const double e = 1e-6;  // what torch adds to the norm
  const auto check = [&](auto sgd) {
    Accumulate mean{ClipNorm{sgd, {.max_norm = 1}}};
    CHECK(places(mean, {6, -2}) == Values{8, 8 - 2 / (2 + e)});
    CHECK(mean.optimizer().norm() == 2);
    CHECK(mean.optimizer().clipped() == 1);
    ClipNorm each{Accumulate{sgd}, {.max_norm = 1}};
    const auto where = places(each, {6, -0.5});
    CHECK(close(where[1], 8 - (6 / (6 + e) - 0.5) / 2));
    CHECK(each.norm() == 0.5);
    CHECK(each.clipped() == 1);
  };
  check(Sgd{{.learning_rate = 1}});
  check(whole_step(Sgd{{.learning_rate = 1}}));

  Accumulate mean{ClipValue{Sgd{{.learning_rate = 1}}}};
  CHECK(places(mean, {6, -2}) == Values{8, 7});
  ClipValue each{Accumulate{Sgd{{.learning_rate = 1}}}};
  CHECK(places(each, {6, -2}) == Values{8, 8});
}

TEST_CASE("one micro-batch to a step is no change") {
  const checks::Run<double> run(70);
  Accumulate accumulate{Adam{{.learning_rate = 0.1}}, {.micro_batches = 1}};
  Adam adam{{.learning_rate = 0.1}};
  VectorXd a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    CHECK(accumulate.step(a, g));
    adam.step(b, g);
  }
  CHECK(checks::same_vectors(a, b));
}

TEST_CASE("gradients of several holders add up to the same mean") {
  const checks::Run<double> run(24);
  VectorXd expected = run.start;
  Accumulate vector{Sgd{}, {.micro_batches = 5}};
  for (const auto& g : run.gradients) vector.step(expected, g);
  holders::for_each<double>(
      [&](const char* holder, auto&& params, auto&& gradient, const auto& of_params, const auto& of_gradient) {
        INFO(holder);
        const auto check = [&](auto accumulate) {
          of_params.write(run.start);
          for (const auto& g : run.gradients) {
            CHECK(checks::same_vectors(of_params.read(), run.start));
            of_gradient.write(g);
            accumulate.step(params, gradient);
          }
          CHECK(checks::same_vectors(of_params.read(), expected));
        };
        check(Accumulate{Sgd{}, {.micro_batches = 5}});
        check(Accumulate{whole_step(Sgd{}), {.micro_batches = 5}});
      });
}

TEST_CASE("16-bit gradients are added up in float") {
  Accumulate accumulate{Sgd<Eigen::half>{{.learning_rate = 1}}, {.micro_batches = 5000}};
  Eigen::Matrix<Eigen::half, 1, 1> theta(Eigen::half(8)), gradient(Eigen::half(1));
  for (int t = 0; t < 5000; ++t) accumulate.step(theta, gradient);  // in half the sum would stop at 2048
  CHECK(static_cast<double>(theta[0]) == 7);
}

TEST_CASE("a gradient that does not fit is not added") {
  Accumulate accumulate{Sgd{{.learning_rate = 1}}, {.micro_batches = 3}};
  VectorXd theta{{8, 8}}, longer{{8, 8, 8}};
  const VectorXd two{{1, 1}}, three{{1, 1, 1}};
  accumulate.step(theta, two);
  CHECK(error_of([&] { accumulate.step(longer, three); }) ==
        "invalid_argument: polyak::Accumulate: parameters must keep the size, 2x1, got 3x1");
  CHECK(error_of([&] { accumulate.step(theta, three); }) ==
        "invalid_argument: polyak::Accumulate: the gradient must have the shape of the parameters, 2x1, got 3x1");
  std::vector<VectorXd> blocks{one(8), one(8)};
  CHECK(error_of([&] { accumulate.step(blocks, blocks); }) ==
        "invalid_argument: polyak::Accumulate: parameters must keep the number of blocks of the first step, 1, got 2");
  CHECK(accumulate.pending() == 1);
  accumulate.step(theta, two);
  accumulate.step(theta, two);
  CHECK(theta == VectorXd{{7, 7}});
}

TEST_CASE("a step of Accumulate that throws has not added its gradient") {
  bool fails = false;
  const auto rate = [&](std::uint64_t) {
    if (fails) throw std::runtime_error("no rate");
    return 1.0;
  };
  const auto check = [&](auto optimizer) {
    Accumulate accumulate{optimizer};
    VectorXd theta = one(8);
    accumulate.step(theta, one(1));
    fails = true;
    CHECK_THROWS_WITH(accumulate.step(theta, one(100)), "no rate");
    CHECK_THROWS_WITH(accumulate.step(theta, one(100)), "no rate");
    CHECK(theta[0] == 8);
    CHECK(accumulate.pending() == 1);
    fails = false;
    CHECK(accumulate.step(theta, one(3)));
    CHECK(theta[0] == 6);
    CHECK(accumulate.pending() == 0);
  };
  check(Sgd{{.learning_rate = rate}});
  check(whole_step(Sgd{{.learning_rate = rate}}));
}

TEST_CASE("Accumulate can be copied and reset") {
  Accumulate accumulate{Sgd{{.learning_rate = 1}}};
  VectorXd theta = one(8);
  accumulate.step(theta, one(1));
  auto copy = accumulate;
  accumulate.reset();
  CHECK(accumulate.pending() == 0);
  CHECK(copy.pending() == 1);
  VectorXd other = theta;
  CHECK(copy.step(theta, one(3)));
  CHECK(theta[0] == 6);
  CHECK_FALSE(accumulate.step(other, one(3)));
  CHECK(accumulate.step(other, one(3)));
  CHECK(other[0] == 5);
  CHECK(accumulate.optimizer().steps() == 1);
  accumulate.reset();
  CHECK(accumulate.optimizer().steps() == 0);
  VectorXd longer = support::constant(3, 8);
  accumulate.step(longer, longer);
  accumulate.step(longer, longer);
  CHECK(longer == support::constant(3, 0));
}

TEST_CASE("Accumulate takes two micro-batches to a step by default") {
  CHECK(Accumulate{Sgd{}}.options().micro_batches == 2);
}

TEST_CASE("what the optimizer refuses, it refuses in the step, and the gradient at hand is not added") {
  std::vector<VectorXd> theta{one(8), one(8)};
  const std::vector<VectorXd> gradient{one(1), one(1)};
  Accumulate groups{AdamW{{.blocks = std::vector<BlockOptions>(3)}}, {.micro_batches = 3}};
  groups.step(theta, gradient);
  groups.step(theta, gradient);
  CHECK(error_of([&] { groups.step(theta, gradient); }) ==
        "invalid_argument: polyak::AdamW: options for each block need as many blocks, 3, got 2");
  CHECK(groups.pending() == 2);

  Accumulate accumulate{Sgd{{.learning_rate = 1}}, {.micro_batches = 2}};
  accumulate.step(theta, gradient);
  CHECK(error_of([&] {
          accumulate.step(ParameterSet{theta[0], theta[0]}, gradient);
        }) == "invalid_argument: polyak::Accumulate: block 1 must not overlap block 0 of the parameters");
  CHECK(accumulate.pending() == 1);
  accumulate.step(theta, gradient);
  std::vector<VectorXd> longer{VectorXd::Ones(2), one(1)};
  Accumulate other = accumulate;
  other.step(longer, longer);
  CHECK(error_of([&] { other.step(longer, longer); }) ==
        "invalid_argument: polyak::Sgd: parameters must keep the size of block 0, 1x1, got 2x1");
  CHECK(other.pending() == 1);
  accumulate.step(theta, gradient);
  CHECK(accumulate.step(theta, gradient));
  CHECK(theta[0] == one(6));
}

TEST_CASE("no gradient is added while an average inside is swapped in") {
  Accumulate accumulate{ClipNorm{Averaged{Sgd{{.learning_rate = 1}}}}, {.micro_batches = 2}};
  VectorXd theta = one(8);
  accumulate.step(theta, one(1));
  accumulate.step(theta, one(1));
  const std::string refused = "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first";
  {
    auto guard = accumulate.optimizer().optimizer().swap_in(theta);
    CHECK(error_of([&] { accumulate.step(theta, one(1)); }) == refused);
  }
  accumulate.step(theta, one(1));
  {
    auto guard = accumulate.optimizer().optimizer().swap_in(theta);
    CHECK(error_of([&] { accumulate.step(theta, one(1)); }) == refused);
  }
  CHECK(accumulate.pending() == 1);

  Accumulate thrice{Averaged{Sgd{{.learning_rate = 1}}}, {.micro_batches = 3}};
  VectorXd trained = one(8);
  for (int t = 0; t < 4; ++t) thrice.step(trained, one(1));
  {  // neither the first of three nor the last
    auto guard = thrice.optimizer().swap_in(trained);
    CHECK(error_of([&] { thrice.step(trained, one(1)); }) == refused);
  }
  CHECK(thrice.pending() == 1);
}

TEST_CASE("blocks that overlap are refused in the first micro-batch") {
  Accumulate opt{Sgd{}, {.micro_batches = 3}};
  VectorXd theta{{1, 2, 3}};
  const std::vector<std::span<double>> overlapping{{theta.data(), 2}, {theta.data() + 1, 2}};
  const std::vector<VectorXd> grad(2, VectorXd{{1, 1}});
  CHECK(error_of([&] { opt.step(overlapping, grad); }) ==
        "invalid_argument: polyak::Accumulate: block 1 must not overlap block 0 of the parameters");
  CHECK(opt.pending() == 0);
}

template <class Opt, class Vector>
concept Flushes = requires(Opt& opt, Vector& theta) {
  opt.flush(theta);
  opt.step(theta, theta, 3.0);
};

TEST_CASE("samples and flush are for weights of the optimizer's scalar") {
  STATIC_REQUIRE(Flushes<Averaged<Accumulate<Sgd<float>>, Ema<>>, Eigen::VectorXf>);
  STATIC_REQUIRE_FALSE(Flushes<Averaged<Accumulate<Sgd<float>>, Ema<>>, VectorXd>);
  STATIC_REQUIRE_FALSE(Flushes<Accumulate<Sgd<float>>, VectorXd>);
}

TEST_CASE("a set of no blocks is a size of its own") {
  Accumulate accumulate{Sgd{{.learning_rate = 1}}, {.micro_batches = 2}};
  std::vector<VectorXd> none, some{one(1)};
  CHECK_FALSE(accumulate.step(none, none));
  CHECK(error_of([&] { accumulate.step(some, some); }) ==
        "invalid_argument: polyak::Accumulate: parameters must keep the number of blocks of the first step, 0, got 1");
  CHECK(accumulate.step(none, none));
}

TEST_CASE("flush takes the step along the mean of what is pending") {
  const auto check = [](auto optimizer) {
    Accumulate opt{optimizer, {.micro_batches = 4}};
    VectorXd theta = one(0);
    CHECK_FALSE(opt.flush(theta));
    for (int g = 1; g <= 7; ++g) opt.step(theta, one(g));
    CHECK(theta[0] == -2.5);
    CHECK(opt.flush(theta));
    CHECK(theta[0] == -8.5);
    CHECK(opt.pending() == 0);
    CHECK_FALSE(opt.flush(theta));
    // The next epoch begins with a window of its own.
    for (int g = 1; g <= 4; ++g) opt.step(theta, one(g));
    CHECK(theta[0] == -11);
  };
  const Sgd sgd{{.learning_rate = 1}};
  check(sgd);
  check(whole_step(sgd));
  check(ClipNorm{sgd, {.max_norm = 1e9}});
}

TEST_CASE("layers around an Accumulate see the step of a flush, and those inside too") {
  Averaged opt{Lookahead{SkipNonFinite{ClipNorm{
                             Accumulate{Averaged{ClipValue{Sgd{{.learning_rate = 1}}, {.max_value = 2}}, TailAverage{}},
                                        {.micro_batches = 4}},
                             {.max_norm = 100}}},
                         {.every = 1, .alpha = 0.5}},
               TailAverage{}, Ema{{.decay = 0.5, .bias_correction = false}}};
  auto& lookahead = opt.optimizer();
  auto& clip = lookahead.optimizer().optimizer();
  auto& accumulate = clip.optimizer();
  VectorXd theta = one(8);
  for (const double g : {1.0, 7.0}) CHECK_FALSE(opt.step(theta, one(g)));
  CHECK(opt.flush(theta));
  CHECK(theta[0] == 7);  // by 2, and half the way back
  CHECK(opt.average<0>()[0] == 7);
  CHECK(opt.average<1>()[0] == 7.5);
  CHECK(accumulate.optimizer().average()[0] == 6);
  CHECK(accumulate.optimizer().optimizer().optimizer().steps() == 1);
  CHECK(lookahead.steps() == 1);
  CHECK(clip.norm() == 7);  // of the latest gradient still
  // Where nothing is pending, nothing moves and nothing is folded.
  CHECK_FALSE(opt.flush(theta));
  CHECK(theta[0] == 7);
  CHECK(opt.averager<0>().steps() == 1);
  CHECK(lookahead.steps() == 1);
}

TEST_CASE("flush goes through the wrappers that are there, and past an Accumulate that has nothing") {
  VectorXd theta = one(8);
  ClipNorm none{Sgd{{.learning_rate = 1}}};
  CHECK_FALSE(none.flush(theta));
  CHECK(theta[0] == 8);
  Averaged whole{[](VectorXd& x, const VectorXd& g) { x -= g; }, TailAverage{}};
  CHECK_FALSE(whole.flush(theta));
  CHECK_FALSE(whole.has_average());

  Accumulate nested{Accumulate{Sgd{{.learning_rate = 1}}, {.micro_batches = 2}}, {.micro_batches = 2}};
  for (const double g : {1.0, 3.0, 6.0}) nested.step(theta, one(g));
  CHECK(nested.pending() == 1);
  CHECK(nested.optimizer().pending() == 1);
  CHECK(nested.flush(theta));  // along the mean of 2 and 6
  CHECK(theta[0] == 4);
  nested.step(theta, one(1));
  CHECK(nested.flush(theta));
  CHECK(theta[0] == 3);
}

TEST_CASE("flush takes every holder of parameters, and refuses others than those of the gradients") {
  Accumulate opt{Sgd{{.learning_rate = 1}}, {.micro_batches = 3}};
  Eigen::MatrixXd w = Eigen::MatrixXd::Ones(2, 3);
  VectorXd b = one(5);
  opt.step(ParameterSet{w, b}, ParameterSet{w, b});
  std::vector<VectorXd> other{VectorXd::Ones(6), VectorXd::Ones(2)};
  CHECK(error_of([&] { opt.flush(other); }) ==
        "invalid_argument: polyak::Accumulate: parameters must keep the size of block 1, 1x1, got 2x1");
  CHECK(error_of([&] {
          opt.flush(ParameterSet{b, b});
        }) == "invalid_argument: polyak::Accumulate: block 1 must not overlap block 0 of the parameters");
  CHECK(opt.pending() == 1);
  CHECK(opt.flush(ParameterSet{w, b}));
  CHECK(w == Eigen::MatrixXd::Zero(2, 3));
  CHECK(b == one(0));

  std::vector<double> flat{1, 2};
  Accumulate of_span{Sgd{{.learning_rate = 1}}, {.micro_batches = 3}};
  of_span.step(std::span(flat), flat);
  CHECK(of_span.flush(std::span(flat)));
  CHECK(flat == Values{0, 0});
}

TEST_CASE("a flush that throws has taken nothing") {
  bool fails = true;
  const auto rate = [&](std::uint64_t) {
    if (fails) throw std::runtime_error("no rate");
    return 1.0;
  };
  Averaged opt{Accumulate{Sgd{{.learning_rate = rate}}}, TailAverage{}};
  VectorXd theta = one(8);
  opt.step(theta, one(1));
  CHECK_THROWS_WITH(opt.flush(theta), "no rate");
  CHECK(theta[0] == 8);
  CHECK(opt.optimizer().pending() == 1);
  fails = false;
  {
    Averaged around{Accumulate{Averaged{Sgd{{.learning_rate = 1}}}}, TailAverage{}};
    VectorXd other = one(8);
    for (const double g : {1.0, 1.0, 3.0}) around.step(other, one(g));
    const auto guard = around.optimizer().optimizer().swap_in(other);
    CHECK(error_of([&] { around.flush(other); }) ==
          "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
  }
  CHECK(opt.flush(theta));
  CHECK(theta[0] == 7);
}

TEMPLATE_TEST_CASE("micro-batches of different sizes weigh by their samples", "", POLYAK_TEST_SCALARS) {
  using Vector = checks::Vector<TestType>;
  const auto make = [](double x) { return Vector(Vector::Constant(1, TestType(x))); };
  const auto check = [&](auto opt) {
    Vector theta = make(0);
    CHECK_FALSE(opt.step(theta, make(1), 3));
    CHECK(opt.step(theta, make(5), 1));
    CHECK(static_cast<double>(theta[0]) == -2);
    CHECK_FALSE(opt.step(theta, make(2), 0.5));  // and a step that says nothing has one
    CHECK(opt.step(theta, make(5)));
    CHECK(static_cast<double>(theta[0]) == -6);
    opt.step(theta, make(2), 7);
    CHECK(opt.flush(theta));
    CHECK(static_cast<double>(theta[0]) == -8);
  };
  const Sgd<TestType> sgd{{.learning_rate = 1}};
  check(Accumulate{sgd});
  check(Averaged{ClipValue{Accumulate{sgd}, {.max_value = 100}}, Lawa{{.window = 2}}});
  check(Accumulate<decltype(whole_step(sgd)), TestType>{whole_step(sgd)});
}

TEST_CASE("samples are finite and above 0, and go past what has no use for them") {
  VectorXd theta = one(8);
  Averaged opt{Accumulate{Sgd{{.learning_rate = 1}}}, TailAverage{}};
  for (const double bad : {0.0, -1.0, support::infinity, support::not_a_number}) {
    CHECK(error_of([&] { opt.step(theta, one(1), bad); }) ==
          "invalid_argument: polyak::Averaged: samples must be finite and > 0, got " + detail::to_text(bad));
  }
  CHECK(opt.optimizer().pending() == 0);
  Averaged plain{[](VectorXd& x, const auto& g) { x -= g; }, TailAverage{}};
  CHECK(plain.step(theta, one(1) + one(2), 5));
  CHECK(theta[0] == 5);
}

TEST_CASE("the samples of what is pending are saved") {
  Accumulate opt{Sgd{{.learning_rate = 1}}}, loaded = opt;
  VectorXd theta = one(0);
  opt.step(theta, one(1), 3);
  serialize::Output output;
  output& opt;
  serialize::Input input(output.bytes);
  input& loaded;
  CHECK(loaded.step(theta, one(5), 1));
  CHECK(theta[0] == -2);
}
