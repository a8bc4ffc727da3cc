#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/io/detail/scalar_type.hpp"
#include "polyak/parameters.hpp"

// Matrices in files that have an order, a byte order or a number of dimensions of their own.

namespace polyak::detail {

/// Whether the coordinates of the block would lie the same way in the other storage order.
[[nodiscard]] inline bool lies_in_one_order(const BlockShape& shape) noexcept {
  return shape.rows <= 1 || shape.cols <= 1;
}

/// "2 x 3 row-major"
[[nodiscard]] inline std::string to_text(const BlockShape& shape) {
  return std::to_string(shape.rows) + " x " + std::to_string(shape.cols) +
         (shape.row_major && !lies_in_one_order(shape) ? " row-major" : "");
}

/// Where coordinate (r, c) of a block lies.
[[nodiscard]] inline std::size_t index_of(const BlockShape& shape, std::size_t r, std::size_t c) noexcept {
  return shape.row_major ? r * shape.cols + c : c * shape.rows + r;
}

/// A file's scalars into a block of the same shape: from row-major order or column-major, little-endian or big-endian.
template <FileScalar T>
void decode_block(const std::byte* from, bool row_major, bool big_endian, const Block<T>& to) noexcept {
  constexpr std::size_t width = size_of(scalar_type_of<T>());
  const BlockShape& shape = to.shape;
  if (!big_endian && (shape.row_major == row_major || lies_in_one_order(shape))) {
    return decode(from, shape.size(), to.data);
  }
  const BlockShape in_file{shape.rows, shape.cols, row_major};
  for (std::size_t c = 0; c < shape.cols; ++c) {
    for (std::size_t r = 0; r < shape.rows; ++r) {
      std::array<std::byte, width> bytes;
      std::memcpy(bytes.data(), from + index_of(in_file, r, c) * width, width);
      if (big_endian) std::reverse(bytes.begin(), bytes.end());
      to.data[index_of(shape, r, c)] = decode_one<T>(bytes.data());
    }
  }
}

/// Calls f(bytes) with the scalars of a block in row-major order, little-endian, some at a time.
template <FileScalar T, class F>
void encode_row_major(const Block<const T>& block, F f) {
  const BlockShape& shape = block.shape;
  if (shape.row_major || lies_in_one_order(shape)) return encode_in_stretches(block.data, shape.size(), f);
  const std::size_t at_a_time = std::clamp<std::size_t>(128 * 1024 / sizeof(T) / shape.cols, 1, shape.rows);
  std::vector<T> rows(at_a_time * shape.cols);
  for (std::size_t first = 0; first < shape.rows; first += at_a_time) {
    const std::size_t n = std::min(at_a_time, shape.rows - first);
    for (std::size_t c = 0; c < shape.cols; ++c) {
      for (std::size_t r = 0; r < n; ++r) rows[r * shape.cols + c] = block.data[index_of(shape, first + r, c)];
    }
    encode_in_stretches(rows.data(), n * shape.cols, f);
  }
}

/// "(2, 3)", as Python writes a shape, "(3,)" where there is one dimension.
[[nodiscard]] inline std::string tuple_text(std::span<const std::size_t> shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  return text.append(shape.size() == 1 ? ",)" : ")");
}

/// Parameters that are vectors by their type have one dimension, matrices two.
template <Scalars P>
[[nodiscard]] std::vector<std::size_t> dimensions_of(const BlockShape& shape) {
  constexpr bool vector = [] {
    if constexpr (EigenDense<P>) {
      return bool(std::remove_cvref_t<P>::IsVectorAtCompileTime);
    } else {
      return true;
    }
  }();
  if (vector) return {shape.size()};
  return {shape.rows, shape.cols};
}

/// Whether an array of these dimensions can be read into a block: one dimension into a row or a column, two into a
/// matrix of just these.
[[nodiscard]] inline bool fits(std::span<const std::size_t> dimensions, const BlockShape& shape) noexcept {
  if (dimensions.size() == 1) return dimensions[0] == shape.size() && (shape.rows == 1 || shape.cols == 1);
  return dimensions.size() == 2 && dimensions[0] == shape.rows && dimensions[1] == shape.cols;
}

}  // namespace polyak::detail
