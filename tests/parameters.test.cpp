#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/parameters.hpp>
#include <polyak/schedules.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::ArrayXd;
using Eigen::Index;
using Eigen::Map;
using MatrixXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using Eigen::Ref;
using Eigen::VectorXd;
using support::error_of;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Matrix23 = Eigen::Matrix<double, 2, 3, Eigen::ColMajor>;

namespace {

/// Six coordinates 1, 2, … in storage order.
template <class P>
void count_up(P&& params) {
  double next = 1;
  for (auto& x : flat(params)) x = static_cast<scalar_of<P>>(next++);
}

std::vector<double> values(std::span<const double> coordinates) { return {coordinates.begin(), coordinates.end()}; }

/// Two steps move the six coordinates of `params` against `grad`, which in the storage order of the parameters is 2, 4,
/// …, 12; the averages see where they went, and every way to read them reaches the parameters.
template <class P, class G>
void moves(P&& params, const G& grad) {
  count_up(params);
  TailAverage alone;
  alone.start_from(params);
  Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{}};
  opt.step(params, grad);
  CHECK(values(flat(params)) == std::vector<double>{0, 0, 0, 0, 0, 0});
  alone.update(params);
  opt.step(params, grad);
  const std::vector<double> trained{-1, -2, -3, -4, -5, -6};
  CHECK(values(flat(params)) == trained);
  alone.update(params);

  const std::vector<double> average{-0.5, -1, -1.5, -2, -2.5, -3};
  CHECK(values(flat(opt.average())) == average);
  CHECK(values(flat(alone.average())) == average);
  {
    const auto guard = opt.swap_in(params);
    CHECK(values(flat(params)) == average);
  }
  CHECK(values(flat(params)) == trained);
  CHECK(values(flat(opt.average_or(params))) == average);
  opt.copy_average_to(params);
  CHECK(values(flat(params)) == average);
}

const VectorXd even{{2, 4, 6, 8, 10, 12}};

}  // namespace

TEST_CASE("parameters may be any contiguous Eigen object") {
  SECTION("vectors") {
    VectorXd dynamic(6);
    moves(dynamic, even);
    Eigen::Matrix<double, 6, 1> fixed;
    moves(fixed, even);
    Eigen::RowVectorXd row(6);
    moves(row, even);
    moves(row, even.transpose());
    Eigen::Matrix<double, Eigen::Dynamic, 1, 0, 8, 1> bounded(6);
    moves(bounded, even);
    ArrayXd array(6);
    moves(array, even);
    moves(array, even.array());
  }
  SECTION("matrices") {
    MatrixXd columns(2, 3);
    Matrix23 fixed;
    RowMajorXd rows(2, 3);
    Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor> array(2, 3);
    const MatrixXd grad{{2, 6, 10}, {4, 8, 12}};
    moves(columns, grad);
    moves(fixed, grad);
    moves(array, grad.array());
    moves(rows, MatrixXd{{2, 4, 6}, {8, 10, 12}});
    moves(rows, RowMajorXd{{2, 4, 6}, {8, 10, 12}});
    moves(columns, RowMajorXd(grad));
    moves(fixed, Eigen::Matrix<double, 2, 3, Eigen::RowMajor>(grad));
    moves(rows, 2 * MatrixXd{{1, 2, 3}, {4, 5, 6}});
    moves(columns, RowMajorXd(grad) * 1.0);
  }
  SECTION("views") {
    std::vector<double> memory(6);
    moves(Map<VectorXd>(memory.data(), 6), even);
    moves(Map<MatrixXd>(memory.data(), 2, 3), even.reshaped(2, 3));
    moves(Map<Matrix23>(memory.data()), even.reshaped(2, 3));
    moves(Map<MatrixXd, 0, Eigen::OuterStride<>>(memory.data(), 2, 3, Eigen::OuterStride<>(2)), even.reshaped(2, 3));

    VectorXd vector(8);
    moves(vector.segment(1, 6), even);
    moves(vector.segment<6>(2), even);
    moves(vector.head(6), even);
    Ref<VectorXd> ref = vector.tail(6);
    moves(ref, even);

    MatrixXd matrix(2, 5);
    const MatrixXd grad = even.reshaped(2, 3);
    moves(matrix.leftCols(3), grad);
    moves(matrix.middleCols<3>(1), grad);
    moves(matrix.block(0, 2, 2, 3), grad);
    Ref<MatrixXd> matrix_ref = matrix.rightCols(3);
    moves(matrix_ref, grad);
    MatrixXd tall(6, 3);
    moves(tall.col(1), even);
    moves(tall.block(0, 1, 6, 1), even.reshaped(6, 1));
    RowMajorXd rows(3, 6);
    moves(rows.row(1), even);
    moves(rows.topRows(1), even.reshaped(1, 6));
    MatrixXd one_row(1, 6);
    moves(one_row.row(0), even);
    Eigen::Matrix<double, 2, 5, Eigen::ColMajor> fixed;
    moves(fixed.leftCols<3>(), grad);
    moves(matrix.leftCols(3).array(), grad.array());
  }
}

TEST_CASE("parameters may be any contiguous range") {
  const std::vector<double> vector_grad{2, 4, 6, 8, 10, 12};
  const std::array<double, 6> array_grad{2, 4, 6, 8, 10, 12};
  const double plain_grad[6] = {2, 4, 6, 8, 10, 12};

  std::vector<double> vector(6);
  moves(vector, vector_grad);
  moves(vector, array_grad);
  moves(vector, plain_grad);
  moves(vector, even);
  moves(vector, std::span(vector_grad));
  std::array<double, 6> array{};
  moves(array, array_grad);
  double plain[6];
  moves(plain, plain_grad);
  moves(std::span<double, 6>(plain), even);
  VectorXd eigen(6);
  moves(eigen, vector_grad);
  MatrixXd matrix(2, 3);
  moves(matrix, vector_grad);
}

TEST_CASE("a mutable span is read as well as written") {
  std::vector<double> vector(6);
  std::span<double> span(vector);
  moves(span, even);
}

TEST_CASE("an optimizer taken whole moves any of them") {
  const auto run = [](auto&& params, const auto& grad) {
    count_up(params);
    Averaged opt{support::whole_step(Sgd{{.learning_rate = 0.5}}), TailAverage{}};
    opt.step(params, grad);
    opt.step(params, grad);
    CHECK(values(flat(params)) == std::vector<double>{-1, -2, -3, -4, -5, -6});
    CHECK(values(flat(opt.average())) == std::vector<double>{-0.5, -1, -1.5, -2, -2.5, -3});
  };
  VectorXd vector(8);
  run(vector.segment(1, 6), even);
  RowMajorXd rows(2, 3);
  run(rows, MatrixXd{{2, 4, 6}, {8, 10, 12}});
  std::vector<double> range(6);
  run(std::span<double>(range), even);
  double plain[6];
  run(plain, range = {2, 4, 6, 8, 10, 12});
}

TEST_CASE("a strided view is refused and nothing is written") {
  MatrixXd matrix = MatrixXd::Constant(4, 3, 5);
  const MatrixXd before = matrix;
  const MatrixXd grad = MatrixXd::Ones(2, 3);
  const std::string rule = "a view of parameters must be contiguous, got inner stride 1, outer stride 4";

  Sgd sgd;
  CHECK(error_of([&] { sgd.step(matrix.topRows(2), grad); }) == "invalid_argument: polyak::Sgd: " + rule);
  CHECK(sgd.steps() == 0);
  Averaged averaged{Sgd{}};
  CHECK(error_of([&] { averaged.step(matrix.topRows(2), grad); }) == "invalid_argument: polyak::Averaged: " + rule);
  CHECK(averaged.optimizer().steps() == 0);
  CHECK(averaged.averager().steps() == 0);
  Averaged whole{support::whole_step(Sgd{})};
  CHECK(error_of([&] { whole.step(matrix.topRows(2), grad); }) == "invalid_argument: polyak::Averaged: " + rule);
  CHECK(whole.averager().steps() == 0);
  Ema ema;
  CHECK(error_of([&] { ema.update(matrix.topRows(2)); }) == "invalid_argument: polyak::Ema: " + rule);
  // Two coordinates can be apart, one cannot.
  CHECK(support::has(error_of([&] { ema.update(matrix.row(0).head(2)); }), "must be contiguous, got inner stride 4"));
  Ema of_one;
  of_one.update(matrix.row(0).head(1));
  CHECK(of_one.average()[0] == 5);
  CHECK(ema.steps() == 0);
  CHECK(error_of([&] { ema.start_from(matrix.topRows(2)); }) == "invalid_argument: polyak::Ema: " + rule);
  CHECK(error_of([&] { (void)ema.average_or(matrix.topRows(2)); }) == "invalid_argument: polyak::Ema: " + rule);
  ema.update(grad);
  CHECK(error_of([&] { ema.copy_average_to(matrix.topRows(2)); }) == "invalid_argument: polyak::Ema: " + rule);
  CHECK(error_of([&] { auto guard = ema.swap_in(matrix.topRows(2)); }) == "invalid_argument: polyak::Ema: " + rule);
  CHECK(error_of([&] { (void)flat(matrix.topRows(2)); }) == "invalid_argument: polyak::flat: " + rule);
  CHECK(error_of([&] { (void)flat(matrix.row(0), "me"); }) ==
        "invalid_argument: me: a view of parameters must be contiguous, got inner stride 4, outer stride 1");
  CHECK(error_of([&] { (void)flat(matrix.diagonal(), "me"); }).starts_with("invalid_argument: me: a view of"));
  CHECK(error_of([&] {
          (void)flat(Map<VectorXd, 0, Eigen::InnerStride<>>(matrix.data(), 4, Eigen::InnerStride<>(2)));
        }).starts_with("invalid_argument: polyak::flat: a view"));
  CHECK(matrix == before);

  // What has no neighbour has no stride.
  CHECK(flat(matrix.block(1, 1, 1, 1)).size() == 1);
  CHECK(flat(matrix.topRows(0)).empty());
  CHECK(flat(matrix.block(1, 1, 2, 1)).size() == 2);
}

TEST_CASE("flat is the very memory, in storage order") {
  MatrixXd columns{{1, 3, 5}, {2, 4, 6}};
  CHECK(values(flat(columns)) == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(flat(columns).data() == columns.data());
  const RowMajorXd rows = columns;
  CHECK(values(flat(rows)) == std::vector<double>{1, 3, 5, 2, 4, 6});
  STATIC_REQUIRE(std::same_as<decltype(flat(rows)), std::span<const double>>);
  STATIC_REQUIRE(std::same_as<decltype(flat(columns)), std::span<double>>);
  const std::vector<float> constant{1};
  STATIC_REQUIRE(std::same_as<decltype(flat(constant)), std::span<const float>>);
  flat(columns.col(1))[0] = 9;
  CHECK(columns(0, 1) == 9);
}

TEST_CASE("a gradient need not be contiguous, nor even memory") {
  VectorXd params = VectorXd::Zero(3);
  Sgd sgd{{.learning_rate = 1}};

  MatrixXd rows{{1, 2, 3}, {4, 5, 6}};
  sgd.step(params, rows.row(1));
  CHECK(params == VectorXd{{-4, -5, -6}});
  const std::vector<double> memory{1, 0, 2, 0, 3};
  sgd.step(params, Map<const VectorXd, 0, Eigen::InnerStride<2>>(memory.data(), 3));
  CHECK(params == VectorXd{{-5, -7, -9}});
  sgd.step(params, (rows.row(0) - rows.row(1)).transpose());
  CHECK(params == VectorXd{{-2, -4, -6}});
  sgd.step(params, params);
  CHECK(params == VectorXd::Zero(3));
  sgd.step(params, VectorXd::Ones(3));
  sgd.step(params, params + params);
  CHECK(params == VectorXd::Ones(3));

  MatrixXd matrix = MatrixXd::Zero(2, 2);
  const MatrixXd big{{1, 2, 9}, {3, 4, 9}, {9, 9, 9}};
  sgd = Sgd{{.learning_rate = 1}};
  sgd.step(matrix, big.topLeftCorner(2, 2));
  CHECK(matrix == MatrixXd{{-1, -2}, {-3, -4}});
  sgd.step(matrix, RowMajorXd(big).topLeftCorner(2, 2));
  CHECK(matrix == MatrixXd{{-2, -4}, {-6, -8}});
  sgd.step(matrix, big.topLeftCorner(2, 2).transpose());
  CHECK(matrix == MatrixXd{{-3, -7}, {-8, -12}});
  sgd.step(matrix, VectorXd{{1, 2}} * VectorXd{{3, 4}}.transpose());
  CHECK(matrix == MatrixXd{{-6, -11}, {-14, -20}});
}

// Which order its coordinates are in, only the type of an expression would tell: X * y and (y^T * X^T)^T differ in it.
TEST_CASE("a matrix is no gradient of a vector, unless it has one row or one column") {
  const RowMajorXd rows{{1, 2, 3}, {4, 5, 6}};
  const auto moved = [](const auto& grad) -> VectorXd {
    VectorXd params = VectorXd::Zero(6);
    Sgd{{.learning_rate = 1}}.step(params, grad);
    return params;
  };
  const std::string message =
      "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 6x1, got ";
  CHECK(error_of([&] { moved(rows); }) == message + "2x3");
  CHECK(error_of([&] { moved(1 * rows); }) == message + "2x3");
  CHECK(error_of([&] { moved(MatrixXd(rows.transpose())); }) == message + "3x2");
  std::vector<double> params(6);
  CHECK(error_of([&] { Sgd{{.learning_rate = 1}}.step(params, 1 * rows); }) == message + "2x3");
  CHECK(params == std::vector<double>(6));

  const VectorXd expected{{-1, -1, -1, -1, -1, -1}};
  CHECK(moved(MatrixXd::Ones(6, 1)) == expected);
  CHECK(moved(RowMajorXd::Ones(1, 6)) == expected);
  Sgd{{.learning_rate = 1}}.step(params, MatrixXd::Ones(6, 1));
  CHECK(params == values(flat(expected)));
}

TEST_CASE("a vector is the gradient of a matrix in the storage order of the matrix") {
  const auto moved = [](auto params, const auto& grad) {
    Sgd{{.learning_rate = 1}}.step(params, grad);
    return values(flat(params));
  };
  const std::vector<double> expected{-2, -4, -6, -8, -10, -12};
  CHECK(moved(MatrixXd(MatrixXd::Zero(2, 3)), even) == expected);
  CHECK(moved(RowMajorXd(RowMajorXd::Zero(2, 3)), 1 * even) == expected);
  CHECK(moved(RowMajorXd(RowMajorXd::Zero(2, 3)), even.transpose()) == expected);
  CHECK(moved(MatrixXd(MatrixXd::Zero(2, 3)), std::vector<double>{2, 4, 6, 8, 10, 12}) == expected);
  // A matrix of one column or one row is a vector, whatever its type; it has but one order.
  CHECK(moved(MatrixXd(MatrixXd::Zero(2, 3)), RowMajorXd(even)) == expected);
  CHECK(moved(RowMajorXd(RowMajorXd::Zero(2, 3)), MatrixXd(even.transpose())) == expected);
  CHECK(moved(RowMajorXd(RowMajorXd::Zero(2, 3)), 1 * MatrixXd(even)) == expected);
}

TEST_CASE("a gradient expression is evaluated once") {
  const Index n = 2000;
  int evaluations = 0;
  const auto expression = VectorXd::NullaryExpr(n, [&evaluations](Index i) {
    ++evaluations;
    return static_cast<double>(i);
  });
  VectorXd params = VectorXd::Zero(n);

  SECTION("by Sgd") {
    Sgd sgd;
    sgd.step(params, expression);
    CHECK(evaluations == n);
  }
  SECTION("with averages") {
    Averaged opt{Sgd{{.momentum = 0.9}}, TailAverage{}, Ema{}, Swa{{.period = 2}}};
    opt.step(params, expression);
    CHECK(evaluations == n);
    opt.step(params, expression);
    CHECK(evaluations == 2 * n);
  }
  SECTION("by a matrix in the other order") {
    MatrixXd matrix = MatrixXd::Zero(20, 100);
    const auto rows = RowMajorXd::NullaryExpr(20, 100, [&evaluations](Index i, Index j) {
      ++evaluations;
      return static_cast<double>(i - j);
    });
    Averaged{Sgd{{.learning_rate = 1}}}.step(matrix, rows);
    CHECK(evaluations == n);
    CHECK(matrix(3, 10) == 7);
  }
  CHECK(params[0] == 0);
}

TEST_CASE("a gradient of another size or shape is refused and nothing is written") {
  VectorXd params = VectorXd::Ones(3);
  Sgd sgd;
  CHECK(error_of([&] { sgd.step(params, VectorXd::Ones(4)); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 3x1, got 4x1");
  CHECK(error_of([&] {
          sgd.step(params, std::vector<double>{1, 2});
        }) == "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 3x1, got 2x1");
  CHECK(error_of([&] { sgd.step(params, VectorXd()); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 3x1, got 0x1");
  MatrixXd matrix = MatrixXd::Ones(2, 3);
  CHECK(error_of([&] { sgd.step(matrix, MatrixXd::Ones(3, 2)); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 2x3, got 3x2");
  CHECK(error_of([&] { sgd.step(matrix, MatrixXd::Ones(2, 2)); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 2x3, got 2x2");
  CHECK(error_of([&] { sgd.step(matrix, RowMajorXd::Ones(5, 1)); }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters, 2x3, got 5x1");
  Averaged averaged{Sgd{}};
  CHECK(error_of([&] { averaged.step(matrix, VectorXd::Ones(5)); }) ==
        "invalid_argument: polyak::Averaged: the gradient must have the shape of the parameters, 2x3, got 5x1");
  CHECK(params == VectorXd::Ones(3));
  CHECK(matrix == MatrixXd::Ones(2, 3));
  CHECK(sgd.steps() == 0);
  CHECK(averaged.averager().steps() == 0);
}

TEST_CASE("what is strided, constant, temporary or no scalar by its type does not compile as parameters") {
  using Fixed = Eigen::Matrix<double, 3, 3, Eigen::ColMajor>;
  using FixedRow = decltype(std::declval<Fixed&>().row(0));
  using FixedTop = decltype(std::declval<Fixed&>().topRows<2>());
  using FixedColumn = decltype(std::declval<Fixed&>().col(0));
  using DynamicRow = decltype(std::declval<MatrixXd&>().row(0));
  using EverySecond = Map<VectorXd, 0, Eigen::InnerStride<2>>;
  using Transposed = decltype(std::declval<MatrixXd&>().transpose());
  using Product = decltype(std::declval<MatrixXd&>() * std::declval<VectorXd&>());

  STATIC_REQUIRE(Parameters<VectorXd&>);
  STATIC_REQUIRE(Parameters<MatrixXd&>);
  STATIC_REQUIRE(Parameters<RowMajorXd&>);
  STATIC_REQUIRE(Parameters<ArrayXd&>);
  STATIC_REQUIRE(Parameters<Map<VectorXd>>);
  STATIC_REQUIRE(Parameters<Ref<VectorXd>&>);
  STATIC_REQUIRE(Parameters<FixedColumn>);
  STATIC_REQUIRE(Parameters<DynamicRow>);
  STATIC_REQUIRE(Parameters<Transposed>);
  STATIC_REQUIRE(Parameters<std::vector<float>&>);
  STATIC_REQUIRE(Parameters<std::span<Eigen::half>>);
  STATIC_REQUIRE(Parameters<const std::span<double>&>);
  STATIC_REQUIRE(Parameters<double(&)[3]>);
  STATIC_REQUIRE(Parameters<std::array<long double, 2>&>);
  // Strides that only the object knows, and those of a vector that do not matter.
  STATIC_REQUIRE(Parameters<Map<Eigen::Matrix<double, 3, Eigen::Dynamic>, 0, Eigen::OuterStride<>>&>);
  STATIC_REQUIRE(Parameters<Map<Eigen::Vector3d, 0, Eigen::Stride<5, 1>>&>);
  STATIC_REQUIRE_FALSE(Parameters<Map<Eigen::Matrix3d, 0, Eigen::OuterStride<5>>&>);

  // Several of them are a set.
  STATIC_REQUIRE(Parameters<std::vector<std::vector<double>>&>);
  STATIC_REQUIRE(Parameters<std::vector<MatrixXd>&>);
  STATIC_REQUIRE(Parameters<std::array<VectorXd, 2>&>);
  STATIC_REQUIRE(Parameters<std::vector<Map<MatrixXd>>&>);
  STATIC_REQUIRE(Parameters<std::list<std::vector<double>>&>);
  STATIC_REQUIRE(Parameters<ParameterSet<float, 3>>);
  STATIC_REQUIRE(Parameters<const ParameterSet<float, 3>&>);

  STATIC_REQUIRE_FALSE(Parameters<FixedRow>);
  STATIC_REQUIRE_FALSE(Parameters<FixedTop>);
  STATIC_REQUIRE_FALSE(Parameters<EverySecond>);
  STATIC_REQUIRE_FALSE(Parameters<Product>);
  STATIC_REQUIRE_FALSE(Parameters<VectorXd>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<double>>);
  STATIC_REQUIRE_FALSE(Parameters<std::array<double, 2>>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<VectorXd>>);
  STATIC_REQUIRE_FALSE(Parameters<const std::vector<VectorXd>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<Map<const MatrixXd>>&>);
  STATIC_REQUIRE_FALSE(Parameters<ParameterSet<const float, 3>>);
  STATIC_REQUIRE_FALSE(Parameters<const VectorXd&>);
  STATIC_REQUIRE_FALSE(Parameters<const std::vector<double>&>);
  STATIC_REQUIRE_FALSE(Parameters<Map<const VectorXd>>);
  STATIC_REQUIRE_FALSE(Parameters<Ref<const VectorXd>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::span<const double>>);
  STATIC_REQUIRE_FALSE(Parameters<Eigen::VectorXi&>);
  STATIC_REQUIRE_FALSE(Parameters<Eigen::VectorXcd&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<int>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<std::vector<std::vector<double>>>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<std::vector<int>>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<FixedRow>&>);
  STATIC_REQUIRE_FALSE(Parameters<std::vector<const double*>&>);
  STATIC_REQUIRE_FALSE(Parameters<double&>);
  STATIC_REQUIRE_FALSE(Parameters<double*&>);
  STATIC_REQUIRE_FALSE(Parameters<std::string&>);

  STATIC_REQUIRE(ReadableParameters<const VectorXd&>);
  STATIC_REQUIRE(ReadableParameters<VectorXd>);
  STATIC_REQUIRE(ReadableParameters<Map<const VectorXd>>);
  STATIC_REQUIRE(ReadableParameters<std::span<const double>>);
  STATIC_REQUIRE_FALSE(ReadableParameters<Product>);
  STATIC_REQUIRE_FALSE(ReadableParameters<FixedRow>);
  STATIC_REQUIRE_FALSE(ReadableParameters<std::vector<bool>&>);
  STATIC_REQUIRE(ReadableParameters<std::vector<VectorXd>>);
  STATIC_REQUIRE(ReadableParameters<const std::vector<std::vector<double>>&>);
  STATIC_REQUIRE(ReadableParameters<ParameterSet<const double, 1>>);
  STATIC_REQUIRE_FALSE(ReadableParameters<std::vector<std::remove_const_t<Product>>&>);

  STATIC_REQUIRE(GradientOf<VectorXd, VectorXd&>);
  STATIC_REQUIRE(GradientOf<Product, VectorXd&>);
  STATIC_REQUIRE(GradientOf<FixedRow, std::vector<double>&>);
  STATIC_REQUIRE(GradientOf<std::span<const double>, MatrixXd&>);
  STATIC_REQUIRE(GradientOf<double[3], std::span<double>>);
  STATIC_REQUIRE_FALSE(GradientOf<VectorXd, std::vector<float>&>);
  STATIC_REQUIRE_FALSE(GradientOf<std::vector<float>, VectorXd&>);
  STATIC_REQUIRE_FALSE(GradientOf<double, VectorXd&>);
  STATIC_REQUIRE_FALSE(GradientOf<std::vector<int>, VectorXd&>);
  STATIC_REQUIRE_FALSE(GradientOf<VectorXd, const VectorXd&>);

  // The gradient of a set is a set, and that of one block is none.
  STATIC_REQUIRE(GradientOf<ParameterSet<const double, 2>, ParameterSet<double, 2>>);
  STATIC_REQUIRE(GradientOf<ParameterSet<double, 2>, std::vector<VectorXd>&>);
  STATIC_REQUIRE(GradientOf<std::vector<Map<const MatrixXd>>, std::vector<MatrixXd>&>);
  STATIC_REQUIRE(GradientOf<std::vector<std::vector<double>>, ParameterSet<double, 2>>);
  STATIC_REQUIRE_FALSE(GradientOf<VectorXd, ParameterSet<double, 2>>);
  STATIC_REQUIRE_FALSE(GradientOf<Product, std::vector<VectorXd>&>);
  STATIC_REQUIRE_FALSE(GradientOf<std::vector<VectorXd>, VectorXd&>);
  STATIC_REQUIRE_FALSE(GradientOf<std::vector<VectorXd>, std::vector<Eigen::VectorXf>&>);

  STATIC_REQUIRE(std::same_as<scalar_of<VectorXd&>, double>);
  STATIC_REQUIRE(std::same_as<scalar_of<ParameterSet<const float, 2>>, float>);
  STATIC_REQUIRE(std::same_as<scalar_of<const std::vector<Eigen::VectorXf>&>, float>);
  STATIC_REQUIRE(std::same_as<scalar_of<std::span<const float>>, float>);
  STATIC_REQUIRE(std::same_as<scalar_of<const Eigen::Matrix<Eigen::half, 2, 2>&>, Eigen::half>);
}

TEMPLATE_TEST_CASE("no parameters and one parameter are parameters", "", POLYAK_TEST_SCALARS) {
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;

  Averaged none{Sgd<TestType>{{.momentum = 0.5}}, Ema{}, TailAverage{}};
  Vector empty;
  Matrix flat_matrix(0, 3);
  for (int t = 0; t < 3; ++t) none.step(empty, empty);
  none.step(flat_matrix, Matrix(0, 3));
  CHECK(none.optimizer().steps() == 4);
  CHECK(none.template average<0>().size() == 0);
  CHECK(none.template averager<1>().count() == 4);
  CHECK(none.template has_average<1>());
  none.template copy_average_to<0>(empty);
  { const auto guard = none.template swap_in<0>(empty); }
  std::vector<TestType> no_elements;
  none.step(no_elements, no_elements);

  Averaged one{Sgd<TestType>{{.learning_rate = 0.5}}, TailAverage{}};
  Vector single(1);
  single[0] = TestType(4);
  Vector grad(1);
  grad[0] = TestType(2);
  for (int t = 0; t < 3; ++t) one.step(single, grad);
  CHECK(static_cast<double>(single[0]) == 1);
  CHECK(static_cast<double>(one.average()[0]) == Approx(2).epsilon(1e-6));
}
