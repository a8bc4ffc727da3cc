#pragma once

#include <algorithm>
#include <limits>

#include "polyak/detail/exact_sum.hpp"
#include "polyak/detail/mul_add.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak::detail {

/// W_k = β_k W_{k−1} + (1 − β_k), W_0 = 0: the weight that a zero start has left to the inputs, 1 − β^k for a fixed β.
/// Kept as a sum of two doubles, because for β = 1 − 1e-6 it is the sum of millions of small terms.
class BiasCorrection {
 public:
  /// Takes c = 1 − β_k and returns W_k, to about an ulp.
  double advance(double c) noexcept {
    if (weight_ == 1) return 1;
    // W + c (1 − W), with what rounding drops carried over. Once W rounds to 1 it stays there: what is missing no
    // longer counts, and left alone it would shrink into slow subnormals.
    const ExactSum<double> next = exact_sum(weight_, mul_add(c, (1 - weight_) - error_, error_));
    weight_ = next.sum;
    error_ = weight_ == 1 ? 0 : next.rest;
    return weight_;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_value(archive, "weight", weight_);
    serialize_value(archive, "error", error_);
  }

 private:
  double weight_ = 0;
  double error_ = 0;
};

/// The ρε of √v + ρε, for the ρ = √(1 − β₂^t) of Adam: not 0 where ε is not.
template <class T>
[[nodiscard]] T scaled_epsilon(double epsilon, double root) noexcept {
  return (std::max)(T(epsilon * root), (std::min)(T(epsilon), (std::numeric_limits<T>::min)()));
}

}  // namespace polyak::detail
