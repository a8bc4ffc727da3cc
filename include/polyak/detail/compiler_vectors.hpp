#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"

// What the arithmetic of lanes.hpp takes from the compiler: vectors with operators (GCC, Clang), their bits, and
// instructions of x86-64 that there is no operator for.

namespace polyak::detail {

#if defined(__GNUC__)
template <class T, std::size_t N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
#else
template <class T, std::size_t N>
struct VectorOf;
#endif
template <class T>
struct VectorOf<T, 1> {
  using type = T;
};

template <class V>
struct LaneOf {
  using type = std::remove_cvref_t<decltype(std::declval<V&>()[0])>;
};
template <class T>
  requires(FloatingPoint<T> || std::is_arithmetic_v<T>)
struct LaneOf<T> {
  using type = T;
};

template <class To, class From>
[[gnu::always_inline]] inline To same_bits(const From& from) noexcept {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

/// Signed integers twice as wide as From, or half where To is narrower.
template <class From, class To>
using next_int_t =
    std::conditional_t<(sizeof(To) > sizeof(From)), std::conditional_t<sizeof(From) == 1, std::int16_t, std::int32_t>,
                       std::conditional_t<sizeof(From) == 8, std::int32_t,
                                          std::conditional_t<sizeof(From) == 4, std::int16_t, std::int8_t>>>;

/// Square roots, and numbers in a wider scalar (for which GCC 12 takes several instructions), where there are
/// instructions for so many.
template <class V>
void native_root(V) = delete;
template <class V>
void native_widened(V) = delete;

#if defined(__SSE2__)
template <class V>
  requires(sizeof(V) <= sizeof(__m128))
[[gnu::always_inline]] inline V native_root(V x) noexcept {
  __m128 whole{};
  std::memcpy(&whole, &x, sizeof x);
  constexpr bool single = std::is_same_v<typename LaneOf<V>::type, float>;
  whole = single ? _mm_sqrt_ps(whole) : _mm_castpd_ps(_mm_sqrt_pd(_mm_castps_pd(whole)));
  std::memcpy(&x, &whole, sizeof x);
  return x;
}
#endif
#if defined(__AVX__)
[[gnu::always_inline]] inline auto native_root(VectorOf<float, 8>::type x) noexcept {
  return reinterpret_cast<decltype(x)>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
}
[[gnu::always_inline]] inline auto native_root(VectorOf<double, 4>::type x) noexcept {
  return reinterpret_cast<decltype(x)>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x)));
}
[[gnu::always_inline]] inline auto native_widened(VectorOf<float, 4>::type x) noexcept {
  return reinterpret_cast<VectorOf<double, 4>::type>(_mm256_cvtps_pd(reinterpret_cast<__m128>(x)));
}
#endif
#if defined(__AVX512F__)  // masks of all lanes, since GCC 12 warns of what is undefined in the forms without
[[gnu::always_inline]] inline auto native_root(VectorOf<float, 16>::type x) noexcept {
  return reinterpret_cast<decltype(x)>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x)));
}
[[gnu::always_inline]] inline auto native_root(VectorOf<double, 8>::type x) noexcept {
  return reinterpret_cast<decltype(x)>(_mm512_maskz_sqrt_pd(0xFF, reinterpret_cast<__m512d>(x)));
}
[[gnu::always_inline]] inline auto native_widened(VectorOf<float, 8>::type x) noexcept {
  return reinterpret_cast<VectorOf<double, 8>::type>(_mm512_maskz_cvtps_pd(0xFF, reinterpret_cast<__m256>(x)));
}
[[gnu::always_inline]] inline auto native_widened(VectorOf<std::int16_t, 8>::type x) noexcept {
  const auto integers = _mm256_cvtepi16_epi32(reinterpret_cast<__m128i>(x));
  return reinterpret_cast<VectorOf<double, 8>::type>(_mm512_maskz_cvtepi32_pd(0xFF, integers));
}
[[gnu::always_inline]] inline auto native_widened(VectorOf<std::int16_t, 16>::type x) noexcept {
  const auto integers = _mm512_maskz_cvtepi16_epi32(0xFFFF, reinterpret_cast<__m256i>(x));
  return reinterpret_cast<VectorOf<float, 16>::type>(_mm512_maskz_cvtepi32_ps(0xFFFF, integers));
}
#endif

}  // namespace polyak::detail
