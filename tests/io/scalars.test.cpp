#include <polyak/io/detail/scalars.hpp>
#include <polyak/io/detail/tensors.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "holders.hpp"

// Numbers and blocks as they lie in files.

using namespace polyak;
using detail::bytes_in_file;
using detail::Dimensions;
using detail::dtype_of;

namespace {

constexpr bool has_x87 = std::numeric_limits<long double>::digits == 64;

enum class Small : std::int8_t {};

template <detail::FileScalar T>
std::vector<std::byte> encoded(const T* from, std::size_t n) {
  std::vector<std::byte> bytes;
  detail::encode(from, n,
                 [&](std::span<const std::byte> some) { bytes.insert(bytes.end(), some.begin(), some.end()); });
  return bytes;
}

}  // namespace

TEST_CASE("Numbers have the dtype of their kind and width", "[io]") {
  static_assert(dtype_of<double>() == "F64" && dtype_of<float>() == "F32" && dtype_of<Eigen::half>() == "F16");
  static_assert(dtype_of<Eigen::bfloat16>() == "BF16" && dtype_of<bool>() == "BOOL" && dtype_of<char>().ends_with("8"));
  static_assert(dtype_of<std::uint8_t>() == "U8" && dtype_of<std::uint16_t>() == "U16");
  static_assert(dtype_of<std::uint32_t>() == "U32" && dtype_of<std::uint64_t>() == "U64");
  static_assert(dtype_of<std::int8_t>() == "I8" && dtype_of<std::int16_t>() == "I16");
  static_assert(dtype_of<std::int32_t>() == "I32" && dtype_of<std::int64_t>() == "I64" && dtype_of<Small>() == "I8");
  constexpr bool is_wide = detail::is_wide<long double>;
  static_assert(dtype_of<long double>() == (is_wide ? "U8" : "F64"));
  static_assert(bytes_in_file<long double> == (is_wide ? 16 : 8));
  static_assert(detail::note_of<long double>() == (has_x87   ? "float80 in 16 bytes"
                                                   : is_wide ? "float128 in 16 bytes"
                                                             : ""));
  static_assert(detail::note_of<double>().empty());
  static_assert(!detail::FileScalar<std::string> && !detail::FileScalar<double*>);

  std::string sizes;
  for (const std::string dtype :
       {"F64", "F32", "F16",  "BF16", "I64",     "I32",     "I16",     "I8",      "U64",     "U32",
        "U16", "U8",  "BOOL", "C64",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4"}) {
    sizes += std::to_string(detail::bits_of(dtype).value_or(0)) + ' ';
  }
  CHECK(sizes == "64 32 16 16 64 32 16 8 64 32 16 8 8 64 8 8 8 6 6 4 ");
  CHECK(!detail::bits_of("F128"));
  CHECK(!detail::bits_of("f32"));
}

TEST_CASE("Numbers are handed on in stretches, to the last", "[io]") {
  const auto comes_back = [](auto zero, std::size_t n) {
    using T = decltype(zero);
    std::vector<T> from(n), to(n);
    for (std::size_t i = 0; i < n; ++i) from[i] = static_cast<T>(i + 1);
    const std::vector<std::byte> bytes = encoded(from.data(), n);
    if (bytes.size() != n * bytes_in_file<T>) return false;
    detail::decode(bytes.data(), n, to.data());
    return from == to;
  };
  for (const std::size_t n : {0u, 1u, 2u, 255u, 256u, 257u, 512u, 20'000u, 140'000u}) {
    CHECK((comes_back(0.0, n) && comes_back(0.0L, n) && comes_back(std::uint8_t{0}, n) && comes_back(short{0}, n)));
  }
}

TEST_CASE("Numbers are read in either byte order", "[io]") {
  const auto bytes = std::to_array<std::byte>({std::byte{0x3F}, std::byte{0x80}, std::byte{0}, std::byte{1}});
  CHECK(detail::decode_one<std::uint32_t>(bytes.data(), true) == 0x3F80'0001u);
  CHECK(detail::decode_one<std::uint32_t>(bytes.data()) == 0x0100'803Fu);
  CHECK(detail::decode_one<float>(bytes.data(), true) == 1 + 0x1p-23f);
  CHECK(detail::decode_one<bool>(bytes.data()));
  CHECK(!detail::decode_one<bool>(bytes.data() + 2));
}

TEST_CASE("What pads a long double is 0 in a file", "[io]") {
  if (!has_x87) return;
  alignas(long double) unsigned char memory[sizeof(long double)];
  const long double x = 1 / 3.0L;
  std::memset(memory, 0xFF, sizeof memory);
  std::memcpy(memory, &x, 10);
  const std::vector<std::byte> bytes = encoded(reinterpret_cast<const long double*>(memory), 1);
  REQUIRE(bytes.size() == 16);
  CHECK(std::memcmp(bytes.data(), memory, 10) == 0);
  CHECK(std::vector<std::byte>(bytes.begin() + 10, bytes.end()) == std::vector<std::byte>(6));
}

TEST_CASE("Matrices of any shape go to row-major order and come back into either", "[io]") {
  for (const auto& [rows, cols] : {std::pair(2, 3), {3, 2}, {1, 4}, {4, 1}, {3, 20'000}, {20'000, 3}, {0, 3}, {3, 0}}) {
    INFO(rows << " x " << cols);
    holders::Matrix<double> matrix(rows, cols);
    for (Eigen::Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<double>(i);
    const holders::RowMajorMatrix<double> expected = matrix;
    const auto check = [&](const auto& m) {
      std::vector<std::byte> bytes;
      const BlockShape shape{static_cast<std::size_t>(m.rows()), static_cast<std::size_t>(m.cols()),
                             bool(std::remove_cvref_t<decltype(m)>::IsRowMajor)};
      detail::encode_row_major(detail::Block<const double>{m.data(), shape}, [&](std::span<const std::byte> some) {
        bytes.insert(bytes.end(), some.begin(), some.end());
      });
      REQUIRE(bytes == encoded(expected.data(), shape.size()));
      std::remove_cvref_t<decltype(m)> back(m.rows(), m.cols());
      detail::decode_block(bytes.data(), {}, detail::Block<double>{back.data(), shape});
      CHECK(back == m);
      // In the other order and the other byte order.
      bytes = encoded(matrix.data(), shape.size());
      for (std::size_t i = 0; i < shape.size(); ++i) std::reverse(&bytes[8 * i], &bytes[8 * i] + 8);
      back.setZero();
      detail::decode_block(bytes.data(), {false, true}, detail::Block<double>{back.data(), shape});
      CHECK(back == m);
    };
    check(matrix);
    check(expected);
  }
}

TEST_CASE("Shapes are written as Python writes them, and fit where no number changes its place", "[io]") {
  CHECK(detail::to_text(Dimensions{}) + detail::to_text(Dimensions{3}) + detail::to_text(Dimensions{2, 3, 4}) ==
        "()(3,)(2, 3, 4)");
  const BlockShape matrix{2, 3, false}, column{6, 1, false}, row{1, 6, true}, one{1, 1, false}, none{0, 1, false};
  const auto where = [&](const Dimensions& array) {
    std::string result;
    for (const auto& shape : {matrix, column, row, one, none}) result += detail::fits(array, shape) ? 'y' : '-';
    return result;
  };
  CHECK(where({2, 3}) == "y----");
  CHECK(where({3, 2}) == "-----");
  CHECK(where({6}) == "-yy--");
  CHECK(where({6, 1}) == "-yy--");
  CHECK(where({1, 6}) == "-yy--");
  CHECK(where({1, 2, 3}) == "-yy--");
  CHECK(where({2, 3, 2}) == "-----");
  CHECK(where({}) == "---y-");
  CHECK(where({1, 1, 1}) == "---y-");
  CHECK(where({0}) == "----y");
  CHECK(where({0, 7}) == "-----");
  CHECK(where({7, 1}) == "-----");

  const auto dimensions = [](const auto& p, std::size_t rows, std::size_t cols) {
    return detail::to_text(detail::dimensions_of<decltype(p)>(BlockShape{rows, cols, false}));
  };
  CHECK(dimensions(Eigen::MatrixXd(), 2, 1) == "(2, 1)");
  CHECK(dimensions(Eigen::RowVectorXd(), 1, 2) == "(2,)");
  CHECK(dimensions(std::vector<double>(), 2, 1) == "(2,)");
  CHECK(dimensions(std::vector<Eigen::MatrixXd>(), 2, 1) == "(2,)");
  CHECK(dimensions(std::vector<Eigen::MatrixXd>(), 2, 3) == "(2, 3)");
}
