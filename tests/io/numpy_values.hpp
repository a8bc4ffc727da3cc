#pragma once

#include <Eigen/Core>

namespace numpy {

/// x[r, c] = r − c/4, as tests/fixtures/numpy_fixtures.py has it.
template <class Matrix>
Matrix values(Eigen::Index rows, Eigen::Index cols) {
  Matrix result(rows, cols);
  for (Eigen::Index r = 0; r < rows; ++r) {
    for (Eigen::Index c = 0; c < cols; ++c) {
      result(r, c) = static_cast<typename Matrix::Scalar>(static_cast<float>(r) - static_cast<float>(c) / 4);
    }
  }
  return result;
}

}  // namespace numpy
