#pragma once

#include "polyak/cpp20.hpp"

#include <Eigen/Core>

namespace polyak::detail {

/// x as it was rounded: under -ffast-math a number of unknown origin, or the compiler might take a + b − a for b.
template <class T>
[[nodiscard, gnu::always_inline]] inline T as_rounded(T x) noexcept {
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)
#if defined(__SSE2__)
  __asm__("" : "+x"(x));  // in a register, where Clang takes Eigen's barrier through memory
#else
  EIGEN_OPTIMIZATION_BARRIER(x)
#endif
#endif
  return x;
}

template <class T>
struct ExactSum {
  T sum;   // a + b, rounded
  T rest;  // what rounding dropped: a + b = sum + rest
};

/// Knuth's exact addition (The Art of Computer Programming, vol. 2, 4.2.2, theorem B), whichever of a and b is larger,
/// and whatever -ffast-math allows. Exact unless the sum overflows.
template <class T>
[[nodiscard, gnu::always_inline]] inline ExactSum<T> exact_sum(T a, T b) noexcept {
#if defined(__clang__)
#pragma clang fp reassociate(off)  // Clang does not say when -fassociative-math is on
#endif
  const T sum = as_rounded(a + as_rounded(b));
  const T added = as_rounded(sum - a);
  return {sum, as_rounded(a - as_rounded(sum - added)) + as_rounded(b - added)};
}

}  // namespace polyak::detail
