#pragma once

#include <polyak/parameters.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstdint>

#include "neural_network/gaussian.hpp"

namespace examples::neural_network {

struct Shape {
  Eigen::Index inputs = 0;
  Eigen::Index hidden = 0;
  Eigen::Index classes = 10;
};

/// The weights of a two-layer perceptron, or their gradient: inputs x are scored by W2 max(0, W1 x + b1) + b2.
template <class Scalar>
struct Layers {
  using Matrix = Eigen::MatrixX<Scalar>;
  using Vector = Eigen::VectorX<Scalar>;

  Matrix W1;
  Vector b1;
  Matrix W2;
  Vector b2;

  explicit Layers(const Shape& shape)
      : W1(shape.hidden, shape.inputs), b1(shape.hidden), W2(shape.classes, shape.hidden), b2(shape.classes) {}

  [[nodiscard]] Shape shape() const { return {W1.cols(), W1.rows(), W2.rows()}; }

  /// What polyak is handed.
  [[nodiscard]] auto parameters() { return polyak::ParameterSet{W1, b1, W2, b2}; }
  [[nodiscard]] auto parameters() const { return polyak::ParameterSet{W1, b1, W2, b2}; }

  template <class F>
  void for_each_weight(F f) {
    for (const auto block : {polyak::flat(W1), polyak::flat(b1), polyak::flat(W2), polyak::flat(b2)}) {
      for (Scalar& weight : block) f(weight);
    }
  }
};

/// Where training starts: normal weights of variance 2 / inputs of their layer, which keeps the scale of the signal
/// through a rectifier (He et al. 2015), and no biases.
template <class Scalar>
[[nodiscard]] Layers<Scalar> initial_layers(const Shape& shape, std::uint64_t seed) {
  Gaussian gaussian(seed, 0);
  const auto fill = [&](auto& weights) {
    const double deviation = std::sqrt(2 / static_cast<double>(weights.cols()));
    for (Scalar& weight : weights.reshaped()) weight = static_cast<Scalar>(deviation * gaussian());
  };
  Layers<Scalar> layers(shape);
  fill(layers.W1);
  fill(layers.W2);
  layers.b1.setZero();
  layers.b2.setZero();
  return layers;
}

}  // namespace examples::neural_network
