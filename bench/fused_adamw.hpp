#pragma once

#include <cstddef>

/// AdamW and an EMA of the weights by hand, in one loop over arrays known to be apart; the coefficients are given. Its
/// file is compiled without errno, since a loop with std::sqrt is vectorised in no other way.
struct AdamWEma {
  double learning_rate, weight_decay, beta1, beta2, epsilon;
  double correction1, root_correction2;  // 1 − β₁^t, √(1 − β₂^t)
  double gain;
};

template <class Scalar>
void fused_adamw_ema(Scalar* weights, const Scalar* gradient, Scalar* moment, Scalar* square, Scalar* shadow,
                     std::size_t n, const AdamWEma& constants);
