#pragma once

#include <Eigen/Core>

#include <concepts>
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

/// Square roots, and numbers in a wider scalar (for which GCC 12 takes several instructions), where there are
/// instructions for so many.
template <class V>
void native_root(V) = delete;
template <class V>
void native_widened(V) = delete;

#if defined(__SSE2__)
[[gnu::always_inline]] inline VectorOf<float, 4>::type native_root(VectorOf<float, 4>::type x) noexcept {
  return _mm_sqrt_ps(x);
}
[[gnu::always_inline]] inline VectorOf<float, 2>::type native_root(VectorOf<float, 2>::type x) noexcept {
  const auto root = _mm_sqrt_ps(_mm_castpd_ps(_mm_set_sd(same_bits<double>(x))));  // stays in a register
  return same_bits<VectorOf<float, 2>::type>(_mm_cvtsd_f64(_mm_castps_pd(root)));
}
[[gnu::always_inline]] inline VectorOf<double, 2>::type native_root(VectorOf<double, 2>::type x) noexcept {
  return _mm_sqrt_pd(x);
}
#endif
#if defined(__AVX__)
[[gnu::always_inline]] inline VectorOf<float, 8>::type native_root(VectorOf<float, 8>::type x) noexcept {
  return _mm256_sqrt_ps(x);
}
[[gnu::always_inline]] inline VectorOf<double, 4>::type native_root(VectorOf<double, 4>::type x) noexcept {
  return _mm256_sqrt_pd(x);
}
[[gnu::always_inline]] inline VectorOf<double, 4>::type native_widened(VectorOf<float, 4>::type x) noexcept {
  return _mm256_cvtps_pd(x);
}
#endif
#if defined(__AVX512F__)  // masks of all lanes, since GCC 12 warns of what is undefined in the forms without
[[gnu::always_inline]] inline VectorOf<float, 16>::type native_root(VectorOf<float, 16>::type x) noexcept {
  return _mm512_maskz_sqrt_ps(0xFFFF, x);
}
[[gnu::always_inline]] inline VectorOf<double, 8>::type native_root(VectorOf<double, 8>::type x) noexcept {
  return _mm512_maskz_sqrt_pd(0xFF, x);
}
[[gnu::always_inline]] inline VectorOf<double, 8>::type native_widened(VectorOf<float, 8>::type x) noexcept {
  return _mm512_maskz_cvtps_pd(0xFF, x);
}
[[gnu::always_inline]] inline VectorOf<double, 8>::type native_widened(VectorOf<std::int16_t, 8>::type x) noexcept {
  return _mm512_maskz_cvtepi32_pd(0xFF, _mm256_cvtepi16_epi32(reinterpret_cast<__m128i>(x)));
}
[[gnu::always_inline]] inline VectorOf<float, 16>::type native_widened(VectorOf<std::int16_t, 16>::type x) noexcept {
  const auto integers = _mm512_maskz_cvtepi16_epi32(0xFFFF, reinterpret_cast<__m256i>(x));
  return _mm512_maskz_cvtepi32_ps(0xFFFF, integers);
}
#endif

/// Signed integers twice as wide as From, or half where To is narrower.
template <class From, class To>
using next_int_t =
    std::conditional_t<(sizeof(To) > sizeof(From)), std::conditional_t<sizeof(From) == 1, std::int16_t, std::int32_t>,
                       std::conditional_t<sizeof(From) == 8, std::int32_t,
                                          std::conditional_t<sizeof(From) == 4, std::int16_t, std::int8_t>>>;

/// The numbers of a vector in the scalar of another, integers by factors of two: GCC 12 takes larger ones number by
/// number.
template <class To, class From>
[[gnu::always_inline]] inline To converted(From x) noexcept {
  using T = typename LaneOf<To>::type;
  using F = typename LaneOf<From>::type;
  using Next = next_int_t<F, T>;
  if constexpr (requires {
                  { native_widened(x) } -> std::same_as<To>;
                }) {
    return native_widened(x);
  } else if constexpr (std::is_integral_v<F> && sizeof(T) != sizeof(F) && (sizeof(T) < 4 || sizeof(F) < 4) &&
                       !std::is_same_v<T, Next>) {
    return converted<To>(__builtin_convertvector(x, typename VectorOf<Next, sizeof(To) / sizeof(T)>::type));
  } else {
    return __builtin_convertvector(x, To);
  }
}

}  // namespace polyak::detail
