#include "common/softmax_regression.hpp"

namespace examples {

SoftmaxRegression::SoftmaxRegression(const Dataset& train)
    : train_(train), gradient_(train.inputs.rows() * train.classes) {}

Eigen::VectorXf SoftmaxRegression::zero_weights() const { return Eigen::VectorXf::Zero(gradient_.size()); }

const Eigen::VectorXf& SoftmaxRegression::gradient(const Eigen::VectorXf& weights,
                                                   std::span<const Eigen::Index> batch) {
  const Eigen::Index features = train_.inputs.rows();
  const Eigen::Index classes = train_.classes;
  const auto size = static_cast<Eigen::Index>(batch.size());
  inputs_.resize(features, size);
  for (Eigen::Index i = 0; i < size; ++i) inputs_.col(i) = train_.inputs.col(batch[static_cast<std::size_t>(i)]);

  const Eigen::Map<const Eigen::MatrixXf> w(weights.data(), features, classes);
  errors_.noalias() = inputs_.transpose() * w;
  for (Eigen::Index i = 0; i < size; ++i) {
    auto scores = errors_.row(i);
    scores = (scores.array() - scores.maxCoeff()).exp().eval();  // the largest becomes 1: no overflow
    scores /= scores.sum();
    scores(train_.labels[static_cast<std::size_t>(batch[static_cast<std::size_t>(i)])]) -= 1;
  }
  errors_ /= static_cast<float>(size);
  Eigen::Map<Eigen::MatrixXf>(gradient_.data(), features, classes).noalias() = inputs_ * errors_;
  return gradient_;
}

Evaluation evaluate(const Eigen::VectorXf& weights, const Dataset& data) {
  const Eigen::Map<const Eigen::MatrixXf> w(weights.data(), data.inputs.rows(), data.classes);
  const Eigen::MatrixXf scores = w.transpose() * data.inputs;
  return evaluate_scores(scores, data.labels);
}

}  // namespace examples
