#pragma once

#include <Eigen/Core>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#if !defined(__FAST_MATH__)
#error "compile this with -ffast-math"
#endif

// -ffast-math lets the compiler assume that there is no NaN and no infinity; they must be found all the same.

namespace fast_math {

/// NaN and the infinities, out of the compiler's sight, or it would fold what it believes impossible.
template <class Scalar>
std::vector<Scalar> not_finite() {
  std::vector<Scalar> result;
  if constexpr (sizeof(Scalar) == 2) {
    constexpr bool half = std::is_same_v<Scalar, Eigen::half>;
    for (const int bits : {half ? 0x7E00 : 0x7FC0, half ? 0x7C00 : 0x7F80, half ? 0xFC00 : 0xFF80}) {
      result.push_back(Eigen::numext::bit_cast<Scalar>(static_cast<std::uint16_t>(bits)));
    }
  } else {
    using Limits = std::numeric_limits<Scalar>;
    volatile Scalar nan = Limits::quiet_NaN(), up = Limits::infinity(), down = -Limits::infinity();
    result = {nan, up, down};
  }
  return result;
}

}  // namespace fast_math
