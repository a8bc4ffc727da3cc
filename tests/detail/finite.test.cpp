#include <polyak/detail/finite.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using polyak::detail::all_finite;
using polyak::detail::is_finite;
using support::infinity;
using support::not_a_number;

TEST_CASE("is_finite knows every infinity and every NaN") {
  STATIC_REQUIRE(is_finite(0.0));
  STATIC_REQUIRE(is_finite(-1.5));
  STATIC_REQUIRE(is_finite(std::numeric_limits<double>::max()));
  STATIC_REQUIRE(is_finite(std::numeric_limits<double>::lowest()));
  STATIC_REQUIRE(is_finite(std::numeric_limits<double>::denorm_min()));
  STATIC_REQUIRE_FALSE(is_finite(infinity));
  STATIC_REQUIRE_FALSE(is_finite(-infinity));
  STATIC_REQUIRE_FALSE(is_finite(not_a_number));
  STATIC_REQUIRE_FALSE(is_finite(std::numeric_limits<double>::signaling_NaN()));
  STATIC_REQUIRE_FALSE(is_finite(std::bit_cast<double>(std::uint64_t{0xFFF0'0000'0000'0001})));
  STATIC_REQUIRE(is_finite(std::numeric_limits<float>::max()));
  STATIC_REQUIRE(is_finite(std::numeric_limits<float>::denorm_min()));
  STATIC_REQUIRE_FALSE(is_finite(-std::numeric_limits<float>::infinity()));
  STATIC_REQUIRE_FALSE(is_finite(std::numeric_limits<float>::signaling_NaN()));
}

TEST_CASE("the exponent of a wide number is at its most significant end") {
  using polyak::detail::place_of_exponent;
  CHECK(place_of_exponent(64, std::endian::little) == 8);    // x87: 10 bytes, then padding
  CHECK(place_of_exponent(113, std::endian::little) == 14);  // quadruple precision: 16 bytes
  CHECK(place_of_exponent(113, std::endian::big) == 0);
}

TEMPLATE_TEST_CASE("is_finite holds for each scalar", "", POLYAK_TEST_SCALARS) {
  using Limits = std::numeric_limits<TestType>;
  for (const TestType x : {TestType(0), TestType(-0.0f), TestType(1), Limits::max(), Limits::lowest(), Limits::min(),
                           Limits::denorm_min(), Limits::epsilon()}) {
    CHECK(is_finite(x));
  }
  for (const TestType x : {Limits::infinity(), Limits::quiet_NaN(), Limits::signaling_NaN()}) {
    CHECK_FALSE(is_finite(x));
    CHECK_FALSE(is_finite(static_cast<TestType>(-x)));
  }
}

TEMPLATE_TEST_CASE("is_finite is right about every pattern of 16 bits", "", Eigen::half, Eigen::bfloat16) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto x = Eigen::numext::bit_cast<TestType>(static_cast<std::uint16_t>(bits));
    REQUIRE(is_finite(x) == std::isfinite(static_cast<float>(x)));
  }
}

TEMPLATE_TEST_CASE("one number that is not finite is found wherever it is", "", POLYAK_TEST_SCALARS) {
  using Limits = std::numeric_limits<TestType>;
  for (const std::size_t n : {0u, 1u, 15u, 16u, 255u, 256u, 257u, 600u}) {
    std::vector<TestType> x(n, Limits::max());
    CHECK(all_finite(std::span<const TestType>(x)));
    for (std::size_t i = 0; i < n; ++i) {
      for (const TestType bad : {Limits::infinity(), static_cast<TestType>(-Limits::infinity()), Limits::quiet_NaN()}) {
        x[i] = bad;
        REQUIRE_FALSE(all_finite(std::span<const TestType>(x)));
      }
      x[i] = Limits::lowest();
    }
    CHECK(all_finite(std::span<const TestType>(x)));
    // What lies beside the span does not count.
    if (n < 3) continue;
    x.front() = x.back() = Limits::quiet_NaN();
    CHECK(all_finite(std::span<const TestType>(x).subspan(1, n - 2)));
  }
}
