#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/parameters.hpp"

// Scalars and blocks as they lie in files: little-endian, a long double in 16 bytes with its padding zeroed; blocks in
// row-major order, of any number of dimensions.

namespace polyak::detail {

/// What can be an element of an array in a file.
template <class T>
concept FileScalar = FloatingPoint<T> || ((std::integral<T> || std::is_enum_v<T>)&&sizeof(T) <= 8);

/// A long double that is more than a double.
template <class T>
inline constexpr bool is_wide = false;
template <>
inline constexpr bool is_wide<long double> =
    std::numeric_limits<long double>::digits > std::numeric_limits<double>::digits;

/// Bytes of one in a file, and how many of them mean something: a long double of x87 has 10.
template <FileScalar T>
inline constexpr std::size_t bytes_in_file = is_wide<T> ? 16 : sizeof(T);
template <FileScalar T>
inline constexpr std::size_t value_bytes = is_wide<T> && std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T);

/// Memory and file hold the same bytes.
template <FileScalar T>
inline constexpr bool lies_as_in_file =
    (std::endian::native == std::endian::little || sizeof(T) == 1) && value_bytes<T> == bytes_in_file<T>;

/// One scalar in either byte order, and back.
template <FileScalar T>
void encode_one(const T& from, std::byte* to) noexcept {
  std::memset(to, 0, bytes_in_file<T>);
  std::memcpy(to, &from, value_bytes<T>);
  if constexpr (std::endian::native == std::endian::big) std::reverse(to, to + bytes_in_file<T>);
}
template <FileScalar T>
[[nodiscard]] T decode_one(const std::byte* from, bool big_endian = false) noexcept {
  std::array<std::byte, bytes_in_file<T>> bytes;
  std::memcpy(bytes.data(), from, bytes.size());
  if (big_endian != (std::endian::native == std::endian::big)) std::reverse(bytes.begin(), bytes.end());
  if constexpr (std::same_as<T, bool>) return bytes[0] != std::byte{0};
  T x{};
  std::memcpy(static_cast<void*>(&x), bytes.data(), value_bytes<T>);
  return x;
}

/// n scalars, one after the other.
template <FileScalar T>
void decode(const std::byte* from, std::size_t n, T* to) noexcept {
  if constexpr (lies_as_in_file<T> && !std::same_as<T, bool>) {
    if (n > 0) std::memcpy(static_cast<void*>(to), from, n * sizeof(T));
  } else {
    for (std::size_t i = 0; i < n; ++i) to[i] = decode_one<T>(from + i * bytes_in_file<T>);
  }
}
/// Calls f(bytes) with n scalars as they lie in a file, a stretch at a time; copies none that lie so in memory.
template <FileScalar T, class F>
void encode(const T* from, std::size_t n, const F& f) {
  if constexpr (lies_as_in_file<T>) {
    constexpr std::size_t stretch = 128 * 1024 / sizeof(T);
    for (std::size_t at = 0; at < n; at += stretch) f(std::as_bytes(std::span(from + at, (std::min)(stretch, n - at))));
  } else {
    std::array<std::byte, 256 * bytes_in_file<T>> bytes;
    for (std::size_t at = 0; at < n; at += 256) {
      const std::size_t some = (std::min<std::size_t>)(256, n - at);
      for (std::size_t i = 0; i < some; ++i) encode_one(from[at + i], bytes.data() + i * bytes_in_file<T>);
      f(std::span<const std::byte>(bytes.data(), some * bytes_in_file<T>));
    }
  }
}

/// Whether the coordinates of the block would lie the same way in the other storage order.
[[nodiscard]] inline bool lies_in_one_order(const BlockShape& shape) noexcept {
  return shape.rows <= 1 || shape.cols <= 1;
}
/// Where coordinate (r, c) of a block lies.
[[nodiscard]] inline std::size_t index_of(const BlockShape& shape, std::size_t r, std::size_t c) noexcept {
  return shape.row_major ? r * shape.cols + c : c * shape.rows + r;
}

/// How the scalars of an array lie in a file. Of one of another shape than the block it is read into, what both have in
/// common is read: the upper left corner.
struct ArrayOrder {
  bool row_major = true;
  bool big_endian = false;
  const BlockShape* other_shape = nullptr;
};

template <FileScalar T>
void decode_block(const std::byte* from, const ArrayOrder& order, const Block<T>& to) noexcept {
  const BlockShape& shape = to.shape;
  BlockShape in_file = order.other_shape ? *order.other_shape : shape;
  in_file.row_major = order.row_major;
  const bool has_shape = in_file.rows == shape.rows && in_file.cols == shape.cols;
  if (has_shape && !order.big_endian && (shape.row_major == order.row_major || lies_in_one_order(shape))) {
    return decode(from, shape.size(), to.data);
  }
  for (std::size_t c = 0; c < (std::min)(in_file.cols, shape.cols); ++c) {
    for (std::size_t r = 0; r < (std::min)(in_file.rows, shape.rows); ++r) {
      const std::byte* const at = from + index_of(in_file, r, c) * bytes_in_file<T>;
      to.data[index_of(shape, r, c)] = decode_one<T>(at, order.big_endian);
    }
  }
}

/// Calls f(bytes) with the scalars of a block in row-major order, some at a time.
template <FileScalar T, class F>
void encode_row_major(const Block<const T>& block, const F& f) {
  const BlockShape& shape = block.shape;
  if (shape.row_major || lies_in_one_order(shape)) return encode(block.data, shape.size(), f);
  const std::size_t at_a_time = std::clamp<std::size_t>(64 * 1024 / sizeof(T) / shape.cols, 1, shape.rows);
  const std::unique_ptr<T[]> rows(new T[at_a_time * shape.cols]);
  for (std::size_t first = 0; first < shape.rows; first += at_a_time) {
    const std::size_t n = (std::min)(at_a_time, shape.rows - first);
    for (std::size_t c = 0; c < shape.cols; ++c) {
      for (std::size_t r = 0; r < n; ++r) rows[r * shape.cols + c] = block.data[index_of(shape, first + r, c)];
    }
    encode(rows.get(), n * shape.cols, f);
  }
}

/// The dimensions of an array in a file.
using Dimensions = std::vector<std::size_t>;

/// "(2, 3)", as Python writes a shape, "(3,)" where there is one dimension.
[[nodiscard]] inline std::string to_text(const Dimensions& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  return text.append(shape.size() == 1 ? ",)" : ")");
}

/// Parameters that are vectors by their type have one dimension, matrices two. Of a set, blocks of one column have one.
template <ReadableParameters P>
[[nodiscard]] Dimensions dimensions_of(const BlockShape& shape) {
  bool is_vector = shape.cols == 1;
  if constexpr (EigenDense<P>) is_vector = std::remove_cvref_t<P>::IsVectorAtCompileTime;
  if (is_vector) return {shape.size()};
  return {shape.rows, shape.cols};
}

/// Whether an array can be read into a block: a matrix into one of its shape; what is flat but for dimensions of 1, has
/// no dimension, or has more than two, into a row or a column of as many coordinates.
[[nodiscard]] inline bool fits(const Dimensions& array, const BlockShape& shape) noexcept {
  if (array.size() == 2 && array[0] == shape.rows && array[1] == shape.cols) return true;
  if (shape.rows != 1 && shape.cols != 1) return false;
  const auto longer = std::count_if(array.begin(), array.end(), [](std::size_t n) { return n != 1; });
  if (array.size() <= 2 && longer > 1) return false;
  std::size_t left = shape.size();
  for (const std::size_t n : array) {
    if (n == 0) return shape.size() == 0;
    if (left % n != 0) return false;
    left /= n;
  }
  return left == 1;
}

}  // namespace polyak::detail
