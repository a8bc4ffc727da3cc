#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "polyak/concepts.hpp"

// Whether a number is finite, by the bits of its exponent: `x - x == 0` and std::isfinite are both folded to true under
// -ffast-math.

namespace polyak::detail {

[[nodiscard, gnu::always_inline]] constexpr bool is_finite(double x) noexcept {
  constexpr std::uint64_t exponent = 0x7FF0'0000'0000'0000;
  return (std::bit_cast<std::uint64_t>(x) & exponent) != exponent;
}
[[nodiscard, gnu::always_inline]] constexpr bool is_finite(float x) noexcept {
  constexpr std::uint32_t exponent = 0x7F80'0000;
  return (std::bit_cast<std::uint32_t>(x) & exponent) != exponent;
}
[[nodiscard]] inline bool is_finite(Eigen::half x) noexcept {
  return (Eigen::numext::bit_cast<std::uint16_t>(x) & 0x7C00) != 0x7C00;
}
[[nodiscard]] inline bool is_finite(Eigen::bfloat16 x) noexcept {
  return (Eigen::numext::bit_cast<std::uint16_t>(x) & 0x7F80) != 0x7F80;
}
[[nodiscard]] inline bool is_finite(long double x) noexcept {
  using Limits = std::numeric_limits<long double>;
  if constexpr (Limits::digits == std::numeric_limits<double>::digits) {
    return is_finite(static_cast<double>(x));
  } else {
    // x87 and quadruple precision alike end, in little-endian memory, in a sign and 15 bits of exponent.
    static_assert(Limits::max_exponent == 16384 && std::endian::native == std::endian::little);
    constexpr std::size_t at = Limits::digits == 64 ? 8 : 14;
    std::uint16_t top;
    std::memcpy(&top, reinterpret_cast<const char*>(&x) + at, sizeof top);
    return (top & 0x7FFF) != 0x7FFF;
  }
}

/// True if every x[i] is finite. One pass, vectorised.
template <FloatingPoint Scalar>
[[nodiscard]] bool all_finite(std::span<const Scalar> x) noexcept {
  constexpr std::size_t stretch = 256;  // long enough to vectorise, short enough to stop early
  for (std::size_t from = 0; from < x.size(); from += stretch) {
    const std::size_t end = std::min(from + stretch, x.size());
    unsigned bad = 0;
    for (std::size_t i = from; i < end; ++i) bad |= is_finite(x[i]) ? 0u : 1u;
    if (bad != 0) return false;
  }
  return true;
}

}  // namespace polyak::detail
