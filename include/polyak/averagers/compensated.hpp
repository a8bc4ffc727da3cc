#pragma once

#include <concepts>
#include <cstdint>

#include "polyak/concepts.hpp"
#include "polyak/detail/exact_sum.hpp"

namespace polyak {

/// Named where a shadow type is: Ema<Compensated<float>>. The average is kept in Scalar, correctly rounded or next to
/// it, and beside it is kept what rounding dropped, to be folded in later (compensated summation: Kahan 1965; exact
/// addition: Knuth, The Art of Computer Programming, vol. 2).
///
/// Rounding drops half an ulp at most, so the residue is a fraction of the ulp of the average, in fixed point: the next
/// bits of the mantissa, with none spent on an exponent. A float has 39 bits with it in 6 bytes, or 31 with std::int8_t
/// in 5, where a double takes 8; a double 68 in 10; a half 26 and a bfloat16 23 in 4, or 18 and 15 in 3. (Averages
/// below 2^−88 in float, 2^−104 in bfloat16 and 2^−955 in double lose bits one by one.) An EMA stops short of its
/// target by half a quantum over 1 − β: in float by 2^−39/(1 − β) of the weight, where without a residue it is 2^−24.
/// average() is a vector of Scalar; copy_average_to wider parameters copies the residue as well.
///
/// It rests on a + b − a not being b. Does not compile under -ffast-math, where it would be.
template <FloatingPoint Scalar, class Residue = std::int16_t>
struct Compensated {
  static_assert(!std::same_as<Scalar, long double>,
                "polyak::Compensated: a long double shadow has no room for more, name a narrower one");
  static_assert(std::same_as<Residue, std::int16_t> || std::same_as<Residue, std::int8_t>,
                "polyak::Compensated: the residue is a std::int16_t or a std::int8_t");
  static_assert(sizeof(Scalar) == 0 || !detail::sums_are_regrouped,
                "polyak::Compensated: what it keeps would be optimised away under -ffast-math or -fassociative-math; "
                "compile without, or keep the average in a wider type, as Ema<double> does");
  using scalar_type = Scalar;
  using residue_type = Residue;
};

namespace detail {

template <class Shadow>
inline constexpr bool is_compensated = false;
template <class Scalar, class Residue>
inline constexpr bool is_compensated<Compensated<Scalar, Residue>> = true;

/// Whether an averager of this type was named a compensated shadow.
template <class Averager>
inline constexpr bool names_compensated = false;
template <template <class> class Averager, class Shadow>
inline constexpr bool names_compensated<Averager<Shadow>> = is_compensated<Shadow>;

}  // namespace detail
}  // namespace polyak
