#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>  // an order of magnitude less to compile
#endif

namespace polyak::detail {

/// x[i] = √x[i], each rounded correctly. By hand, because std::sqrt may set errno and so keeps loops from being
/// vectorised, and Eigen's float packets trade the last bit and subnormals for speed. N must be a multiple of 16.
template <std::size_t N, class T>
inline void square_roots(T (&x)[N]) noexcept {
  static_assert(N % 16 == 0);
#if defined(__SSE2__)
  if constexpr (std::is_same_v<T, double>) {
#if defined(__AVX512F__)
    for (std::size_t i = 0; i < N; i += 8) _mm512_storeu_pd(x + i, _mm512_maskz_sqrt_pd(0xFF, _mm512_loadu_pd(x + i)));
#elif defined(__AVX__)
    for (std::size_t i = 0; i < N; i += 4) _mm256_storeu_pd(x + i, _mm256_sqrt_pd(_mm256_loadu_pd(x + i)));
#else
    for (std::size_t i = 0; i < N; i += 2) _mm_storeu_pd(x + i, _mm_sqrt_pd(_mm_loadu_pd(x + i)));
#endif
    return;
  } else if constexpr (std::is_same_v<T, float>) {
#if defined(__AVX512F__)
    for (std::size_t i = 0; i < N; i += 16)
      _mm512_storeu_ps(x + i, _mm512_maskz_sqrt_ps(0xFFFF, _mm512_loadu_ps(x + i)));
#elif defined(__AVX__)
    for (std::size_t i = 0; i < N; i += 8) _mm256_storeu_ps(x + i, _mm256_sqrt_ps(_mm256_loadu_ps(x + i)));
#else
    for (std::size_t i = 0; i < N; i += 4) _mm_storeu_ps(x + i, _mm_sqrt_ps(_mm_loadu_ps(x + i)));
#endif
    return;
  }
#endif
  for (T& each : x) each = std::sqrt(each);
}

}  // namespace polyak::detail
