#pragma once

namespace polyak::detail {

/// Whether the compiler says that it may regroup sums, as under -ffast-math; then a + b − a is b to it.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)
inline constexpr bool sums_are_regrouped = true;
#else
inline constexpr bool sums_are_regrouped = false;
#endif

/// x as it was rounded, which GCC may not look through; Clang is told where x is used.
template <class T>
[[nodiscard, gnu::always_inline]] inline T as_rounded(T x) noexcept {
#if !defined(__clang__) && (defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__))
  volatile T hidden = x;  // __builtin_assoc_barrier does not hold in vectorised loops (GCC 12)
  return hidden;
#else
  return x;
#endif
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
#pragma clang fp reassociate(off)
#endif
  const T sum = as_rounded(a + b);
  const T added = as_rounded(sum - a);
  return {sum, as_rounded(a - as_rounded(sum - added)) + as_rounded(b - added)};
}

}  // namespace polyak::detail
