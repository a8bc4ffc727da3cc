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
#include <limits>
#include <vector>

#include "optimizers/checks.hpp"

using namespace polyak;
using checks::same_vectors;
using Eigen::VectorXd;
using support::infinity;
using support::not_a_number;
using support::whole_step;

TEMPLATE_TEST_CASE("one number that is not finite is enough, wherever it is", "", POLYAK_TEST_SCALARS) {
  using Vector = checks::Vector<TestType>;
  using Limits = std::numeric_limits<TestType>;
  for (const Eigen::Index n : {1, 3, 255, 256, 257, 700}) {
    SkipNonFinite skip{Sgd<TestType>{{.learning_rate = 1}}};
    Vector theta = Vector::Constant(n, TestType(2));
    const Vector before = theta;
    Vector gradient = Vector::Constant(n, TestType(1));
    std::uint64_t skipped = 0;
    for (const Eigen::Index i : {Eigen::Index(0), n / 2, n - 1}) {
      for (const TestType bad :
           {Limits::quiet_NaN(), Limits::infinity(), TestType(-Limits::infinity()), TestType(-Limits::quiet_NaN())}) {
        gradient[i] = bad;
        CHECK_FALSE(skip.step(theta, gradient));
        CHECK(skip.skipped() == ++skipped);
      }
      gradient[i] = TestType(1);
    }
    CHECK(same_vectors(theta, before));
    CHECK(skip.optimizer().steps() == 0);
    // The largest and the smallest number are as good as any.
    gradient[0] = Limits::max();
    gradient[n - 1] = n > 1 ? Limits::denorm_min() : gradient[0];
    gradient[n / 2] = n > 2 ? Limits::lowest() : gradient[n / 2];
    CHECK(skip.step(theta, gradient));
    CHECK(skip.skipped() == skipped);
    CHECK(skip.optimizer().steps() == 1);
    CHECK(!same_vectors(theta, before));
  }
}

TEST_CASE("one bad block of a set is enough") {
  std::vector<VectorXd> theta{VectorXd::Ones(3), VectorXd::Ones(2), VectorXd::Ones(4)};
  const auto before = theta;
  for (std::size_t i = 0; i < 3; ++i) {
    SkipNonFinite skip{Averaged{Sgd{}, Ema{}}};
    auto gradient = theta;
    gradient[i][1] = -infinity;
    CHECK_FALSE(skip.step(theta, gradient));
    CHECK(theta == before);
    CHECK(skip.skipped() == 1);
    CHECK_FALSE(skip.optimizer().has_average());
  }
}

TEST_CASE("training goes on as if a gradient that is skipped had never been") {
  const checks::Run<double> run(70);
  std::vector<std::uint64_t> rates, weight_decays, decays;
  const auto logged = [](std::vector<std::uint64_t>& asked, double value) {
    return [&asked, value](std::uint64_t t) {
      asked.push_back(t);
      return value;
    };
  };
  const AdamOptions options{
      .learning_rate = logged(rates, 0.1), .beta2 = 0.9, .weight_decay = logged(weight_decays, 0.25)};
  const Ema<double> ema{{.decay = logged(decays, 0.9)}};
  const Ema<double> textbook{{.decay = 0.9, .bias_correction = false}};
  const Lawa<double> lawa{{.window = 2}};

  // Trains along the gradients of the run; with bad ones in between, at the start, and several in a row.
  const auto train = [&](auto opt, bool with_bad, auto average) {
    VectorXd theta = run.start;
    std::uint64_t skipped = 0;
    const auto bad = [&](double what) {
      if (!with_bad) return;
      const VectorXd before = theta;
      VectorXd gradient = run.gradients[0];
      gradient[33] = what;
      CHECK_FALSE(opt.step(theta, gradient));
      CHECK(same_vectors(theta, before));
      ++skipped;
    };
    bad(not_a_number);
    for (const auto& g : run.gradients) {
      CHECK(opt.step(theta, g));
      bad(infinity);
      bad(-infinity);
    }
    CHECK(skipped == (with_bad ? 11 : 0));
    std::vector<VectorXd> result{theta};
    for (const VectorXd& each : average(opt)) result.push_back(each);
    return result;
  };
  const auto check = [&](const auto& opt, auto average) {
    rates.clear();
    weight_decays.clear();
    decays.clear();
    const auto without = train(opt, false, average);
    CHECK(rates == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
    CHECK(weight_decays == rates);
    CHECK(decays == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
    rates.clear();
    weight_decays.clear();
    const auto with = train(opt, true, average);
    CHECK(rates == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
    CHECK(weight_decays == rates);
    for (std::size_t i = 0; i < with.size(); ++i) CHECK(same_vectors(with[i], without[i]));
  };
  const auto outside = [](const auto& opt) {
    CHECK(opt.template averager<0>().steps() == 5);
    CHECK(opt.template averager<0>().count() == 5);
    return std::vector<VectorXd>{opt.template average<0>(), opt.template average<1>(), opt.template average<2>()};
  };
  const auto inside = [&](const auto& opt) { return outside(opt.optimizer()); };
  check(Averaged{SkipNonFinite{Adam(options)}, ema, textbook, lawa}, outside);
  check(SkipNonFinite{Averaged{Adam(options), ema, textbook, lawa}}, inside);
  check(Averaged{SkipNonFinite{whole_step(Adam(options))}, ema, textbook, lawa}, outside);
  check(SkipNonFinite{Averaged{whole_step(Adam(options)), ema, textbook, lawa}}, inside);
  check(Averaged{Lookahead{SkipNonFinite{Adam(options)}, {.every = 2}}, ema, textbook, lawa}, outside);
  check(SkipNonFinite{Averaged{Lookahead{Adam(options), {.every = 2}}, ema, textbook, lawa}}, inside);
  check(Averaged{ClipNorm{SkipNonFinite{Adam(options)}}, ema, textbook, lawa}, outside);
  check(Averaged{SkipNonFinite{ClipNorm{Adam(options)}}, ema, textbook, lawa}, outside);
  check(Averaged{ClipValue{SkipNonFinite{Adam(options)}}, ema, textbook, lawa}, outside);
  check(Averaged{SkipNonFinite{ClipNorm{whole_step(Adam(options))}}, ema, textbook, lawa}, outside);
  check(Averaged{ClipNorm{SkipNonFinite{whole_step(Adam(options))}}, ema, textbook, lawa}, outside);
}

TEST_CASE("an infinity is seen behind a clamp, however the optimizer steps") {
  const auto check = [](auto clip) {
    VectorXd theta{{1, 2}};
    CHECK_FALSE(clip.step(theta, VectorXd{{infinity, 1}}));
    CHECK(theta == VectorXd{{1, 2}});
    CHECK(clip.optimizer().skipped() == 1);
  };
  check(ClipValue{SkipNonFinite{Sgd{}}});
  check(ClipValue{SkipNonFinite{whole_step(Sgd{})}});
}

TEST_CASE("a bad micro-batch is not added, or spoils the step it is part of") {
  VectorXd theta{{8}};
  const VectorXd one{{1}}, bad{{not_a_number}};
  SkipNonFinite each{Accumulate{Sgd{{.learning_rate = 1}}}};
  CHECK_FALSE(each.step(theta, one));
  CHECK_FALSE(each.step(theta, bad));
  CHECK(each.optimizer().pending() == 1);
  CHECK(each.step(theta, 3 * one));
  CHECK(theta[0] == 6);
  CHECK(each.skipped() == 1);

  Averaged mean{Accumulate{SkipNonFinite{Sgd{{.learning_rate = 1}}}}, Ema{}};
  CHECK_FALSE(mean.step(theta, one));
  CHECK_FALSE(mean.step(theta, bad));
  CHECK(theta[0] == 6);
  CHECK(mean.optimizer().pending() == 0);
  CHECK(mean.optimizer().optimizer().skipped() == 1);
  CHECK(mean.averager().steps() == 0);
  CHECK_FALSE(mean.step(theta, one));
  CHECK(mean.step(theta, one));
  CHECK(theta[0] == 5);
}

TEST_CASE("a gradient is not skipped while an average inside is swapped in") {
  SkipNonFinite skip{Averaged{Sgd{}, TailAverage{}}};
  VectorXd theta{{1}};
  skip.step(theta, theta);
  const auto guard = skip.optimizer().swap_in(theta);
  for (const double g : {1.0, not_a_number}) {
    CHECK(support::error_of([&] {
            skip.step(theta, VectorXd{{g}});
          }).starts_with("logic_error: polyak::TailAverage: the average is swapped in"));
  }
  CHECK(skip.skipped() == 0);
}

TEST_CASE("SkipNonFinite can be copied and reset") {
  SkipNonFinite skip{Sgd{}};
  VectorXd theta{{1}};
  skip.step(theta, VectorXd{{not_a_number}});
  skip.step(theta, theta);
  const auto copy = skip;
  skip.reset();
  CHECK(copy.skipped() == 1);
  CHECK(copy.optimizer().steps() == 1);
  CHECK(skip.skipped() == 0);
  CHECK(skip.optimizer().steps() == 0);
}
