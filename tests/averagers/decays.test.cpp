#include <polyak/averagers/decays.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using support::close;
using support::error_of;

namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr std::uint64_t huge = 1'000'000'000'000'000'000;
const std::vector<std::uint64_t> folds{0, 1, 2, 3, 10, 1000, 123'456, 10'000'000, huge};

}  // namespace

TEST_CASE("DecayWarmup rises as (1 + k)/(10 + k) to its limit") {
  const DecayWarmup warmup{{.limit = 0.75}};
  CHECK(warmup.complement(0, 1) == 0.9);
  CHECK(close(warmup(0), 0.1));
  CHECK(close(warmup(8), 0.5));
  CHECK(close(warmup(25), 26.0 / 35));
  CHECK(warmup(26) == 0.75);
  CHECK(warmup(27) == 0.75);
  CHECK(warmup(huge) == 0.75);
  CHECK(warmup.complement(8, 100) == 0.5);  // in folds, however far apart

  const DecayWarmup close_to_1{{.limit = 0.999999999}};
  for (const std::uint64_t k : folds) {
    const long double exact = std::max(1 - 0.999999999L, 9 / (10 + static_cast<long double>(k)));
    CHECK(close(close_to_1.complement(k, 1), static_cast<double>(exact), k == huge ? 1e-7 : 2 * epsilon));
  }
  CHECK(DecayWarmup{{}}.complement(huge, 1) == 1 - 0.9999);
  CHECK(DecayWarmup{{.limit = 0}}(1000) == 0);
}

TEST_CASE("InverseGammaDecay is 1 - (1 + k/gamma)^-power within its bounds") {
  const InverseGammaDecay decay{{.gamma = 2, .power = 0.5, .max = 0.9}};
  CHECK(decay(0) == 0);
  CHECK(close(decay(6), 0.5));
  CHECK(close(decay(30), 0.75));
  CHECK(close(decay(197), 1 - std::sqrt(2.0 / 199)));
  CHECK(decay(198) == 0.9);
  CHECK(decay(huge) == 0.9);
  CHECK(decay.complement(6, 100) == 0.5);
  CHECK(InverseGammaDecay{{.gamma = 2, .power = 0.5, .min = 0.5, .max = 0.9}}(0) == 0.5);
  CHECK(InverseGammaDecay{{.min = 0.5, .max = 0.5}}(0) == 0.5);
  CHECK(InverseGammaDecay{{.min = 0.5, .max = 0.5}}(huge) == 0.5);
  CHECK(InverseGammaDecay{{.max = 0}}(huge) == 0);
  CHECK(close(InverseGammaDecay{{}}(7), 0.75));  // 1 − 8^(−2/3)
  CHECK(close(InverseGammaDecay{{}}.complement(huge, 1), 1e-4, 1e-12));

  const InverseGammaDecay unbounded{{.gamma = 3, .power = 0.75, .max = 1 - 1e-15}};
  for (const std::uint64_t k : folds) {
    const long double exact = std::pow(1 + static_cast<long double>(k) / 3, -0.75L);
    CHECK(close(unbounded.complement(k, 1), static_cast<double>(exact), 4 * epsilon));
  }
}

TEST_CASE("HalfLife halves every h steps, however far apart the folds are") {
  const HalfLife half_life{{.steps = 1000}};
  CHECK(half_life.complement(0, 1000) == 0.5);
  CHECK(half_life.complement(77, 1000) == 0.5);
  CHECK(half_life.complement(0, 2000) == 0.75);
  CHECK(half_life(0) == 1 - half_life.complement(0, 1));
  for (const double steps : {0.5, 1.0, 30.0, 1e6, 1e15}) {
    for (const std::uint64_t every : {1u, 2u, 100u}) {
      const long double exact = -std::expm1(-std::numbers::ln2_v<long double> * static_cast<long double>(every) /
                                            static_cast<long double>(steps));
      CHECK(close(HalfLife{{.steps = steps}}.complement(3, every), static_cast<double>(exact), 4 * epsilon));
    }
  }
  CHECK(HalfLife{{}}.complement(5, 1000) == 0.5);
}

TEST_CASE("a decay is a number, a function of the folds or an object that knows the complement") {
  const Decay number(0.75);
  CHECK(number.is_number());
  CHECK(number.number() == 0.75);
  CHECK(number.complement(17, 3) == 0.25);
  CHECK(number.description() == "0.75");
  CHECK(Decay(0).complement(0, 1) == 1);
  CHECK(Decay(0.5f).number() == 0.5);

  const Decay function([](std::uint64_t k) { return k == 2 ? 0.875f : 0.5f; });
  CHECK_FALSE(function.is_number());
  CHECK(function.complement(2, 9) == 0.125);
  CHECK(function.complement(3, 9) == 0.5);
  CHECK(function.description() == "a callable");
  const Decay rising([](std::uint64_t k) { return 0.25 * static_cast<double>(k); });
  CHECK(rising.complement(4, 1) == 0);
  CHECK(error_of([&] { (void)rising.complement(5, 1); }) ==
        "invalid_argument: polyak::Ema: decay must be in [0, 1], got 1.25 at fold 6");
  CHECK(Decay(1).complement(0, 1) == 0);

  // 1 − β straight from the formula: through β it would be off by 1e-4 at a half-life of 1e12 steps.
  const HalfLife half_life{{.steps = 1e12}};
  const Decay object(half_life);
  CHECK_FALSE(object.is_number());
  CHECK(object.complement(0, 1) == half_life.complement(0, 1));
  CHECK(object.complement(0, 50) == half_life.complement(0, 50));
  CHECK(close(object.complement(0, 1), std::numbers::ln2 / 1e12, 1e-11));

  CHECK(object.description() == "HalfLife(steps 1e+12)");

  const Decay copy = object;
  CHECK(copy.complement(0, 1) == object.complement(0, 1));
}

TEST_CASE("a decay that cannot be called is refused") {
  CHECK(error_of([] { Decay(std::function<double(std::uint64_t)>()); }).starts_with("invalid_argument: "));
}
