#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/compiler_vectors.hpp"
#include "polyak/detail/mul_add.hpp"
#include "polyak/detail/round.hpp"

/// The arithmetic of a step, for as many coordinates at once as the processor has lanes, or for one, with the same
/// bits. What is done to a coordinate is written once, as a kernel: a function of At<N>, with + − × ÷, comparisons, ?:
/// and the functions below.
///
///     static constexpr std::size_t width = lanes::width<float>;
///     template <std::size_t N>
///     void operator()(lanes::At<N> i) const noexcept {  // θ ← θ − η g
///       lanes::store(params, i, lanes::mul_add(-rate, lanes::load(grad, i), lanes::load(params, i)));
///     }
///
/// A kernel without a width is called with one coordinate at a time, and may take its index. Vectors are the compiler's
/// (GCC, Clang), of the sizes of Eigen's packets, whose functions they use where there is no operator.

namespace polyak::lanes {

/// The N coordinates from `first` on.
template <std::size_t N>
struct At {
  static constexpr std::size_t count = N;  ///< coordinates
  std::size_t first;                       ///< their first index

  /// The index of one.
  constexpr operator std::size_t() const noexcept
    requires(N == 1)
  {
    return first;
  }
};

/// The type a coordinate is computed in: 16-bit scalars are storage only.
template <FloatingPoint Scalar>
using compute_t = std::conditional_t<sizeof(Scalar) == 2, float, Scalar>;

/// How many coordinates are worked on at once where they are kept in these scalars.
template <FloatingPoint... Scalars>
inline constexpr std::size_t width = (std::min)({[] {
#if defined(__GNUC__)
  constexpr bool has_packets = std::is_same_v<Scalars, float> || std::is_same_v<Scalars, double>;
  if constexpr (has_packets) return std::size_t{Eigen::internal::packet_traits<Scalars>::size};
#endif
  return std::size_t{1};
}()...});

/// That of a kernel: its own, or one.
template <class Kernel>
inline constexpr std::size_t width_of = 1;
/// That of a kernel which names it.
template <class Kernel>
  requires requires { Kernel::width; }
inline constexpr std::size_t width_of<Kernel> = Kernel::width;

/// N numbers, or for N = 1 just one.
template <class T, std::size_t N>
using Packet = typename detail::VectorOf<T, N>::type;
/// The scalar of a packet, how many there are, and Eigen's type for as many.
///@{
template <class V>
using lane_t = typename detail::LaneOf<V>::type;
template <class V>
inline constexpr std::size_t count_of = sizeof(V) / sizeof(lane_t<V>);
template <class V>
using eigen_packet_t = typename Eigen::internal::find_best_packet<lane_t<V>, int{count_of<V>}>::type;
///@}

/// x in all lanes.
template <class V>
[[gnu::always_inline]] inline V all(lane_t<V> x) noexcept {
  if constexpr (count_of<V> == 1) return x;
  return x - V{};
}

/// In another scalar: floating-point numbers rounded once, integers cut off where it is narrower.
template <class To, class V>
[[gnu::always_inline]] inline auto convert(V x) noexcept {
  using From = lane_t<V>;
  constexpr std::size_t n = count_of<V>;
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (n == 1 && std::is_integral_v<From>) {
    return static_cast<To>(x);
  } else if constexpr (n == 1) {
    return detail::round_to<To>(x);
  } else {
    return detail::converted<Packet<To, n>>(x);
  }
}

/// The bits of float or double as unsigned integers, and back.
///@{
template <class T>
using bits_t = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
template <class V>
[[gnu::always_inline]] inline auto bits(V x) noexcept {
  return detail::same_bits<Packet<bits_t<lane_t<V>>, count_of<V>>>(x);
}
template <class V, class Bits>
[[gnu::always_inline]] inline V from_bits(Bits bits) noexcept {
  return detail::same_bits<V>(bits);
}
///@}

/// Numbers from memory, in another scalar where To is named, or from what stands for memory and has load<To>(at).
template <class To = void, class From, std::size_t N>
[[gnu::always_inline]] inline auto load(const From& from, At<N> at) noexcept {
  if constexpr (!std::is_pointer_v<From>) {
    return from.template load<To>(at);
  } else {
    using T = std::remove_cvref_t<decltype(*from)>;
    Packet<T, N> x;
    std::memcpy(&x, from + at.first, sizeof x);
    return convert<std::conditional_t<std::is_void_v<To>, T, To>>(x);
  }
}
/// Returns what was stored: the numbers, rounded to the scalar of the memory.
template <class To, std::size_t N, class V>
[[gnu::always_inline]] inline Packet<To, N> store(To* to, At<N> at, V x) noexcept {
  const Packet<To, N> stored = convert<To>(x);
  std::memcpy(to + at.first, &stored, sizeof stored);
  return stored;
}

/// a·b + c, rounded once where the processor can and twice where it cannot, whatever the compiler would do.
template <class A, class V>
[[gnu::always_inline]] inline V mul_add(A a, V b, std::type_identity_t<V> c) noexcept {
  if constexpr (!std::is_same_v<A, V>) {
    return mul_add(all<V>(a), b, c);
  } else if constexpr (count_of<V> == 1) {
    return detail::mul_add(a, b, c);
  } else if constexpr (detail::has_fma) {
    using P = eigen_packet_t<V>;
    const P x = detail::same_bits<P>(a), y = detail::same_bits<P>(b), z = detail::same_bits<P>(c);
    return detail::same_bits<V>(Eigen::internal::pmadd(x, y, z));
  } else {
    return a * b + c;
  }
}

/// The larger of two numbers, none of which is NaN.
template <class V>
[[gnu::always_inline]] inline V larger(V a, V b) noexcept {
  if constexpr (sizeof(eigen_packet_t<V>) == sizeof(V)) {
    using P = eigen_packet_t<V>;
    return detail::same_bits<V>(Eigen::internal::pmax(detail::same_bits<P>(a), detail::same_bits<P>(b)));
  } else {
    return a > b ? a : b;
  }
}

/// √x, rounded correctly: Eigen's own trades the last bit and subnormals for speed.
template <class V>
[[gnu::always_inline]] inline V square_root(V x) noexcept {
  if constexpr (count_of<V> == 1) {
    return std::sqrt(x);
  } else if constexpr (requires { detail::native_root(x); }) {
    return detail::native_root(x);
  } else {
    for (std::size_t i = 0; i < count_of<V>; ++i) x[i] = std::sqrt(x[i]);
    return x;
  }
}

/// Calls kernel(At<N>{i}) for i = 0, N, 2N, …, N being its width unless another is named, and for what is left one by
/// one.
template <std::size_t Named = 0, class Kernel>
[[gnu::always_inline]] inline void for_each(std::size_t n, const Kernel& kernel) noexcept {
  constexpr std::size_t N = Named == 0 ? width_of<Kernel> : Named;
  std::size_t i = 0;
  if constexpr (N > 1) {
    for (; i + N <= n; i += N) kernel(At<N>{i});
  }
  for (; i < n; ++i) {
    kernel(At<1>{i});
#if defined(__GNUC__)
    if constexpr (N > 1) __asm__ volatile("");  // few are left: nothing for the compiler to make vectors of
#endif
  }
}

/// to[i] = from[i], rounded where the scalar is narrower.
template <FloatingPoint To, FloatingPoint From>
[[gnu::flatten]] void copy(To* to, const From* from, std::size_t n) noexcept {
  for_each<width<To, From>>(n, [to, from](auto i) noexcept { store(to, i, load(from, i)); });
}

}  // namespace polyak::lanes
