#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "polyak/concepts.hpp"
#include "polyak/detail/finite.hpp"

// Eigen takes a double into 16 bits by way of float, and so rounds it twice: 1 + 2^−11 + 2^−40 is 1 + 2^−11 in float,
// which is a tie and becomes 1 in half, where 1 + 2^−10 is nearer.

namespace polyak::detail {

/// x rounded to odd (Boldo & Melquiond 2008): to 13 bits, the last of which is set where anything was dropped. That is
/// two bits more than a half has, so what is left lies on the same side of every tie as x; and it fits into a float, or
/// is too large or too small for 16 bits anyhow. By bits, so that compilers vectorise it and -ffast-math leaves it.
[[nodiscard, gnu::always_inline]] inline double rounded_to_odd(double x) noexcept {
  constexpr std::uint64_t last = std::uint64_t{1} << 40;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::uint64_t kept = bits & ~(last - 1);
  return std::bit_cast<double>(bits == kept ? kept : kept | last);
}
/// The same, by way of the doubles next to x, of which one is odd.
[[nodiscard]] inline double rounded_to_odd(long double x) noexcept {
  const auto nearest = static_cast<double>(x);
  if (!is_finite(x)) return nearest;
  const auto back = static_cast<long double>(nearest);
  auto bits = std::bit_cast<std::uint64_t>(nearest);
  if (std::abs(back) > std::abs(x)) --bits;
  if (back != x) bits |= 1;
  return rounded_to_odd(std::bit_cast<double>(bits));
}

/// x in another scalar, rounded once, to nearest and in a tie to even.
template <FloatingPoint To, FloatingPoint From>
[[nodiscard, gnu::always_inline]] inline To round_to(From x) noexcept {
  if constexpr (sizeof(To) == 2 && sizeof(From) > sizeof(float)) {
    return static_cast<To>(static_cast<float>(rounded_to_odd(x)));
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace polyak::detail
