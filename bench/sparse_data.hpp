#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <polyak/sparse/sparse_row.hpp>

namespace sparse {

/// Rows like those of RCV1 (Lewis et al. 2004): word counts by a power law, about 70 different features a row, of unit
/// length, with labels ±1 of a linear model and noise.
class Data {
 public:
  Data(std::size_t features, std::size_t rows) : features_(features) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> uniform(0, 1);
    std::normal_distribution<double> normal;
    std::poisson_distribution<std::size_t> count(69);
    // Features stand in no order of frequency, as in a dictionary sorted by name: an odd multiplier permutes them.
    const auto scatter = [features](std::size_t rank) { return rank * 2654435761u % features; };
    std::vector<std::uint32_t> row;
    starts_.push_back(0);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t distinct = 1 + count(random);
      row.clear();
      while (row.size() < distinct) {
        const double rank = std::pow(static_cast<double>(features), uniform(random)) - 1;  // density 1/rank
        const auto feature = static_cast<std::uint32_t>(scatter(static_cast<std::size_t>(rank)));
        if (std::find(row.begin(), row.end(), feature) == row.end()) row.push_back(feature);
      }
      std::sort(row.begin(), row.end());
      double squares = 0;
      double score = normal(random);
      const std::size_t first = values_.size();
      for (const std::uint32_t feature : row) {
        const double value = 0.5 + uniform(random);
        values_.push_back(value);
        squares += value * value;
        score += feature % 3 == 0 ? value / 3 : -value / 6;
      }
      for (std::size_t i = first; i < values_.size(); ++i) values_[i] /= std::sqrt(squares);
      indices_.insert(indices_.end(), row.begin(), row.end());
      labels_.push_back(score > 0 ? 1 : -1);
      starts_.push_back(indices_.size());
    }
  }

  [[nodiscard]] std::size_t features() const noexcept { return features_; }
  [[nodiscard]] std::size_t rows() const noexcept { return labels_.size(); }
  [[nodiscard]] polyak::SparseRow<std::uint32_t, double> row(std::size_t r) const noexcept {
    const std::size_t from = starts_[r];
    const std::size_t n = starts_[r + 1] - from;
    return {std::span(indices_).subspan(from, n), std::span(values_).subspan(from, n)};
  }
  [[nodiscard]] double label(std::size_t r) const noexcept { return labels_[r]; }
  [[nodiscard]] double nonzeros_a_row() const noexcept {
    return static_cast<double>(indices_.size()) / static_cast<double>(rows());
  }

 private:
  std::size_t features_;
  std::vector<std::size_t> starts_;
  std::vector<std::uint32_t> indices_;
  std::vector<double> values_;
  std::vector<double> labels_;
};

/// Of the logistic loss, by the score.
[[nodiscard]] inline double logistic_derivative(double score, double label) noexcept {
  return -label / (1 + std::exp(label * score));
}

}  // namespace sparse
