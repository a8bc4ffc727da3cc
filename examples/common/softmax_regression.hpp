#pragma once

#include <Eigen/Core>

#include <span>

#include "common/cross_entropy.hpp"
#include "common/dataset.hpp"

namespace examples {

/// Multinomial logistic (softmax) regression: class k has probability ∝ exp(w_k · x).
///
/// The weights are one flat vector, w_0 then w_1 and so on, each with its bias last. The loss is the cross-entropy, the
/// mean of −log p(label) over the samples; it is convex.
class SoftmaxRegression {
 public:
  /// `train` must outlive the model.
  explicit SoftmaxRegression(const Dataset& train);

  /// Where training starts: all weights zero.
  [[nodiscard]] Eigen::VectorXf zero_weights() const;

  /// The mean gradient over the samples of a mini-batch, valid until the next call. Allocates where a batch is larger
  /// than all before.
  const Eigen::VectorXf& gradient(const Eigen::VectorXf& weights, std::span<const Eigen::Index> batch);

 private:
  const Dataset& train_;
  Eigen::MatrixXf inputs_;
  Eigen::MatrixXf errors_;
  Eigen::VectorXf gradient_;
};

[[nodiscard]] Evaluation evaluate(const Eigen::VectorXf& weights, const Dataset& data);

/// An average, kept in double, is evaluated as what would be shipped: float weights.
template <class Weights>
[[nodiscard]] Evaluation evaluate(const Eigen::MatrixBase<Weights>& weights, const Dataset& data) {
  return evaluate(Eigen::VectorXf(weights.template cast<float>()), data);
}

}  // namespace examples
