#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/compiler_vectors.hpp"

// How large a number is, told by its bits: -ffast-math folds `x - x == 0` and std::isfinite to true, and may take any
// comparison with NaN for true.

namespace polyak::detail {

template <FloatingPoint Scalar>
inline constexpr bool wider_than_double = std::numeric_limits<Scalar>::digits > std::numeric_limits<double>::digits;

/// Where in memory the sign and the 15 bits of exponent of an x87 or quadruple number are: at its most significant end,
/// which on little-endian machines comes last, ahead of the padding of x87's 80 bits.
[[nodiscard]] constexpr std::size_t place_of_exponent(int digits, std::endian order) noexcept {
  if (order == std::endian::big) return 0;
  return digits == 64 ? 8 : 14;
}

/// The bits of |x|, or those of its exponent where it is wider than double: integers that grow as |x| does up to
/// infinity, beyond which is NaN.
template <FloatingPoint Scalar>
[[nodiscard, gnu::always_inline]] constexpr auto magnitude(Scalar x) noexcept {
  if constexpr (sizeof(Scalar) == 2) {
    return static_cast<std::uint16_t>(Eigen::numext::bit_cast<std::uint16_t>(x) & 0x7FFF);
  } else if constexpr (wider_than_double<Scalar>) {
    static_assert(std::numeric_limits<Scalar>::max_exponent == 16384);
    constexpr std::size_t at = place_of_exponent(std::numeric_limits<Scalar>::digits, std::endian::native);
    std::uint16_t top = 0;
    std::memcpy(&top, reinterpret_cast<const char*>(&x) + at, sizeof top);
    return static_cast<std::uint16_t>(top & 0x7FFF);
  } else {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    return std::bit_cast<Bits>(x) & (~Bits{0} >> 1);
  }
}
template <FloatingPoint Scalar>
using magnitude_t = decltype(magnitude(Scalar()));
/// The same of 2^exponent, where that is finite, else of infinity.
template <FloatingPoint Scalar, int exponent = std::numeric_limits<Scalar>::max_exponent>
inline constexpr auto magnitude_of_power = static_cast<magnitude_t<Scalar>>(
    static_cast<magnitude_t<Scalar>>((std::min)(exponent, std::numeric_limits<Scalar>::max_exponent) +
                                     std::numeric_limits<Scalar>::max_exponent - 1)
    << (wider_than_double<Scalar> ? 0 : std::numeric_limits<Scalar>::digits - 1));

template <FloatingPoint Scalar>
[[nodiscard, gnu::always_inline]] constexpr bool is_finite(Scalar x) noexcept {
  return magnitude(x) < magnitude_of_power<Scalar>;
}

/// Whether |x| < 2^exponent.
template <int exponent, FloatingPoint Scalar>
[[nodiscard, gnu::always_inline]] constexpr bool is_below(Scalar x) noexcept {
  return magnitude(x) < magnitude_of_power<Scalar, exponent>;
}

/// True if every |x[i]| < 2^exponent; without an exponent, if every x[i] is finite. One pass: where a magnitude is too
/// large, the highest bit of a difference is set.
template <int exponent, FloatingPoint Scalar>
[[nodiscard]] bool all_below(std::span<const Scalar> x) noexcept {
  using Bits = magnitude_t<Scalar>;
  constexpr auto largest = static_cast<Bits>(magnitude_of_power<Scalar, exponent> - 1);
  constexpr auto rest = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1);  // all bits but the highest
  Bits any = 0;
  std::size_t i = 0;
#if defined(__GNUC__)
  if constexpr (sizeof(Bits) == sizeof(Scalar)) {
    constexpr std::size_t n = 64 / sizeof(Bits);  // the compiler takes as many vectors as it needs
    typename VectorOf<Bits, n>::type bits, all{};
    const auto look = [&](std::size_t at) {
      std::memcpy(&bits, x.data() + at, sizeof bits);
      all |= largest - (bits & rest);
    };
    if (x.size() >= n) {  // the last n may have been looked at before: no processor predicts how many would be left
      for (; i + n < x.size(); i += n) look(i);
      look(x.size() - n);
      i = x.size();
    }
    for (std::size_t lane = 0; lane < n; ++lane) any = static_cast<Bits>(any | all[lane]);
  }
#endif
  for (; i < x.size(); ++i) any = static_cast<Bits>(any | (largest - magnitude(x[i])));
  return any <= rest;
}
template <FloatingPoint Scalar>
[[nodiscard]] bool all_finite(std::span<const Scalar> x) noexcept {
  return all_below<std::numeric_limits<Scalar>::max_exponent>(x);
}

}  // namespace polyak::detail
