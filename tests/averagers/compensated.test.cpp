#include <polyak/averaged.hpp>
#include <polyak/averagers/compensated.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "averagers/weights.hpp"
#include "catch.hpp"
#include "holders.hpp"
#include "sanitized.hpp"
#include "slices_only.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::bfloat16;
using Eigen::half;
using Eigen::VectorXd;
using Eigen::VectorXf;
using support::error_of;
using support::Random;
using support::same_bits;

namespace {

template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

template <class Scalar>
Vector<Scalar> constant(Eigen::Index n, double x) {
  return Vector<Scalar>::Constant(n, static_cast<Scalar>(x));
}

/// The average with its residue.
template <class Averager>
Vector<long double> whole(const Averager& averager) {
  Vector<long double> result(averager.average().size());
  averager.copy_average_to(result);
  return result;
}

/// Bits of an average with its residue.
template <class Shadow>
constexpr int bits_of = 0;
template <class Scalar, class Residue>
constexpr int bits_of<Compensated<Scalar, Residue>> =
    std::numeric_limits<Scalar>::digits + std::numeric_limits<Residue>::digits;

/// The distance from 1 to the next. (Eigen 3.4 gives a half another epsilon.)
template <class Scalar>
const long double ulp_of_one = std::ldexp(1.0L, 1 - std::numeric_limits<Scalar>::digits);

}  // namespace

TEMPLATE_TEST_CASE("a compensated average is a vector of the scalar that is named", "", float, double, half, bfloat16) {
  Ema<Compensated<TestType>> ema;
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(ema.average())>, Vector<TestType>>);
  STATIC_REQUIRE(std::same_as<typename Ema<Compensated<TestType>>::shadow_type, TestType>);
  Averaged opt{Sgd<TestType>{}, ema};  // and is kept so
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(opt.average())>, Vector<TestType>>);
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(opt.averager())>, Ema<Compensated<TestType>>>);
}

TEMPLATE_TEST_CASE("a compensated average arrives where one of the same width stops short", "", Compensated<float>,
                   (Compensated<float, std::int8_t>), Compensated<double>, Compensated<half>, Compensated<bfloat16>) {
  using Scalar = typename TestType::scalar_type;
  for (const double beta : {0.9, 0.99, 0.999, 0.9999}) {
    if (support::slow && beta > 0.999) continue;
    INFO("beta " << beta);
    const EmaOptions options{.decay = beta, .bias_correction = false};
    Ema<TestType> compensated(options);
    Ema<Scalar> narrow(options);
    const auto start = constant<Scalar>(3, 1.5);
    const auto target = constant<Scalar>(3, 1.0009765625);  // 1 + 2^−10; in bfloat16, 1
    compensated.start_from(start);
    narrow.start_from(start);
    const auto folds = static_cast<int>(60 / (1 - beta));
    for (int k = 0; k < folds; ++k) {
      compensated.update(target);
      narrow.update(target);
    }
    // It stops once (1 − β) of the distance is less than half a quantum.
    const auto size = static_cast<long double>(static_cast<double>(target[0]));
    const long double stop = 1.01L * std::ldexp(1.0L, -bits_of<TestType>) / (1 - beta);
    CHECK(std::abs(whole(compensated)[0] - size) <= stop + std::numeric_limits<long double>::epsilon());
    CHECK(std::abs(static_cast<long double>(compensated.average()[0]) - size) <= stop + ulp_of_one<Scalar> / 2);
    if (beta > 0.99) {
      CHECK(std::abs(static_cast<long double>(narrow.average()[0]) - size) > 20 * stop);
    }
  }
}

TEMPLATE_TEST_CASE("the mean of many noisy iterates is right but for a walk of quanta", "", Compensated<float>,
                   (Compensated<float, std::int8_t>), Compensated<double>, Compensated<half>, Compensated<bfloat16>) {
  using Scalar = typename TestType::scalar_type;
  constexpr bool half_width = sizeof(Scalar) == 2;
  constexpr int n = half_width || support::slow ? 100'000 : 1'000'000;
  TailAverage<TestType> tail;
  long double sums[3] = {};
  std::uint64_t state = 1;
  Vector<Scalar> theta(3);
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < 3; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double noise = static_cast<double>(state >> 32) * 0x1p-32 - 0.5;
      theta[i] = static_cast<Scalar>((1.25 + i) * (1 + noise / 50));
      sums[i] += static_cast<long double>(static_cast<double>(theta[i]));
    }
    tail.update(theta);
  }
  for (int i = 0; i < 3; ++i) {
    const long double mean = sums[i] / n;
    // Roundings to a quantum, which are many but not biased, and those of the gains and of the sum above.
    const long double quantum = std::ldexp(mean, 1 - bits_of<TestType>);
    const long double walk = std::sqrt(static_cast<long double>(n));
    const long double rest = walk * (quantum + mean * std::numeric_limits<long double>::epsilon()) +
                             mean / 50 * static_cast<long double>(ulp_of_one<lanes::compute_t<Scalar>>);
    CHECK(std::abs(whole(tail)[i] - mean) <= rest);
    CHECK(std::abs(static_cast<long double>(tail.average()[i]) - mean) <= rest + ulp_of_one<Scalar> * mean / 2);
  }
}

TEMPLATE_TEST_CASE("compensated: a constant is returned exactly", "", Compensated<float>,
                   (Compensated<float, std::int8_t>), Compensated<double>, Compensated<half>, Compensated<bfloat16>) {
  using Scalar = typename TestType::scalar_type;
  Random random(73);
  for (int trial = 0; trial < 50; ++trial) {
    const auto theta = random.vector<Scalar>(5);
    Ema<TestType> corrected{{.decay = random.uniform(0, 1)}};
    Ema<TestType> plain{{.decay = random.uniform(0, 1), .bias_correction = false}};
    TailAverage<TestType> tail;
    plain.start_from(theta);
    for (int k = 0; k < 60; ++k) {
      corrected.update(theta);
      plain.update(theta);
      tail.update(theta);
      REQUIRE(same_bits(corrected.average(), theta));
      REQUIRE(same_bits(plain.average(), theta));
      REQUIRE(same_bits(tail.average(), theta));
      REQUIRE(whole(tail) == theta.template cast<long double>());
    }
  }
}

TEMPLATE_TEST_CASE("compensated: an average stays within an ulp of the range of its iterates", "", float, double, half,
                   bfloat16) {
  Random random(74);
  for (int trial = 0; trial < 2000; ++trial) {
    GainAverage<Compensated<TestType>> average{
        {.gain = [&random](std::uint64_t k) { return k == 1 ? 1 : random.uniform(0, 1); }}};
    const double magnitude = std::exp(random.uniform(-4, 4));
    const double centre = random.normal() * magnitude * 10;
    double low = support::infinity;
    double high = -support::infinity;
    for (int k = 0; k < 30; ++k) {
      const auto theta = constant<TestType>(1, centre + magnitude * random.normal());
      low = std::min(low, static_cast<double>(theta[0]));
      high = std::max(high, static_cast<double>(theta[0]));
      average.update(theta);
      const double ulp =
          std::max(std::abs(low), std::abs(high)) * static_cast<double>(std::numeric_limits<TestType>::epsilon());
      REQUIRE(static_cast<double>(average.average()[0]) >= low - ulp);
      REQUIRE(static_cast<double>(average.average()[0]) <= high + ulp);
    }
  }
}

TEMPLATE_TEST_CASE("compensated: a gain of 1 assigns and leaves no residue", "", float, double, half, bfloat16) {
  Random random(75);
  GainAverage<Compensated<TestType>> average{{.gain = [](std::uint64_t k) { return k % 5 == 1 ? 1 : 0.3; }}};
  for (int k = 1; k <= 21; ++k) {
    const auto theta = random.vector<TestType>(40);
    average.update(theta);
    const bool assigned = k % 5 == 1;
    CHECK((whole(average) == theta.template cast<long double>()) == assigned);
    const bool has_residue = whole(average) != average.average().template cast<long double>();
    CHECK(has_residue == !assigned);
  }
}

TEMPLATE_TEST_CASE("compensated: the averages are the same bits whichever way the loops run", "", float, double, half,
                   bfloat16) {
  using Shadow = Compensated<TestType>;
  constexpr Eigen::Index slice = detail::slice_bytes / sizeof(TestType);
  Random random(76);
  for (const Eigen::Index n :
       {Eigen::Index{0}, Eigen::Index{1}, Eigen::Index{31}, Eigen::Index{33}, slice - 1, slice + 1, 2 * slice + 45}) {
    INFO("size " << n);
    const Sgd<TestType> sgd{{.learning_rate = 0.05, .momentum = 0.5}};
    const Ema<Shadow> ema{{.decay = 0.97}};
    const Ema<Shadow> plain{{.decay = 0.9, .bias_correction = false, .every = 2}};
    const TailAverage<Compensated<TestType, std::int8_t>> tail{{.start = 3}};
    Averaged one{sgd, ema};
    Averaged fused{sgd, ema, plain, tail};
    Averaged sliced{support::SlicesOnly<TestType>(sgd), ema, plain, tail};
    Averaged called{support::whole_step(sgd), ema, plain, tail};
    auto bare = sgd;
    auto ema_alone = ema;
    auto plain_alone = plain;
    auto tail_alone = tail;

    const auto start = random.vector<TestType>(n);
    Vector<TestType> theta = start;
    plain_alone.start_from(theta);
    std::vector<Vector<TestType>> thetas(4, start);
    for (int t = 0; t < 8; ++t) {
      const auto grad = random.vector<TestType>(n);
      bare.step(theta, grad);
      ema_alone.update(theta);
      if (t % 2 == 0) {
        plain_alone.reset();  // the start is that before the first fold, in step 2
        plain_alone = plain;
      }
      tail_alone.update(theta);
      one.step(thetas[0], grad);
      fused.step(thetas[1], grad);
      sliced.step(thetas[2], grad);
      called.step(thetas[3], grad);
      for (const auto& moved : thetas) REQUIRE(same_bits(moved, theta));
      REQUIRE(same_bits(whole(one.averager()), whole(ema_alone)));
      const auto same = [&](const auto& opt) {
        REQUIRE(same_bits(whole(opt.template averager<0>()), whole(ema_alone)));
        REQUIRE(same_bits(opt.template average<0>(), ema_alone.average()));
        if (t >= 1) {
          REQUIRE(same_bits(whole(opt.template averager<1>()), whole(fused.template averager<1>())));
        }
        if (tail_alone.has_average()) REQUIRE(same_bits(whole(opt.template averager<2>()), whole(tail_alone)));
      };
      same(fused);
      same(sliced);
      same(called);
    }
  }
}

TEST_CASE("compensated: life from construction to reset") {
  weights::check_life(
      [](std::uint64_t start, std::uint64_t every) {
        return TailAverage<Compensated<double>>{{.start = start, .every = every}};
      },
      "polyak::TailAverage");
  weights::check_life(
      [](std::uint64_t start, std::uint64_t every) {
        return Ema<Compensated<double>>{{.decay = 0.9, .start = start, .every = every}};
      },
      "polyak::Ema");
  weights::check_diagnostics(Ema<Compensated<double>>{{.decay = 0.9}}, 40);
  CHECK(weights::of_powers_of_two(TailAverage<Compensated<double>>{}) == 3.75);

  // A reset leaves no residue behind, a copy and a move take it along.
  Random random(77);
  Ema<Compensated<float>> ema{{.decay = 0.99, .bias_correction = false}};
  ema.start_from(random.vector<float>(50));
  for (int k = 0; k < 20; ++k) ema.update(random.vector<float>(50));
  auto copy = ema;
  CHECK(same_bits(whole(copy), whole(ema)));
  const VectorXf next = random.vector<float>(50);
  auto moved = std::move(copy);
  moved.update(next);
  ema.update(next);
  CHECK(same_bits(whole(moved), whole(ema)));
  ema.reset();
  ema.start_from(constant<float>(60, 0.1));
  CHECK(whole(ema) == constant<float>(60, 0.1).cast<long double>());
  ema.update(constant<float>(60, 0.1));
  CHECK(whole(ema) == constant<float>(60, 0.1).cast<long double>());
}

TEST_CASE("compensated: wider parameters are given the residue, others the average") {
  // Half an ulp above 1, by gains that are exact.
  TailAverage<Compensated<float>> tail;
  for (const float theta : {1.0f, 1.0f + 0x1p-23f}) tail.update(Eigen::Vector2f(theta, -theta));
  CHECK(tail.average() == Eigen::Vector2f(1, -1));
  Eigen::Vector2d wide;
  tail.copy_average_to(wide);
  CHECK(wide == Eigen::Vector2d(1 + 0x1p-24, -1 - 0x1p-24));
  Eigen::Vector2f same;
  tail.copy_average_to(same);
  CHECK(same == tail.average());
  Eigen::Matrix<half, 2, 1> narrow;
  tail.copy_average_to(narrow);
  CHECK(static_cast<float>(narrow[0]) == 1);
  std::vector<double> live{7, 8};
  {
    const auto guard = tail.swap_in(live);
    CHECK(live[0] == wide[0]);
    CHECK(live[1] == wide[1]);
    CHECK(error_of([&] { tail.update(live); }) ==
          "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first");
  }
  CHECK(live == std::vector<double>{7, 8});
  CHECK(tail.average_or(live) == tail.average());

  std::vector<float> a(1), b(1);
  std::vector<double> wide_a(1), wide_b(1);
  TailAverage<Compensated<float>> of_two;
  for (const float theta : {1.0f, 1.0f + 0x1p-23f}) {
    a[0] = theta;
    b[0] = -theta;
    of_two.update(ParameterSet{a, b});
  }
  of_two.copy_average_to(ParameterSet{wide_a, wide_b});
  CHECK(wide_a[0] == wide[0]);
  CHECK(wide_b[0] == wide[1]);

  TailAverage<Compensated<half>> of_halves;
  for (const float theta : {1.0f, 1.0f, 1.5f}) of_halves.update(Eigen::Vector2f(theta, -theta));
  Eigen::Vector2f from_half;
  of_halves.copy_average_to(from_half);
  CHECK(std::abs(static_cast<double>(from_half[0]) - 3.5 / 3) < 0x1p-22);
  CHECK(std::abs(static_cast<double>(of_halves.average()[0]) - 3.5 / 3) > 0x1p-13);
}

TEST_CASE("compensated: whatever holds parameters") {
  Random random(78);
  holders::for_each<float>([&](const char* name, auto&& params, auto&& gradient, auto memory, auto gradient_memory) {
    INFO(name);
    Averaged held{Sgd<float>{{.learning_rate = 0.1}}, Ema<Compensated<float>>{{.decay = 0.9}}};
    auto flat = held;
    VectorXf theta = random.vector<float>(holders::size);
    memory.write(theta);
    for (int t = 0; t < 5; ++t) {
      const VectorXf grad = random.vector<float>(holders::size);
      gradient_memory.write(grad);
      held.step(params, gradient);
      flat.step(theta, grad);
    }
    CHECK(same_bits(held.average(), flat.average()));
    CHECK(same_bits(whole(held.averager()), whole(flat.averager())));
    held.copy_average_to(params);
    CHECK(same_bits(memory.read(), flat.average()));
  });
}

TEST_CASE("compensated: NaN and infinity pass into the average and stay") {
  for (const double bad : {support::not_a_number, support::infinity}) {
    Ema<Compensated<float>> ema{{.decay = 0.9}};
    for (int k = 0; k < 10; ++k) ema.update(Eigen::Vector2f(k == 3 ? static_cast<float>(bad) : 1.0f, 2));
    CHECK_FALSE(detail::is_finite(ema.average()[0]));
    CHECK(ema.average()[1] == 2);
  }
}
