#include <polyak/averagers/compensated.hpp>
#include <polyak/detail/finite.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using detail::Quanta;

namespace {

template <class Shadow, class Residue>
struct Kept {
  Shadow shadow{};
  Residue residue{};

  using T = lanes::compute_t<Shadow>;
  Kept(T sum, T rest) { Quanta<Shadow, Residue>::keep(sum, rest, &shadow, &residue, lanes::At<1>{0}); }
  long double value() const { return minus(0, 0); }
  /// The value less another; 69 bits do not fit in a long double, but their difference does.
  long double minus(T sum, T rest) const {
    const T s = static_cast<T>(shadow);
    return (static_cast<long double>(s) - static_cast<long double>(sum)) +
           (static_cast<long double>(Quanta<Shadow, Residue>::rest(&residue, lanes::At<1>{0}, s)) -
            static_cast<long double>(rest));
  }
};

/// The distance from one Shadow to the next away from zero.
template <class Shadow>
long double ulp(Shadow s) {
  using Limits = std::numeric_limits<Shadow>;
  int exponent;
  std::frexp(static_cast<long double>(static_cast<double>(s)), &exponent);
  return std::ldexp(1.0L, std::max(exponent, int{Limits::min_exponent}) - Limits::digits);
}

template <class First, class Second>
using Pair = std::pair<First, Second>;

}  // namespace

TEMPLATE_TEST_CASE("a residue holds what rounding dropped to within its quantum", "", (Pair<float, std::int16_t>),
                   (Pair<float, std::int8_t>), (Pair<double, std::int16_t>), (Pair<double, std::int8_t>),
                   (Pair<Eigen::half, std::int16_t>), (Pair<Eigen::bfloat16, std::int16_t>),
                   (Pair<Eigen::half, std::int8_t>), (Pair<Eigen::bfloat16, std::int8_t>)) {
  using Shadow = typename TestType::first_type;
  using Residue = typename TestType::second_type;
  using T = lanes::compute_t<Shadow>;
  support::Random random(72);
  // A half has numbers from 2^−24 to 2^16 alone; the others are tried where no bit of the residue is lost.
  const bool narrow_range = std::numeric_limits<Shadow>::max_exponent < 20;
  const int lowest = narrow_range ? -24 : std::is_same_v<T, double> ? -900 : -87;
  const int highest = narrow_range ? 14 : std::is_same_v<T, double> ? 1000 : 120;
  for (int trial = 0; trial < 20'000; ++trial) {
    const int exponent = lowest + static_cast<int>(random.integer(0, static_cast<std::uint64_t>(highest - lowest)));
    const T sum = static_cast<T>(std::ldexp(random.uniform(1, 2) * (trial % 2 == 0 ? 1 : -1), exponent));
    // At most half an ulp of T, where that is the shadow's own scalar.
    const T rest = std::is_same_v<T, Shadow>
                       ? static_cast<T>(static_cast<long double>(random.uniform(-0.5, 0.5)) * ulp(sum))
                       : T(0);
    const Kept<Shadow, Residue> kept(sum, rest);
    REQUIRE(support::same_bits(kept.shadow, static_cast<Shadow>(sum)));
    const long double quantum = std::ldexp(ulp(kept.shadow), -std::numeric_limits<Residue>::digits);
    REQUIRE(std::abs(kept.minus(sum, rest)) <= quantum / 2);
  }
}

TEST_CASE("half an ulp either way, zero and the ends of the range") {
  using F = Kept<float, std::int16_t>;
  const float ulp = 0x1p-23f;
  CHECK(F(1, ulp / 4).residue == 8192);
  CHECK(F(1, -ulp / 4).residue == -8192);
  CHECK(F(1, ulp / 2).residue == 16384);
  CHECK(F(1, -ulp / 2).residue == -16384);
  CHECK(F(-1, ulp / 2).residue == 16384);
  CHECK(F(1, ulp * 0x1p-15f).residue == 1);
  CHECK(F(1, ulp * 0x0.81p-15f).residue == 1);
  CHECK(F(1, ulp * 0x0.7Fp-15f).residue == 0);
  CHECK(F(0, 0).residue == 0);
  CHECK(F(0, 0).value() == 0);
  CHECK(Kept<float, std::int8_t>(1, ulp / 2).residue == 64);
  CHECK(Kept<double, std::int16_t>(1, 0x1p-53).residue == 16384);

  // The largest numbers keep all bits, the smallest none, and what lies between loses them one by one.
  const float largest = std::numeric_limits<float>::max();
  CHECK(F(largest, 0x1p102f).value() == largest + 0x1p102L);
  CHECK(F(0x1p-88f, 0x1p-126f).value() == 0x1p-88L + 0x1p-126L);
  CHECK(F(0x1p-100f, 0x1p-126f).value() == 0x1p-100L + 0x1p-126L);
  CHECK(F(0x1p-100f, 0x1p-128f).residue == 0);
  CHECK(F(0x1p-149f, 0).value() == 0x1p-149L);
  CHECK(F(0x1p-140f, 0).value() == 0x1p-140L);

  // A half rounds a float by half an ulp; its subnormals have one ulp, 2^−24.
  using H = Kept<Eigen::half, std::int16_t>;
  CHECK(H(0x1.8p-26f, 0).value() == 0x1.8p-26L);
  CHECK(H(0x1p-25f, 0).residue == 16384);
  CHECK(H(1.0f + 0x1p-11f, 0x1p-24f).residue == 16386);  // rounded twice, hence more than half an ulp
  CHECK(H(1.0f + 0x1.8p-10f, -0x1p-24f).residue == -16386);
}

TEST_CASE("NaN and infinity stay what they are, and their residues in range") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Kept<float, std::int16_t> kept(bad, bad - bad);
    CHECK(support::same_bits(kept.shadow, bad));
    Kept<Eigen::half, std::int16_t> narrow(bad, 0);
    CHECK_FALSE(detail::is_finite(narrow.shadow));
  }
  CHECK_FALSE(detail::is_finite(Kept<Eigen::half, std::int16_t>(1e6f, 0).shadow));
}
