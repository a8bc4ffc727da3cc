#include <polyak/detail/exact_sum.hpp>

#include <cmath>
#include <limits>

#include "catch.hpp"
#include "support.hpp"

using polyak::detail::exact_sum;

TEST_CASE("a sum and what rounding drops from it make up the exact sum, whichever term is larger") {
  support::Random random(71);
  for (int trial = 0; trial < 20'000; ++trial) {
    const auto draw = [&] {
      return static_cast<float>(random.normal() * std::exp2(static_cast<double>(random.integer(0, 26))));
    };
    const float a = draw();
    const float b = draw();
    const auto [sum, rest] = exact_sum(a, b);
    REQUIRE(sum == a + b);
    REQUIRE(static_cast<double>(sum) + static_cast<double>(rest) == static_cast<double>(a) + static_cast<double>(b));
  }
}

TEST_CASE("an exact sum in double") {
  CHECK(exact_sum(1.0, 0x1p-60).rest == 0x1p-60);
  CHECK(exact_sum(0x1p-60, 1.0).rest == 0x1p-60);
  CHECK(exact_sum(1.0, 0x1p-53).sum == 1);
  CHECK(exact_sum(1.0, 0x1p-53).rest == 0x1p-53);
  CHECK(exact_sum(1 + 0x1p-52, 0x1p-53).rest == -0x1p-53);
  CHECK(exact_sum(1.5, -1.5).sum == 0);
  CHECK(exact_sum(1.5, -1.5).rest == 0);
  CHECK(exact_sum(1.0, std::numeric_limits<double>::denorm_min()).rest == std::numeric_limits<double>::denorm_min());
}
