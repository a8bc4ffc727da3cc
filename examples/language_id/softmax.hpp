#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace examples::language_id {

/// The probabilities of the classes, from their scores; may be done in place.
inline void softmax(std::span<const double> scores, std::span<double> probabilities) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) sum += probabilities[i] = std::exp(scores[i] - highest);
  for (double& probability : probabilities) probability /= sum;
}

/// −log of the probability of a class, also where that is too small for a double.
[[nodiscard]] inline double cross_entropy(std::span<const double> scores, std::size_t label) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - highest);
  return std::log(sum) + highest - scores[label];
}

}  // namespace examples::language_id
