#include <polyak/detail/bias_correction.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

#include "catch.hpp"
#include "support.hpp"

using polyak::detail::BiasCorrection;

TEST_CASE("the weight is 1 - beta^k") {
  BiasCorrection half;
  CHECK(half.advance(0.5) == 0.5);
  CHECK(half.advance(0.5) == 0.75);
  CHECK(half.advance(0.5) == 0.875);

  BiasCorrection at_once;
  CHECK(at_once.advance(1) == 1);
  CHECK(at_once.advance(0.25) == 1);
}

TEST_CASE("the weight follows a moving decay") {
  BiasCorrection weight;
  CHECK(weight.advance(0.5) == 0.5);
  CHECK(weight.advance(0.25) == 0.625);    // 3/4 · 1/2 + 1/4
  CHECK(weight.advance(0) == 0.625);       // takes nothing in
  CHECK(weight.advance(0.75) == 0.90625);  // 1/4 · 5/8 + 3/4
}

TEST_CASE("the weight is right to an ulp after millions of small terms") {
  for (const double c : {1e-3, 1e-6, 0x1p-30, 1e-12}) {
    INFO("1 - beta = " << c);
    BiasCorrection weight;
    double got = 0;
    constexpr int n = 3'000'000;
    for (int k = 0; k < n; ++k) got = weight.advance(c);
    const long double exact = -std::expm1(n * std::log1p(-static_cast<long double>(c)));
    CHECK(std::abs(static_cast<double>((got - exact) / exact)) <= 2 * std::numeric_limits<double>::epsilon());
  }
}

TEST_CASE("the weight never falls, and once it is 1 stays there") {
  BiasCorrection weight;
  double last = 0;
  std::uint64_t reached = 0;
  for (std::uint64_t k = 1; k <= 2000; ++k) {
    const double now = weight.advance(0.1);
    REQUIRE(now >= last);
    REQUIRE(now <= 1);
    if (now == 1 && reached == 0) reached = k;
    last = now;
  }
  CHECK(last == 1);
  CHECK(reached > 300);  // 0.9^k is 2^-53 at k = 349
  CHECK(reached < 400);
  CHECK(weight.advance(0) == 1);
  CHECK(weight.advance(1e-300) == 1);
}
