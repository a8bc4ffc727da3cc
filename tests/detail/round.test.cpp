#include <polyak/detail/round.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using Eigen::bfloat16;
using Eigen::half;
using polyak::detail::round_to;

namespace {

template <class Scalar>
std::uint16_t bits_of(Scalar x) {
  return Eigen::numext::bit_cast<std::uint16_t>(x);
}

/// The formats as IEEE 754 and its users have them, with nothing of Eigen's: a sign, an exponent, and so many bits of
/// mantissa.
template <class Scalar>
inline constexpr int mantissa = std::is_same_v<Scalar, half> ? 10 : 7;
template <class Scalar>
inline constexpr int bias = std::is_same_v<Scalar, half> ? 15 : 127;
template <class Scalar>
inline constexpr int infinite = std::is_same_v<Scalar, half> ? 0x7C00 : 0x7F80;

/// The number that these bits without a sign stand for; for those of infinity, the next after the largest.
template <class Scalar>
double value_of(int bits) {
  const int exponent = bits >> mantissa<Scalar>;
  const int rest = bits & ((1 << mantissa<Scalar>)-1);
  const int implied = exponent == 0 ? 0 : 1 << mantissa<Scalar>;
  return std::ldexp(rest + implied, std::max(exponent, 1) - bias<Scalar> - mantissa<Scalar>);
}

/// All that are not negative, in order, and the next after the largest in the place of infinity.
template <class Scalar>
std::vector<double> all_values() {
  std::vector<double> all;
  for (int bits = 0; bits <= infinite<Scalar>; ++bits) all.push_back(value_of<Scalar>(bits));
  return all;
}

/// The bits of the nearest of them, in a tie of the even one; ties are exact in double.
template <class Scalar>
int nearest(const std::vector<double>& all, long double x) {
  const auto above = std::lower_bound(all.begin(), all.end(), x);
  if (above == all.end()) return infinite<Scalar>;
  const int high = static_cast<int>(above - all.begin());
  if (high == 0) return 0;
  const int low = high - 1;
  const long double tie = (static_cast<long double>(all[static_cast<std::size_t>(low)]) + *above) / 2;
  return x < tie ? low : x > tie ? high : low % 2 == 0 ? low : high;
}

/// Rounds x and −x.
template <class Scalar, class From>
bool rounds_to(From x, int bits) {
  return bits_of(round_to<Scalar>(x)) == bits && bits_of(round_to<Scalar>(-x)) == (bits | 0x8000);
}

/// x and what lies next to it, and so near that it is next to nothing in double.
template <class Scalar, class From>
void check_around(const std::vector<double>& all, double at) {
  const From x = at;
  const From up = std::numeric_limits<From>::infinity();
  for (const From each :
       {x, std::nextafter(x, -up), std::nextafter(x, up), x * (1 + From(0x1p-30)), x * (1 - From(0x1p-30))}) {
    if (each < 0) continue;
    if (!rounds_to<Scalar>(each, nearest<Scalar>(all, each))) {
      INFO(static_cast<double>(each));
      CHECK(bits_of(round_to<Scalar>(each)) == nearest<Scalar>(all, each));
    }
  }
}

template <class Scalar, class From>
void check_all() {
  const std::vector<double> all = all_values<Scalar>();
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    check_around<Scalar, From>(all, all[i]);
    check_around<Scalar, From>(all, (all[i] + all[i + 1]) / 2);
  }
  support::Random random(9);
  for (int k = 0; k < 200'000; ++k) {
    const double exponent = random.uniform(-mantissa<Scalar> - bias<Scalar> - 3, bias<Scalar> + 2);
    const From x = std::exp2(static_cast<From>(exponent)) * From(1.0000001);
    if (!rounds_to<Scalar>(x, nearest<Scalar>(all, x))) {
      INFO(static_cast<double>(x));
      CHECK(bits_of(round_to<Scalar>(x)) == nearest<Scalar>(all, x));
    }
  }

  using Limits = std::numeric_limits<From>;
  CHECK(rounds_to<Scalar>(From(0), 0));
  CHECK(rounds_to<Scalar>(Limits::denorm_min(), 0));
  CHECK(rounds_to<Scalar>(Limits::min(), 0));
  CHECK(rounds_to<Scalar>(Limits::max(), infinite<Scalar>));
  CHECK(rounds_to<Scalar>(Limits::infinity(), infinite<Scalar>));
  for (const From nan : {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::signaling_NaN()}) {
    CHECK((bits_of(round_to<Scalar>(nan)) & 0x7FFF) > infinite<Scalar>);
  }
}

}  // namespace

TEST_CASE("a double is rounded to 16 bits once, to nearest, and in a tie to even") {
  check_all<half, double>();
  check_all<bfloat16, double>();
  CHECK(static_cast<double>(round_to<half>(1 + 0x1p-11 + 0x1p-40)) == 1.0009765625);
  CHECK(static_cast<double>(round_to<half>(1 + 0x1p-11)) == 1);
  CHECK(static_cast<double>(round_to<bfloat16>(1 + 0x1p-8 + 0x1p-52)) == 1 + 0x1p-7);
}

TEST_CASE("a long double is rounded to 16 bits once, also where a double would be a tie") {
  check_all<half, long double>();
  check_all<bfloat16, long double>();
  if (std::numeric_limits<long double>::digits < 64) return;
  const long double above = 1 + 0x1p-11L + 0x1p-63L, below = 1 + 0x3p-11L - 0x1p-63L;
  CHECK(static_cast<double>(round_to<half>(above)) == 1 + 0x1p-10);
  CHECK(static_cast<double>(round_to<half>(below)) == 1 + 0x1p-10);
}

TEST_CASE("other scalars are rounded as ever") {
  CHECK(round_to<float>(1 + 0x1p-24 + 0x1p-50) == 1 + 0x1p-23f);
  CHECK(round_to<double>(0.1f) == static_cast<double>(0.1f));
  CHECK(round_to<half>(half(0.5f)) == half(0.5f));
  CHECK(static_cast<float>(round_to<half>(1 + 0x1p-11f)) == 1);
  CHECK(static_cast<float>(round_to<bfloat16>(half(1 + 0x1p-10f))) == 1);
  CHECK(std::isinf(static_cast<float>(round_to<half>(bfloat16(1e30f)))));
}
