#pragma once

#include <polyak/concepts.hpp>
#include <polyak/parameters.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

/// The same coordinates in everything that parameters and their gradient may be held in.

namespace holders {

template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <class Scalar>
using RowMajorMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Where the coordinates lie, found without the help of polyak.
template <class Scalar>
class Memory {
 public:
  template <class... Blocks>
  explicit Memory(Blocks&... blocks) : parts_{{blocks.data(), static_cast<std::size_t>(blocks.size())}...} {}
  template <class Blocks>
  static Memory of_each(Blocks& blocks) {
    Memory memory;
    for (auto& block : blocks) memory.parts_.push_back({block.data(), static_cast<std::size_t>(block.size())});
    return memory;
  }

  void write(const Vector<Scalar>& coordinates) const {
    Eigen::Index next = 0;
    for (const auto part : parts_) {
      for (Scalar& x : part) x = coordinates[next++];
    }
  }
  Vector<Scalar> read() const {
    std::vector<Scalar> all;
    for (const auto part : parts_) all.insert(all.end(), part.begin(), part.end());
    return Eigen::Map<const Vector<Scalar>>(all.data(), static_cast<Eigen::Index>(all.size()));
  }

 private:
  std::vector<std::span<Scalar>> parts_;
};

inline constexpr Eigen::Index size = 24;

/// Calls f with parameters that lie in one piece of memory.
template <class Scalar, class F, class Params, class Gradient>
void call(const F& f, const char* name, Params params, Gradient gradient) {
  f(name, params, gradient, Memory<Scalar>(params), Memory<Scalar>(gradient));
}

/// Calls f(name, params, gradient, memory of the params, memory of the gradient) for `size` coordinates in a matrix,
/// flat, and in a set.
template <class Scalar, class F>
void for_each_kind(F f) {
  call<Scalar>(f, "matrix", Matrix<Scalar>(4, 6), Matrix<Scalar>(4, 6));
  call<Scalar>(f, "std::vector", std::vector<Scalar>(size), std::vector<Scalar>(size));
  Matrix<Scalar> w(2, 3), gw(2, 3);
  Vector<Scalar> b(5), gb(5);
  RowMajorMatrix<Scalar> r(3, 2), gr(3, 2);
  std::vector<Scalar> rest(7), grest(7);
  f("set", polyak::ParameterSet{w, b, r, rest}, polyak::ParameterSet{gw, gb, gr, grest}, Memory<Scalar>(w, b, r, rest),
    Memory<Scalar>(gw, gb, gr, grest));
}

/// The same for every way to hold them.
template <class Scalar, class F>
void for_each(F f) {
  for_each_kind<Scalar>(f);
  call<Scalar>(f, "vector", Vector<Scalar>(size), Vector<Scalar>(size));
  call<Scalar>(f, "row vector", Eigen::Matrix<Scalar, 1, Eigen::Dynamic>(size), Vector<Scalar>(size));
  call<Scalar>(f, "row-major matrix", RowMajorMatrix<Scalar>(4, 6), RowMajorMatrix<Scalar>(4, 6));
  call<Scalar>(f, "fixed size", Eigen::Matrix<Scalar, 6, 4>(), Matrix<Scalar>(6, 4));
  call<Scalar>(f, "array", Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic>(8, 3), Matrix<Scalar>(8, 3));
  call<Scalar>(f, "std::array", std::array<Scalar, size>(), Vector<Scalar>(size));

  Vector<Scalar> p(size), g(size);
  const Memory<Scalar> of_p(p), of_g(g);
  Eigen::Map<Matrix<Scalar>> map(p.data(), 3, 8);
  f("Map", map, g, of_p, of_g);
  std::span<Scalar> span(p.data(), size);
  f("std::span", span, std::span<const Scalar>(g.data(), size), of_p, of_g);

  Matrix<Scalar> wide(4, 9), wide_gradient(4, 8);
  auto inside = wide.middleCols(1, 6);
  auto inside_gradient = wide_gradient.leftCols(6);
  f("block", inside, inside_gradient, Memory<Scalar>(inside), Memory<Scalar>(inside_gradient));

  f("set of one", polyak::ParameterSet{p}, polyak::ParameterSet{g}, of_p, of_g);

  const auto set = [&f](const char* name, auto params, auto gradient) {
    f(name, params, gradient, Memory<Scalar>::of_each(params), Memory<Scalar>::of_each(gradient));
  };
  const std::vector<Matrix<Scalar>> matrices{Matrix<Scalar>(2, 3), Matrix<Scalar>(3, 4), Matrix<Scalar>(6, 1)};
  set("vector of matrices", matrices, matrices);
  const std::vector<RowMajorMatrix<Scalar>> row_major{RowMajorMatrix<Scalar>(2, 3), RowMajorMatrix<Scalar>(6, 3)};
  set("vector of row-major matrices", row_major, row_major);
  const std::vector<std::vector<Scalar>> vectors{std::vector<Scalar>(1), std::vector<Scalar>(0),
                                                 std::vector<Scalar>(23)};
  set("vector of vectors", vectors, vectors);
  set("array of vectors", std::array{Vector<Scalar>(20), Vector<Scalar>(4)},
      std::vector{Vector<Scalar>(20), Vector<Scalar>(4)});
}

}  // namespace holders
