#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/exact_sum.hpp"
#include "polyak/lanes.hpp"

namespace polyak::detail {

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

  static constexpr T power_of_two(int exponent) noexcept {
    return std::bit_cast<T>(static_cast<Bits>(exponent + bias) << mantissa);
  }
  static constexpr Bits exponent = std::bit_cast<Bits>(Limits::infinity());
  /// From here on down the ulp of Shadow stays the same, or the quantum would be subnormal in T.
  static constexpr Bits smallest =
      static_cast<Bits>(std::max(std::numeric_limits<Shadow>::min_exponent, Limits::min_exponent + below) - 1 + bias)
      << mantissa;

  template <class V>
  [[gnu::always_inline]] static V quantum(V s) noexcept {
    const auto power = lanes::bits(s) & exponent;
    const auto least = lanes::all<std::remove_const_t<decltype(power)>>(smallest);
    return lanes::from_bits<V>((power > least ? power : least) - (static_cast<Bits>(below) << mantissa));
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

/// s = θ.
template <FloatingPoint Shadow, class Residue>
struct CompensatedAssign {
  static constexpr std::size_t width = lanes::width<Shadow>;
  Shadow* shadow;
  Residue* residue;

  template <std::size_t N, class W>
  void operator()(lanes::At<N> i, W weight) const noexcept {
    const auto s = lanes::convert<lanes::compute_t<Shadow>>(weight);
    Quanta<Shadow, Residue>::keep(s, decltype(s){}, shadow, residue, i);
  }
};

/// to = s + residue, rounded once: the sum of a float and its residue is exact in double. One of double is not, and
/// goes into a narrower scalar without.
template <FloatingPoint To, FloatingPoint Shadow, class Residue>
struct AssignSum {
  static constexpr std::size_t width = lanes::width<To, Shadow>;
  To* to;
  const Shadow* shadow;
  const Residue* residue;

  template <std::size_t N>
  void operator()(lanes::At<N> i) const noexcept {
    using T = lanes::compute_t<Shadow>;
    using Wider = std::conditional_t<sizeof(To) == 2, double, std::common_type_t<lanes::compute_t<To>, T>>;
    const auto s = lanes::load<T>(shadow, i);
    lanes::store(to, i, lanes::convert<Wider>(s) + lanes::convert<Wider>(Quanta<Shadow, Residue>::rest(residue, i, s)));
  }
};

}  // namespace polyak::detail
