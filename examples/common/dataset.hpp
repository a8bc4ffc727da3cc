#pragma once

#include <Eigen/Core>

#include <string>
#include <vector>

namespace examples {

/// Samples of a classification problem. One column of `inputs` is one sample: its pixels in [0, 1], then a 1 that
/// carries the bias, so that a class is scored by a single inner product.
struct Dataset {
  Eigen::MatrixXf inputs;
  std::vector<int> labels;  ///< in [0, classes)
  int classes = 10;

  [[nodiscard]] Eigen::Index samples() const { return inputs.cols(); }
};

struct TrainTest {
  std::string name;
  Dataset train;
  Dataset test;
};

}  // namespace examples
