#pragma once

#include "polyak/cpp20.hpp"

#include <cmath>
#include <type_traits>

namespace polyak::detail {

/// Whether the processor rounds a·b + c once.
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA)
inline constexpr bool has_fma = true;
#else
inline constexpr bool has_fma = false;
#endif

/// a·b + c, rounded once where the processor can and twice where it cannot, but never left to the compiler: whether it
/// contracts may differ between one place and another, and then results depend on the size of a slice, or on a guard.
template <class T>
[[nodiscard, gnu::always_inline]] inline T mul_add(T a, T b, T c) noexcept {
  if constexpr (has_fma && !std::is_same_v<T, long double>) {
    return std::fma(a, b, c);
  } else {
    return a * b + c;
  }
}

}  // namespace polyak::detail
