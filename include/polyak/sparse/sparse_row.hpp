#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/detail/errors.hpp"
#include "polyak/lanes.hpp"

namespace polyak {

/// The nonzeros of an input, in any order: values[i] is the value of feature indices[i]. If an index comes twice, its
/// values add up in a score and in a step of SparseSgd without L1; elsewhere its weight takes two steps. A row refers
/// to the arrays it was made from, which must outlive it.
template <std::integral Index, class Value>
  requires(!std::same_as<Index, bool> && (std::same_as<Value, float> || std::same_as<Value, double>))
struct SparseRow {
  std::span<const Index> indices;  ///< from 0 on
  std::span<const Value> values;   ///< as many
};

template <class Indices, class Values>
SparseRow(const Indices&, const Values&)
    -> SparseRow<std::remove_cvref_t<decltype(*std::data(std::declval<Indices&>()))>,
                 std::remove_cvref_t<decltype(*std::data(std::declval<Values&>()))>>;

namespace detail {

template <class X>
inline constexpr bool is_sparse_row = false;
template <class Index, class Value>
inline constexpr bool is_sparse_row<SparseRow<Index, Value>> = true;

/// An Eigen::SparseVector, or a row of a row-major Eigen::SparseMatrix. Told by its members, so that Eigen/SparseCore
/// need not be included.
template <class X>
concept EigenSparseVector = requires(const X& x) {
  requires bool(X::IsVectorAtCompileTime);
  SparseRow{std::span(x.innerIndexPtr(), 1), std::span(x.valuePtr(), 1)};
  x.outerIndexPtr();
  { x.nonZeros() } -> std::convertible_to<std::ptrdiff_t>;
  { x.size() } -> std::convertible_to<std::ptrdiff_t>;
};

/// Whether rows lie in memory as those of a row-major Eigen::SparseMatrix do (or columns, of a column-major one): in a
/// Map or a Ref of one, and in consecutive rows of these.
template <class Matrix>
inline constexpr bool is_compressed = requires(const Matrix& m) {
  SparseRow{std::span(m.innerIndexPtr(), 1), std::span(m.valuePtr(), 1)};
  m.outerIndexPtr()[0];
  m.innerNonZeroPtr()[0];
};
template <class Matrix, int rows, int cols>
inline constexpr bool is_compressed<Eigen::Block<Matrix, rows, cols, true>> =
    is_compressed<std::remove_const_t<Matrix>>;

/// One row of these.
template <class X>
concept EigenSparseRow = bool(X::IsVectorAtCompileTime) && is_compressed<X>;

template <class Matrix>
[[nodiscard]] auto nonzeros_of_row(const Matrix& matrix, std::ptrdiff_t row) {
  if constexpr (requires { matrix.outerIndexPtr(); }) {
    const auto start = static_cast<std::size_t>(matrix.outerIndexPtr()[row]);
    const auto* const counts = matrix.innerNonZeroPtr();  // null where there are no gaps between the rows
    const std::size_t count = counts ? static_cast<std::size_t>(counts[row])
                                     : static_cast<std::size_t>(matrix.outerIndexPtr()[row + 1]) - start;
    return SparseRow{std::span(matrix.innerIndexPtr() + start, count), std::span(matrix.valuePtr() + start, count)};
  } else {
    return nonzeros_of_row(matrix.nestedExpression(), row + matrix.startRow() + matrix.startCol());
  }
}

}  // namespace detail

/// A sparse input is a SparseRow, an Eigen::SparseVector, or a row of a row-major Eigen::SparseMatrix, of a Map or a
/// Ref of one, or of consecutive rows, of float or double.
template <class X>
concept SparseInput = detail::is_sparse_row<X> || detail::EigenSparseVector<X> || detail::EigenSparseRow<X>;

namespace detail {

/// Throws std::invalid_argument where an index is negative or not below `limit`. One pass, several indices at a time:
/// a row of 70 leaves a compiler's own vectors a rest whose length no processor predicts (bench/sparse_steps.cpp).
template <class T, std::size_t n>
void check_indices(std::span<T, n> indices, std::size_t limit, std::string_view who) {
  using Index = std::remove_const_t<T>;
  // As an unsigned number a negative index is huge, unless the type is so narrow that even that is below the limit.
  using Unsigned = std::make_unsigned_t<Index>;
  constexpr std::size_t N = lanes::width<double>;
  Unsigned largest = 0;
  if (indices.size() < N) {
    for (const Index i : indices) largest = (std::max)(largest, static_cast<Unsigned>(i));
  } else {
    const auto lanes_at = [&](std::size_t i) { return lanes::load<Unsigned>(indices.data(), lanes::At<N>{i}); };
    auto all = lanes_at(indices.size() - N);  // those that are left by blocks from the start, and others again
    for (std::size_t i = 0; i + N < indices.size(); i += N) all = lanes_at(i) > all ? lanes_at(i) : all;
    std::array<Unsigned, N> each;
    lanes::store(each.data(), lanes::At<N>{0}, all);
    for (const Unsigned i : each) largest = (std::max)(largest, i);
  }
  const bool tells = std::is_unsigned_v<Index> || std::cmp_less_equal(limit, (std::numeric_limits<Index>::max)());
  if ((largest < limit && tells) || indices.empty()) return;
  for (const Index i : indices) {
    if (std::cmp_less(i, 0)) throw_bad_argument(who, "indices must be >= 0, got " + std::to_string(i));
  }
  if (largest >= limit) throw_bad_size(who, "indices must be below", limit, largest);
}

/// As a SparseRow. Throws std::invalid_argument unless x is an input of so many features. Inline, because a row that
/// is returned in memory costs as much as the product with five nonzeros.
template <class X>
[[nodiscard, gnu::always_inline]] inline auto nonzeros_of(const X& x, std::size_t features, std::string_view who) {
  static_assert(SparseInput<X>,
                "polyak: a SparseInput is a SparseRow, an Eigen::SparseVector, or a row of a row-major "
                "Eigen::SparseMatrix, of float or double");
  if constexpr (is_sparse_row<X>) {
    if (x.indices.size() != x.values.size()) {
      throw_bad_size(who, "a row needs as many values as indices,", x.indices.size(), x.values.size());
    }
    check_indices(x.indices, features, who);
    return x;
  } else if constexpr (SparseInput<X>) {
    const auto size = static_cast<std::size_t>(x.size());
    if (size != features) {
      throw_bad_size(who, "an input must have as many coordinates as there are features,", features, size);
    }
    if constexpr (EigenSparseRow<X> && !EigenSparseVector<X>) {
      const auto row = nonzeros_of_row(x, 0);
      check_indices(row.indices, features, who);  // a Map may be of anybody's arrays
      return row;
    } else {
      const auto count = static_cast<std::size_t>(x.nonZeros());
      const auto* const starts = x.outerIndexPtr();  // null in a vector of its own; in a row, where it starts
      const std::size_t start = starts ? static_cast<std::size_t>(*starts) : 0;
      return SparseRow{std::span(x.innerIndexPtr() + start, count), std::span(x.valuePtr() + start, count)};
    }
  } else {
    return SparseRow<int, double>{};
  }
}

}  // namespace detail
}  // namespace polyak
