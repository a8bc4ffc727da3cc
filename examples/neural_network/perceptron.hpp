#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <span>

#include "common/cross_entropy.hpp"
#include "common/dataset.hpp"
#include "neural_network/layers.hpp"

namespace examples::neural_network {

/// Pixels of an image: its inputs but for the 1 at the end, since the layers have biases of their own.
[[nodiscard]] inline Eigen::Index pixels(const Dataset& data) { return data.inputs.rows() - 1; }

/// A two-layer perceptron with its mean cross-entropy over some samples, differentiated by hand. Works in matrices that
/// it keeps, one column a sample: it allocates where there are more samples than ever before, and what Eigen's products
/// do.
template <class Scalar>
class Perceptron {
 public:
  using Matrix = Eigen::MatrixX<Scalar>;

  explicit Perceptron(const Shape& shape) : gradient_(shape) {}

  /// The gradient of the mean cross-entropy over a mini-batch, by back-propagation; valid until the next call.
  const Layers<Scalar>& gradient(const Layers<Scalar>& layers, const Dataset& data,
                                 std::span<const Eigen::Index> batch) {
    const auto size = static_cast<Eigen::Index>(batch.size());
    inputs_.resize(pixels(data), size);
    for (Eigen::Index i = 0; i < size; ++i) {
      inputs_.col(i) = data.inputs.col(sample(batch, i)).head(inputs_.rows()).template cast<Scalar>();
    }
    forward(layers, inputs_);

    // From scores to their derivatives: softmax less one at the label, over the batch.
    for (Eigen::Index i = 0; i < size; ++i) {
      auto scores = scores_.col(i);
      scores = (scores.array() - scores.maxCoeff()).exp();  // the largest becomes 1: no overflow
      scores /= scores.sum();
      scores(data.labels[static_cast<std::size_t>(sample(batch, i))]) -= 1;
    }
    scores_ /= static_cast<Scalar>(size);

    gradient_.W2.noalias() = scores_ * hidden_.transpose();
    gradient_.b2.noalias() = scores_.rowwise().sum();
    back_.noalias() = layers.W2.transpose() * scores_;
    back_.array() *= (hidden_.array() > 0).template cast<Scalar>();
    gradient_.W1.noalias() = back_ * inputs_.transpose();
    gradient_.b1.noalias() = back_.rowwise().sum();
    return gradient_;
  }

  /// Over all samples.
  [[nodiscard]] Evaluation evaluate(const Layers<Scalar>& layers, const Dataset& data) {
    forward(layers, data.inputs.topRows(pixels(data)).template cast<Scalar>());
    return evaluate_scores(scores_, data.labels);
  }

 private:
  static Eigen::Index sample(std::span<const Eigen::Index> batch, Eigen::Index i) {
    return batch[static_cast<std::size_t>(i)];
  }

  template <class Inputs>
  void forward(const Layers<Scalar>& layers, const Inputs& inputs) {
    hidden_.noalias() = layers.W1 * inputs;
    hidden_ = (hidden_.colwise() + layers.b1).cwiseMax(Scalar(0));
    scores_.noalias() = layers.W2 * hidden_;
    scores_.colwise() += layers.b2;
  }

  Matrix inputs_;
  Matrix hidden_;  ///< after the rectifier
  Matrix scores_;  ///< or, on the way back, the derivatives by them
  Matrix back_;    ///< the derivatives by what goes into the rectifier
  Layers<Scalar> gradient_;
};

}  // namespace examples::neural_network
