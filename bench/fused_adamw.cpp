#include "fused_adamw.hpp"

#include <cmath>

template <class Scalar>
void fused_adamw_ema(Scalar* __restrict weights, const Scalar* __restrict gradient, Scalar* __restrict moment,
                     Scalar* __restrict square, Scalar* __restrict shadow, std::size_t n, const AdamWEma& constants) {
  const auto rate = Scalar(constants.learning_rate / constants.correction1);
  const auto keep = Scalar(1 - constants.learning_rate * constants.weight_decay);
  const auto beta1 = Scalar(constants.beta1), intake1 = Scalar(1 - constants.beta1);
  const auto beta2 = Scalar(constants.beta2), intake2 = Scalar(1 - constants.beta2);
  const auto root = Scalar(constants.root_correction2), epsilon = Scalar(constants.epsilon);
  const auto gain = Scalar(constants.gain);
  for (std::size_t i = 0; i < n; ++i) {
    const Scalar g = gradient[i];
    const Scalar m = moment[i] = beta1 * moment[i] + intake1 * g;
    const Scalar v = square[i] = beta2 * square[i] + intake2 * g * g;
    const Scalar w = weights[i] = keep * weights[i] - rate * (m / (std::sqrt(v) / root + epsilon));
    shadow[i] += gain * (w - shadow[i]);
  }
}

template void fused_adamw_ema<float>(float*, const float*, float*, float*, float*, std::size_t, const AdamWEma&);
template void fused_adamw_ema<double>(double*, const double*, double*, double*, double*, std::size_t, const AdamWEma&);
