#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/exact_sum.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/round.hpp"

namespace polyak::detail {

/// The residue of an average s that is kept in Shadow: a count of quanta of 2^(1−n) ulp of s, n being the bits of
/// Residue. The average proper is the sum of both. With quanta half as large, half an ulp up would not fit where half
/// an ulp down does, and to cut it off is a bias that adds up. All products here are by powers of two and so exact:
/// whether the compiler contracts them is all one.
template <FloatingPoint Shadow, class Residue>
struct Quanta {
  using T = compute_t<Shadow>;

  [[nodiscard, gnu::always_inline]] static T value(Residue residue, T s) noexcept {
    return static_cast<T>(residue) * quantum(s);
  }

  /// Keeps sum + rest, rest being less than an ulp.
  [[gnu::always_inline]] static void keep(T sum, T rest, Shadow& shadow, Residue& residue) noexcept {
    shadow = static_cast<Shadow>(sum);
    const T s = static_cast<T>(shadow);
    if constexpr (!std::is_same_v<Shadow, T>) rest += sum - s;
    // Added to 1.5 · 2^p, a number is rounded to an integer, which the lowest bits then are.
    constexpr T anchor = T(1.5) / Limits::epsilon();
    const T rounded = mul_add(rest, inverse(quantum(s)), anchor);
    residue = static_cast<Residue>(std::bit_cast<Bits>(rounded));
  }

 private:
  using Limits = std::numeric_limits<T>;
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  static constexpr int mantissa = Limits::digits - 1;
  static constexpr int bias = Limits::max_exponent - 1;
  static constexpr int below = std::numeric_limits<Shadow>::digits - 1 + std::numeric_limits<Residue>::digits;

  static constexpr T power_of_two(int exponent) noexcept {
    return std::bit_cast<T>(static_cast<Bits>(exponent + bias) << mantissa);
  }
  /// From here on down the ulp of Shadow stays the same, or the quantum would be subnormal in T.
  static constexpr T smallest =
      power_of_two(std::max(std::numeric_limits<Shadow>::min_exponent, Limits::min_exponent + below) - 1);

  [[nodiscard, gnu::always_inline]] static T quantum(T s) noexcept {
    constexpr Bits exponent = std::bit_cast<Bits>(Limits::infinity());
    const T power = std::bit_cast<T>(std::bit_cast<Bits>(s) & exponent);
    return std::bit_cast<T>(std::bit_cast<Bits>(power > smallest ? power : smallest) -
                            (static_cast<Bits>(below) << mantissa));
  }
  /// Of a power of two.
  [[nodiscard, gnu::always_inline]] static T inverse(T power) noexcept {
    return std::bit_cast<T>((static_cast<Bits>(2 * bias) << mantissa) - std::bit_cast<Bits>(power));
  }
};

/// s += a (θ − s) as Fold does, but with what rounding drops carried over.
template <FloatingPoint Shadow, class Residue>
struct CompensatedFoldKernel {
  static constexpr bool vectorised = vectorises<Shadow>;
  using T = compute_t<Shadow>;
  Shadow* shadow;
  Residue* residue;
  T gain;

  template <FloatingPoint Weight>
  [[gnu::always_inline]] void operator()(std::size_t i, Weight weight) const noexcept {
    const T s = static_cast<T>(shadow[i]);
    const T rest = Quanta<Shadow, Residue>::value(residue[i], s);
    const ExactSum<T> next = exact_sum(s, mul_add(gain, (static_cast<T>(weight) - s) - rest, rest));
    Quanta<Shadow, Residue>::keep(next.sum, next.rest, shadow[i], residue[i]);
  }
};

/// s = θ.
template <FloatingPoint Shadow, class Residue>
struct CompensatedAssign {
  static constexpr bool vectorised = vectorises<Shadow>;
  Shadow* shadow;
  Residue* residue;

  template <FloatingPoint Weight>
  [[gnu::always_inline]] void operator()(std::size_t i, Weight weight) const noexcept {
    Quanta<Shadow, Residue>::keep(static_cast<compute_t<Shadow>>(weight), 0, shadow[i], residue[i]);
  }
};

/// to[i] = s + residue, rounded once: the sum of a float and its residue is exact in double. One of double is not, and
/// goes into a narrower scalar without.
template <FloatingPoint To, FloatingPoint Shadow, class Residue>
struct AssignSum {
  static constexpr bool vectorised = vectorises<To, Shadow>;
  To* to;
  const Shadow* shadow;
  const Residue* residue;

  [[gnu::always_inline]] void operator()(std::size_t i) const noexcept {
    using T = compute_t<Shadow>;
    using Wider = std::conditional_t<sizeof(To) == 2, double, std::common_type_t<compute_t<To>, T>>;
    const T s = static_cast<T>(shadow[i]);
    const Wider sum = static_cast<Wider>(s) + static_cast<Wider>(Quanta<Shadow, Residue>::value(residue[i], s));
    to[i] = round_to<To>(sum);
  }
};

}  // namespace polyak::detail
