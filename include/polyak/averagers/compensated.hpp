#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/exact_sum.hpp"
#include "polyak/lanes.hpp"

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
/// average() is a vector of Scalar; copy_average_to wider parameters copies the residue as well. Holds under
/// -ffast-math.
template <FloatingPoint Scalar, class Residue = std::int16_t>
struct Compensated {
  static_assert(!std::same_as<Scalar, long double>,
                "polyak::Compensated: a long double shadow has no room for more, name a narrower one");
  static_assert(std::same_as<Residue, std::int16_t> || std::same_as<Residue, std::int8_t>,
                "polyak::Compensated: the residue is a std::int16_t or a std::int8_t");
  using scalar_type = Scalar;
  using residue_type = Residue;  ///< std::int16_t, or std::int8_t
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

/// The residue of an average s that is kept in Shadow: a count of quanta of 2^(1−n) ulp of s, n being the bits of
/// Residue. The average proper is the sum of both. With quanta half as large, half an ulp up would not fit where half
/// an ulp down does, and to cut it off is a bias that adds up. All products here are by powers of two and so exact:
/// whether the compiler contracts them is all one.
template <FloatingPoint Shadow, class Residue>
struct Quanta {
  using T = lanes::compute_t<Shadow>;

  /// What the residues of the averages s add to them.
  template <std::size_t N, class V>
  [[gnu::always_inline]] static V rest(const Residue* residue, lanes::At<N> i, V s) noexcept {
    return lanes::convert<T>(lanes::load(residue, i)) * quantum(s);
  }
  /// Keeps sum + rest, rest being less than an ulp.
  template <std::size_t N, class V>
  [[gnu::always_inline]] static void keep(V sum, V rest, Shadow* shadow, Residue* residue, lanes::At<N> i) noexcept {
    const V s = lanes::convert<T>(lanes::store(shadow, i, sum));
    if constexpr (!std::is_same_v<Shadow, T>) rest += sum - s;
    // Added to 1.5 · 2^p, a number is rounded to an integer, which the lowest bits then are.
    constexpr T anchor = T(1.5) / Limits::epsilon();
    const V rounded = lanes::mul_add(rest, inverse(quantum(s)), lanes::all<V>(anchor));
    lanes::store(residue, i, lanes::convert<Residue>(lanes::bits(rounded)));
  }

 private:
  using Limits = std::numeric_limits<T>;
  using Bits = lanes::bits_t<T>;
  static constexpr int mantissa = Limits::digits - 1;
  static constexpr int bias = Limits::max_exponent - 1;
  static constexpr int below = std::numeric_limits<Shadow>::digits - 1 + std::numeric_limits<Residue>::digits;

  static constexpr Bits exponent = std::bit_cast<Bits>(Limits::infinity());
  /// From here on down the ulp of Shadow stays the same, or the quantum would be subnormal in T.
  static constexpr T smallest = std::bit_cast<T>(
      static_cast<Bits>((std::max)(std::numeric_limits<Shadow>::min_exponent, Limits::min_exponent + below) - 1 + bias)
      << mantissa);

  template <class V>
  [[gnu::always_inline]] static V quantum(V s) noexcept {
    const V power = lanes::larger(lanes::from_bits<V>(lanes::bits(s) & exponent), lanes::all<V>(smallest));
    return lanes::from_bits<V>(lanes::bits(power) - (static_cast<Bits>(below) << mantissa));
  }
  /// Of powers of two.
  template <class V>
  [[gnu::always_inline]] static V inverse(V power) noexcept {
    return lanes::from_bits<V>((static_cast<Bits>(2 * bias) << mantissa) - lanes::bits(power));
  }
};

/// s += a (θ − s) as FoldKernel does, but with what rounding drops carried over.
template <FloatingPoint Shadow, class Residue>
struct CompensatedFoldKernel {
  static constexpr std::size_t width = lanes::width<Shadow>;
  using T = lanes::compute_t<Shadow>;
  Shadow* shadow;
  Residue* residue;
  T gain;

  template <std::size_t N, class W>
  void operator()(lanes::At<N> i, W weight) const noexcept {
    const auto s = lanes::load<T>(shadow, i);
    const auto rest = Quanta<Shadow, Residue>::rest(residue, i, s);
    const auto next = exact_sum(s, lanes::mul_add(gain, (lanes::convert<T>(weight) - s) - rest, rest));
    Quanta<Shadow, Residue>::keep(next.sum, next.rest, shadow, residue, i);
  }
};

}  // namespace detail
}  // namespace polyak
