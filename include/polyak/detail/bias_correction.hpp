#pragma once

#include "polyak/detail/serialize.hpp"

namespace polyak::detail {

/// W_k = β_k W_{k−1} + (1 − β_k), W_0 = 0: the weight that a zero start has left to the inputs, 1 − β^k for a fixed β.
/// Kept as a sum of two doubles, because for β = 1 − 1e-6 it is the sum of millions of small terms.
class BiasCorrection {
 public:
  /// Takes c = 1 − β_k and returns W_k, to about an ulp.
  double advance(double c) noexcept {
    if (weight_ == 1) return 1;
    // W + c (1 − W), with what rounding drops (Knuth's exact addition) carried over. Once W rounds to 1 it stays there:
    // what is missing no longer counts, and left alone it would shrink into slow subnormals.
    const double term = c * ((1 - weight_) - error_) + error_;
    const double weight = weight_ + term;
    const double added = weight - weight_;
    error_ = weight == 1 ? 0 : (weight_ - (weight - added)) + (term - added);
    weight_ = weight;
    return weight;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_value(archive, weight_);
    serialize_value(archive, error_);
  }

 private:
  double weight_ = 0;
  double error_ = 0;
};

}  // namespace polyak::detail
