#include <polyak/averaged.hpp>
#include <polyak/averagers/decays.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "sanitized.hpp"
#include "support.hpp"

// Defects that other libraries have had, each as the test that would have caught it.

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::constant;

TEST_CASE("a copy of an optimizer in use owns its memory") {
  auto original = std::make_unique<Averaged<Sgd<>, Ema<>, Swa<>>>(Sgd{{.learning_rate = 0.5, .momentum = 0.5}},
                                                                  Ema{{.decay = 0.5}}, Swa{});
  VectorXd theta = constant(100, 1);
  original->step(theta, theta);
  VectorXd elsewhere = theta;
  auto copy = *original;
  original->step(elsewhere, constant(100, 7));
  original.reset();
  copy.step(theta, constant(100, 0));
  CHECK(theta == constant(100, 0.25));
  CHECK(copy.average<1>() == constant(100, 0.375));
}

TEST_CASE("a second run averages none of the first run's snapshots") {
  const auto run = [](auto& opt, double from) {
    VectorXd theta = constant(3, from);
    for (int t = 0; t < 6; ++t) opt.step(theta, constant(3, 1));
    return VectorXd(opt.average());
  };
  Averaged opt{Sgd{{.learning_rate = 1}}, Swa{{.start = 2, .period = 2}}};
  CHECK(run(opt, 100) == constant(3, 96));
  opt.reset();
  CHECK(run(opt, 10) == constant(3, 6));
  CHECK(opt.averager().count() == 3);
}

TEST_CASE("options need not outlive what is built from them") {
  auto options = std::make_unique<SgdOptions>();
  auto factor = std::make_shared<double>(0.5);
  options->learning_rate = [factor](std::uint64_t) { return *factor; };
  auto ema_options = std::make_unique<EmaOptions>();
  ema_options->decay = [factor](std::uint64_t) { return *factor; };
  Averaged opt{Sgd(*options), Ema(*ema_options)};
  *options = {.learning_rate = 100};
  options.reset();
  ema_options.reset();
  VectorXd theta{{4}};
  opt.step(theta, VectorXd{{4}});
  opt.step(theta, VectorXd{{-4}});
  CHECK(theta[0] == 4);
  CHECK(close(opt.average()[0], 10.0 / 3));
}

TEST_CASE("one step ticks once, however many slices and averages there are") {
  int rates = 0;
  int momenta = 0;
  int gains = 0;
  int decays = 0;
  Averaged opt{Sgd{{.learning_rate =
                        [&rates](std::uint64_t t) {
                          REQUIRE(static_cast<int>(t) == rates++);
                          return 0.1;
                        },
                    .momentum =
                        [&momenta](std::uint64_t t) {
                          REQUIRE(static_cast<int>(t) == momenta++);
                          return 0.1;
                        }}},
               Ema{{.decay =
                        [&decays](std::uint64_t k) {
                          REQUIRE(static_cast<int>(k) == decays++);
                          return 0.5;
                        }}},
               GainAverage{{.gain = [&gains](std::uint64_t k) {
                 REQUIRE(static_cast<int>(k) == ++gains);
                 return 1 / static_cast<double>(k);
               }}}};
  VectorXd theta = constant(10'000, 1);
  for (int t = 1; t <= 5; ++t) {
    opt.step(theta, theta);
    CHECK(rates == t);
    CHECK(momenta == t);
    CHECK(decays == t);
    CHECK(gains == t);
  }
}

TEST_CASE("an update while the average is swapped in is refused, and nothing is lost") {
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
  VectorXd theta{{0}};
  opt.step(theta, VectorXd{{-1}});
  opt.step(theta, VectorXd{{-2}});
  {
    const auto guard = opt.swap_in(theta);
    CHECK_THROWS_AS(opt.step(theta, VectorXd{{-100}}), std::logic_error);
    // What is saved meanwhile is the average as well.
    const auto saved = opt;
    CHECK(saved.average()[0] == 2);
  }
  CHECK(theta[0] == 3);
  opt.step(theta, VectorXd{{-2}});
  CHECK(theta[0] == 5);
  CHECK(opt.average()[0] == 3);
  CHECK(opt.averager().count() == 3);
}

TEST_CASE("bias is corrected unless it is asked not to be") {
  Averaged opt{Sgd{{.learning_rate = 1}}};
  VectorXd theta{{1000}};
  opt.step(theta, VectorXd{{995}});
  CHECK(opt.average()[0] == 5);
  CHECK(opt.averager().start_mass() == 0);
}

TEST_CASE("iterates of float are averaged exactly, however many they are") {
  Averaged opt{[](Eigen::VectorXf& params, const Eigen::VectorXf& next) { params = next; }, TailAverage{}};
  Eigen::VectorXf theta(1);
  Eigen::VectorXf next(1);
  constexpr std::int64_t n = support::slow ? 200'000 : 20'000'000;
  std::int64_t sum = 0;  // in units of 2⁻²⁰
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t units = (1 << 20) + (i * 7919) % (1 << 20);
    sum += units;
    next[0] = static_cast<float>(units) * 0x1p-20f;
    opt.step(theta, next);
  }
  const double exact = static_cast<double>(static_cast<long double>(sum) / n) * 0x1p-20;
  CHECK(close(opt.average()[0], exact, 1e-12));
  CHECK(opt.averager().count() == n);
  CHECK(close(opt.averager().effective_sample_size(), static_cast<double>(n), 1e-9));
  CHECK(close(opt.averager().mean_age(), static_cast<double>(n - 1) / 2, 1e-9));
}

TEMPLATE_TEST_CASE("two swaps give the weights back, bit for bit", "", POLYAK_TEST_SCALARS) {
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  using Limits = std::numeric_limits<TestType>;
  Vector theta(10);
  theta << TestType(1), TestType(-0.0f), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::max(),
      Limits::lowest(), Limits::min(), Limits::denorm_min(), TestType(1.0f / 3);
  if constexpr (std::is_same_v<TestType, double>) {
    theta[0] = std::bit_cast<double>(std::uint64_t{0x7FF8'DEAD'BEEF'0001});  // a NaN that carries a message
    theta[9] = std::bit_cast<double>(std::uint64_t{0xFFF8'0000'0000'0002});
  }
  if constexpr (std::is_same_v<TestType, float>) theta[0] = std::bit_cast<float>(std::uint32_t{0x7FC0'BEEF});
  const Vector trained = theta;

  TailAverage tail;
  tail.update(constant(10, 1e30));
  for (int swaps = 0; swaps < 2; ++swaps) {
    {
      const auto guard = tail.swap_in(theta);
      CHECK_FALSE(support::same_bits(theta, trained));
      CHECK(support::same_bits(theta[1], static_cast<TestType>(1e30)));
    }
    REQUIRE(support::same_bits(theta, trained));
  }
}

TEST_CASE("the uncorrected average starts from the weights, not from zero") {
  Averaged opt{Sgd{{.learning_rate = 0}}, Ema{{.decay = 0.999, .bias_correction = false}}};
  VectorXd theta{{42}};
  for (int t = 0; t < 100; ++t) {
    opt.step(theta, VectorXd{{1}});
    REQUIRE(opt.average()[0] == 42);
  }
}

TEST_CASE("the last snapshot counts") {
  Averaged opt{Sgd{{.learning_rate = 1}}, Swa{{.start = 10, .period = 10}}};
  VectorXd theta{{0}};
  for (int t = 0; t < 30; ++t) opt.step(theta, VectorXd{{-1}});
  CHECK(opt.averager().count() == 3);
  CHECK(opt.average()[0] == 20);  // of 10, 20 and 30
}

TEST_CASE("folding every hundred steps forgets as much as folding every step") {
  const auto after = [](std::uint64_t every) {
    Averaged opt{Sgd{{.learning_rate = 0}},
                 Ema{{.decay = HalfLife{{.steps = 500}}, .bias_correction = false, .every = every}}};
    opt.averager().start_from(VectorXd{{1}});
    VectorXd theta{{0}};
    for (int t = 0; t < 2000; ++t) opt.step(theta, VectorXd{{0}});
    CHECK(close(opt.average()[0], opt.averager().start_mass()));
    return opt.averager().start_mass();
  };
  CHECK(close(after(1), 1.0 / 16, 1e-12));
  CHECK(close(after(100), 1.0 / 16, 1e-12));
}
