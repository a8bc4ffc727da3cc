#pragma once

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <vector>

namespace examples {

struct Evaluation {
  double loss = 0;      ///< mean cross-entropy
  double accuracy = 0;  ///< share of the samples whose label has the highest score
};

/// Of scores, one column a sample, whose softmax are the probabilities of the classes.
template <class Scores>
[[nodiscard]] Evaluation evaluate_scores(const Eigen::MatrixBase<Scores>& scores, const std::vector<int>& labels) {
  double loss = 0;
  Eigen::Index correct = 0;
  for (Eigen::Index i = 0; i < scores.cols(); ++i) {
    const int label = labels[static_cast<std::size_t>(i)];
    Eigen::Index best = 0;
    const auto highest = scores.col(i).maxCoeff(&best);
    const auto rest = (scores.col(i).array() - highest).exp().sum();
    loss += std::log(static_cast<double>(rest)) + static_cast<double>(highest - scores(label, i));
    correct += best == label;
  }
  const auto n = static_cast<double>(scores.cols());
  return {loss / n, static_cast<double>(correct) / n};
}

}  // namespace examples
