#include <polyak/io/detail/matrix_order.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "holders.hpp"

using namespace polyak;

TEST_CASE("A shape says in which order it is where there are two", "[io]") {
  CHECK(detail::to_text(BlockShape{}) == "0 x 0");
  CHECK_FALSE(BlockShape{}.row_major);
  CHECK(detail::to_text(BlockShape{2, 3, true}) == "2 x 3 row-major");
  CHECK(detail::to_text(BlockShape{3, 2, true}) == "3 x 2 row-major");
  CHECK(detail::to_text(BlockShape{3, 2, false}) == "3 x 2");
  CHECK(detail::to_text(BlockShape{1, 3, true}) == "1 x 3");
  CHECK(detail::to_text(BlockShape{3, 1, true}) == "3 x 1");
}

TEST_CASE("Matrices of any shape go to row-major order and come back into either", "[io]") {
  for (const auto& [rows, cols] : {std::pair(2, 3), {3, 2}, {1, 4}, {4, 1}, {3, 20'000}, {20'000, 3}}) {
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
      REQUIRE(bytes.size() == sizeof(double) * static_cast<std::size_t>(m.size()));
      std::remove_cvref_t<decltype(m)> back(m.rows(), m.cols());
      detail::decode_block(bytes.data(), true, false, detail::Block<double>{back.data(), shape});
      CHECK(back == m);
      detail::decode(bytes.data(), shape.size(), back.data());
      CHECK(std::equal(expected.data(), expected.data() + expected.size(), back.data()));
    };
    check(matrix);
    check(expected);
  }
}
