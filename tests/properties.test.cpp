#include <polyak/averaged.hpp>
#include <polyak/averagers/decays.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"
#include "slices_only.hpp"
#include "support.hpp"

// What must hold for any weights, gradients, gains and sizes, tried on many of them drawn from a fixed seed.

using namespace polyak;
using support::Random;
using support::same_bits;

namespace {

template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

/// Gains with a few exact ones and zeros among them, the first one 1 or not.
std::vector<double> random_gains(Random& random, std::size_t n, bool first_is_one) {
  std::vector<double> gains(n);
  for (double& a : gains) {
    const auto kind = random.integer(0, 9);
    a = kind == 0 ? 0 : kind == 1 ? 1 : kind == 2 ? random.uniform(0.999, 1) : random.uniform(0, 1);
  }
  if (first_is_one) gains[0] = 1;
  return gains;
}

GainAverageOptions folding_with(const std::vector<double>& gains) {
  return {.gain = [gains](std::uint64_t k) { return gains.at(k - 1); }};
}

Hyperparameter random_rate(Random& random) {
  const double rate = random.uniform(0, 0.1);
  switch (random.integer(0, 3)) {
    case 0:
      return Cosine{{.initial = rate, .steps = 8}};
    case 1:
      return InverseTime{{.initial = rate, .timescale = 5}};
    case 2:
      return LinearCycle{{.max = rate, .min = rate / 10, .period = 3}};
    default:
      return rate;
  }
}

SgdOptions random_options(Random& random) {
  SgdOptions options{.learning_rate = random_rate(random)};
  if (random.integer(0, 1) == 1) options.weight_decay = random.uniform(0, 0.1);
  switch (random.integer(0, 3)) {
    case 0:
      break;
    case 1:
      options.momentum = random.uniform(0.1, 0.99);
      options.dampening = random.uniform(-0.5, 0.5);
      break;
    case 2:
      options.momentum = random.uniform(0.1, 0.99);
      options.nesterov = true;
      break;
    case 3:
      options.momentum = [](std::uint64_t t) { return t % 3 == 1 ? 0.0 : 0.8; };
      break;
  }
  return options;
}

/// Steps of an optimizer without averages and of averagers alone, against every way to do both at once.
template <class Scalar>
void compare_all_ways(Eigen::Index n, Random& random) {
  using Wide = wide_t<Scalar>;
  const Sgd<Scalar> sgd(random_options(random));
  const TailAverage<Wide> tail{{.start = random.integer(0, 4)}};
  const Swa<Wide> swa{{.start = random.integer(0, 3), .period = random.integer(1, 4)}};
  const Ema<Wide> ema{{.decay = random.uniform(0, 0.99)}};
  const Ema<Wide> plain{{.decay = DecayWarmup{{.limit = 0.9}}, .bias_correction = false}};
  const Ema<Scalar> narrow{{.decay = 0.75, .every = random.integer(1, 2)}};

  Sgd<Scalar> bare = sgd;
  auto tail_alone = tail;
  auto swa_alone = swa;
  auto ema_alone = ema;
  auto plain_alone = plain;
  auto narrow_alone = narrow;

  Averaged one{sgd, ema};
  Averaged fused{sgd, tail, swa, ema, plain, narrow};
  Averaged sliced{support::SlicesOnly<Scalar>(sgd), tail, swa, ema, plain, narrow};
  Averaged whole{support::whole_step(sgd), tail, swa, ema, plain, narrow};

  const Vector<Scalar> start = random.vector<Scalar>(n);
  Vector<Scalar> theta = start;
  plain_alone.start_from(theta);
  std::vector<Vector<Scalar>> thetas(4, start);
  for (int t = 0; t < 9; ++t) {
    const Vector<Scalar> grad = random.vector<Scalar>(n);
    bare.step(theta, grad);
    tail_alone.update(theta);
    swa_alone.update(theta);
    ema_alone.update(theta);
    plain_alone.update(theta);
    narrow_alone.update(theta);

    one.step(thetas[0], grad);
    fused.step(thetas[1], grad);
    sliced.step(thetas[2], grad);
    whole.step(thetas[3], grad);
    for (const auto& moved : thetas) REQUIRE(same_bits(moved, theta));

    REQUIRE(same_bits(one.average(), ema_alone.average()));
    const auto same = [](const auto& averager, const auto& alone) {
      REQUIRE(averager.steps() == alone.steps());
      REQUIRE(averager.count() == alone.count());
      REQUIRE(averager.has_average() == alone.has_average());
      if (alone.has_average()) REQUIRE(same_bits(averager.average(), alone.average()));
    };
    const auto all_five = [&](const auto& opt) {
      same(opt.template averager<0>(), tail_alone);
      same(opt.template averager<1>(), swa_alone);
      same(opt.template averager<2>(), ema_alone);
      same(opt.template averager<3>(), plain_alone);
      same(opt.template averager<4>(), narrow_alone);
    };
    all_five(fused);
    all_five(sliced);
    all_five(whole);
  }
}

/// The same for an Averaged in an Averaged, of which one level may fold where the other does not.
void compare_nested(Eigen::Index n, Random& random) {
  const Sgd<> sgd(random_options(random));
  const TailAverage<> tail{{.start = random.integer(0, 4)}};
  const Swa<> swa{{.start = random.integer(0, 3), .period = random.integer(1, 4)}};
  const Ema<> plain{{.decay = 0.9, .bias_correction = false, .every = random.integer(1, 2)}};

  Averaged flat_one{sgd, tail, swa, plain};
  Averaged nested{Averaged{Averaged{sgd, tail}, swa}, plain};
  Averaged whole{Averaged{support::whole_step(sgd), tail, swa}, plain};
  const Vector<double> start = random.vector(n);
  std::vector<Vector<double>> thetas(3, start);
  for (int t = 0; t < 9; ++t) {
    const Vector<double> grad = random.vector(n);
    flat_one.step(thetas[0], grad);
    nested.step(thetas[1], grad);
    whole.step(thetas[2], grad);
    REQUIRE(same_bits(thetas[1], thetas[0]));
    REQUIRE(same_bits(thetas[2], thetas[0]));
    const auto same = [&](const auto& averager, const auto& expected) {
      REQUIRE(averager.steps() == expected.steps());
      REQUIRE(averager.count() == expected.count());
      REQUIRE(same_bits(averager.average_or(start), expected.average_or(start)));
    };
    same(nested.optimizer().optimizer().averager(), flat_one.averager<0>());
    same(nested.optimizer().averager(), flat_one.averager<1>());
    same(nested.averager(), flat_one.averager<2>());
    same(whole.optimizer().averager<0>(), flat_one.averager<0>());
    same(whole.optimizer().averager<1>(), flat_one.averager<1>());
    same(whole.averager(), flat_one.averager<2>());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("training and averages are the same bits whichever way the loops run", "", POLYAK_TEST_SCALARS) {
  constexpr Eigen::Index slice = detail::slice_bytes / sizeof(TestType);
  Random random(20);
  for (const Eigen::Index n :
       {Eigen::Index{0}, Eigen::Index{1}, Eigen::Index{3}, Eigen::Index{31}, Eigen::Index{32}, Eigen::Index{33},
        slice - 1, slice, slice + 1, 2 * slice - 1, 2 * slice, 2 * slice + 1, 3 * slice + 45}) {
    INFO("size " << n);
    compare_all_ways<TestType>(n, random);
  }
  for (int trial = 0; trial < 30; ++trial) {
    const auto n = static_cast<Eigen::Index>(random.integer(1, 200));
    INFO("size " << n << ", trial " << trial);
    compare_all_ways<TestType>(n, random);
  }
}

TEST_CASE("nested averages are the same bits as averages side by side") {
  Random random(26);
  for (const Eigen::Index n : {1, 32, 511, 512, 513, 1024, 1300}) compare_nested(n, random);
  for (int trial = 0; trial < 30; ++trial) compare_nested(static_cast<Eigen::Index>(random.integer(1, 200)), random);
}

TEMPLATE_TEST_CASE("a constant is returned exactly", "", POLYAK_TEST_SCALARS) {
  Random random(21);
  for (int trial = 0; trial < 100; ++trial) {
    const auto theta = random.vector<TestType>(5);
    Ema<TestType> corrected{{.decay = random.uniform(0, 1)}};
    Ema<TestType> plain{{.decay = random.uniform(0, 1), .bias_correction = false}};
    TailAverage<TestType> tail;
    GainAverage<TestType> free{folding_with(random_gains(random, 60, false))};
    plain.start_from(theta);
    free.start_from(theta);
    for (int k = 0; k < 60; ++k) {
      corrected.update(theta);
      plain.update(theta);
      tail.update(theta);
      free.update(theta);
      REQUIRE(same_bits(corrected.average(), theta));
      REQUIRE(same_bits(plain.average(), theta));
      REQUIRE(same_bits(tail.average(), theta));
      REQUIRE(same_bits(free.average(), theta));
    }
  }
}

TEMPLATE_TEST_CASE("an average stays within an ulp of the range of its iterates", "", float, double) {
  Random random(22);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t n = random.integer(1, 50);
    const bool first_is_one = trial % 2 == 0;
    GainAverage<TestType> average{folding_with(random_gains(random, n, first_is_one))};
    const double magnitude = std::exp(random.uniform(-20, 20));
    const double centre = random.normal() * magnitude * 10;
    const auto draw = [&] {
      return Vector<TestType>::Constant(1, static_cast<TestType>(centre + magnitude * random.normal()));
    };
    Vector<TestType> theta = draw();
    TestType low = theta[0];
    TestType high = theta[0];
    if (!first_is_one) average.start_from(theta);
    for (std::size_t k = 0; k < n; ++k) {
      if (k > 0 || !first_is_one) theta = draw();
      low = std::min(low, theta[0]);
      high = std::max(high, theta[0]);
      average.update(theta);
      const TestType ulp = std::max(std::abs(low), std::abs(high)) * std::numeric_limits<TestType>::epsilon();
      REQUIRE(average.average()[0] >= low - ulp);
      REQUIRE(average.average()[0] <= high + ulp);
    }
  }
}

TEMPLATE_TEST_CASE("a gain of 1 assigns", "", POLYAK_TEST_SCALARS) {
  Random random(23);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> gains = random_gains(random, 20, true);
    gains[19] = 1;
    GainAverage<TestType> average{folding_with(gains)};
    for (int k = 0; k < 19; ++k) {
      Vector<TestType> theta = random.vector<TestType>(3);
      for (auto& x : theta) x = static_cast<TestType>(static_cast<float>(x) * 1000.0f);
      average.update(theta);
    }
    const Vector<TestType> last = random.vector<TestType>(3);
    average.update(last);
    REQUIRE(same_bits(average.average(), last));
    REQUIRE(average.effective_sample_size() == 1);
    REQUIRE(average.start_mass() == 0);
  }
}

TEST_CASE("a gain that rounds to 1 in the shadow's scalar assigns as well") {
  GainAverage<float> average{folding_with({1, 1 - 1e-12})};
  average.update(Vector<float>{{3e10f}});
  average.update(Vector<float>{{0.1f}});
  CHECK(average.average()[0] == 0.1f);
}

TEST_CASE("averages are the sums of their weights") {
  Random random(24);
  for (int trial = 0; trial < 100; ++trial) {
    const std::size_t n = random.integer(1, 60);
    const auto gains = random_gains(random, n, trial % 2 == 0);
    GainAverage average{folding_with(gains)};
    long double expected = random.normal();
    average.start_from(Vector<double>{{static_cast<double>(expected)}});
    long double start_mass = 1;
    for (const double a : gains) {
      const double theta = random.normal();
      average.update(Vector<double>{{theta}});
      expected += static_cast<long double>(a) * (theta - expected);
      start_mass *= 1 - static_cast<long double>(a);
    }
    REQUIRE(average.average()[0] == Approx(static_cast<double>(expected)).margin(1e-13));
    REQUIRE(average.start_mass() == Approx(static_cast<double>(start_mass)).margin(1e-300));
    REQUIRE(average.effective_sample_size() >= 1 - 1e-12);
    REQUIRE(average.effective_sample_size() <= static_cast<double>(n + 1) + 1e-9);
    REQUIRE(average.mean_age() >= 0);
    REQUIRE(average.mean_age() <= static_cast<double>(n));
  }
}

TEST_CASE("scaling the weights by a power of two scales the average, bit for bit") {
  Random random(25);
  Ema ema{{.decay = 0.9}};
  Ema scaled{{.decay = 0.9}};
  for (int k = 0; k < 100; ++k) {
    const Eigen::VectorXd theta = random.vector(10);
    ema.update(theta);
    scaled.update(Eigen::VectorXd(-8 * theta));
    REQUIRE(same_bits(scaled.average(), Eigen::VectorXd(-8 * ema.average())));
  }
}
