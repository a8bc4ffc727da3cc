#include <polyak/polyak.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <concepts>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

// Matrices whose order nobody names are stored by columns, or by rows where EIGEN_DEFAULT_TO_ROW_MAJOR says so. These
// tests are compiled both ways, and know coordinates by row and column alone.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

using ByColumns = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using ByRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

const MatrixXd six{{1, 2, 3}, {4, 5, 6}};

}  // namespace

TEST_CASE("the average of a block is in its place, in whatever order", "[order]") {
  TailAverage tail;
  const MatrixXd more{{7, 8}, {9, 10}, {11, 12}};
  const ByColumns columns = more;
  const ByRows rows = more;
  const VectorXd vector{{13, 14}};
  tail.update(ParameterSet{six, columns, rows, vector, more});
  CHECK(tail.average_block(0) == six);
  CHECK(tail.average_block(1) == more);
  CHECK(tail.average_block(2) == more);
  CHECK(tail.average_block(3) == vector);
  CHECK(tail.average_block(4) == more);  // the last, which must end where the average ends
  CHECK(tail.average_block(4).data() + 6 == tail.average().data() + tail.average().size());

  TailAverage<Compensated<float>> compensated;
  compensated.update(six);
  CHECK(compensated.average_block(0) == six.cast<float>());
  Lawa lawa{{.window = 2}};
  lawa.update(six);
  lawa.update(MatrixXd(3 * six));
  CHECK(lawa.average_block(0) == 2 * six);
}

TEST_CASE("a step moves each coordinate along its own gradient, in whatever order", "[order]") {
  const auto check = [](auto opt) {
    for (const bool by_rows : {false, true}) {
      MatrixXd theta = 3 * six;
      for (int t = 0; t < 2; ++t) {
        if (by_rows) {
          opt.step(theta, ByRows(six));
        } else {
          opt.step(theta, ByColumns(six));
        }
      }
      CHECK(theta == six);
      opt.step(theta, 1 * six);  // an expression
      CHECK(theta == 0 * six);
      CHECK(opt.average_block(0) == six);
      {
        const auto guard = opt.swap_in(theta);
        CHECK(theta == six);
      }
      opt.copy_average_to(theta);
      CHECK(theta == six);
      opt.reset();
    }
  };
  const Sgd<> sgd{{.learning_rate = 1}};
  const auto whole = [](MatrixXd& theta, const auto& grad) { theta -= grad; };
  check(Averaged{sgd, TailAverage{}});
  check(Averaged{whole, TailAverage{}});
  check(Averaged{Accumulate{sgd, {.micro_batches = 1}}, TailAverage{}});
  check(Averaged{Accumulate{whole, {.micro_batches = 1}}, TailAverage{}});
  check(Averaged{ClipNorm{whole, {.max_norm = 100}}, TailAverage{}});
  check(Averaged{ClipValue{whole, {.max_value = 100}}, TailAverage{}});
  check(Averaged{SkipNonFinite{whole}, Guarded{TailAverage{}}});
  check(Averaged{Lookahead{whole, {.alpha = 1}}, TailAverage{}});
}

TEST_CASE("optimizers with a state know coordinates by their place, in whatever order", "[order]") {
  const auto check = [](auto opt) {
    auto flat = opt;
    MatrixXd theta = six;
    ByRows by_rows = six;
    for (int t = 0; t < 3; ++t) {
      opt.step(theta, MatrixXd(theta.cwiseProduct(theta)));
      flat.step(by_rows, ByRows(by_rows.cwiseProduct(by_rows)));
    }
    CHECK(theta == by_rows);
  };
  check(Sgd{{.momentum = 0.5}});
  check(Adam{{.amsgrad = true}});
  check(NAdam{});
  check(RMSprop{{.momentum = 0.5, .centered = true}});
  check(Adagrad{});
  check(Lion{});
  check(Accumulate{Sgd{}, {.micro_batches = 2}});
  check(Lookahead{Sgd{}, {.every = 2}});
}

TEST_CASE("what is read out of the library names its order", "[order]") {
  using Column = Eigen::Matrix<double, Eigen::Dynamic, 1, Eigen::ColMajor>;
  STATIC_REQUIRE(std::same_as<TailAverage<>::vector_type, Column>);
  STATIC_REQUIRE(std::same_as<Published<>::vector_type, Column>);
  using Model = SparseSgd<>;
  STATIC_REQUIRE(std::same_as<decltype(std::declval<const Model&>().weights()), ByColumns>);
  STATIC_REQUIRE(std::same_as<decltype(std::declval<const Model&>().average()), ByColumns>);
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(std::declval<const Model&>().intercept())>, Column>);
  using Table = RowAverage<>;
  STATIC_REQUIRE(std::same_as<decltype(std::declval<const Table&>().average(six)), ByRows>);
}

TEST_CASE("a sparse model has its weights in their places, in whatever order", "[order]") {
  SparseSgd model{{.features = 4, .outputs = 2, .learning_rate = 1}, TailAverage{}};
  const std::vector<int> indices{1, 3};
  const std::vector<double> values{1, 10};
  model.step(SparseRow{indices, values}, std::vector<double>{-1, -2});
  CHECK(model.weights() == MatrixXd{{0, 0}, {1, 2}, {0, 0}, {10, 20}});
  CHECK(model.average() == model.weights());
  CHECK(model.weights().data()[3] == 10);  // by columns
  CHECK(model.intercept() == VectorXd{{1, 2}});
  const serialize::Bytes bytes = serialize::save(model);
  SparseSgd loaded{{.features = 4, .outputs = 2, .learning_rate = 1}, TailAverage{}};
  serialize::load(bytes, loaded);
  CHECK(loaded.average() == model.average());

  SparseSgd one{{.features = 4, .learning_rate = 1}, Ema{{.decay = 0.5}}};
  for (int t = 0; t < 2; ++t) one.step(SparseRow{indices, values}, -1.0);
  CHECK(one.weights() == MatrixXd{{0}, {2}, {0}, {20}});
  CHECK((one.average() - MatrixXd{{0}, {5.0 / 3}, {0}, {50.0 / 3}}).norm() < 1e-13);
}

TEST_CASE("a table has its rows in their places, in whatever order", "[order]") {
  MatrixXd table = six;
  RowAverage average{table};
  for (int t = 0; t < 2; ++t) average.step(table, std::vector{1}, [&] { table.row(1) *= 2; });
  CHECK(average.average(table) == MatrixXd{{1, 2, 3}, {12, 15, 18}});
  CHECK(average.average_row(table, 1) == MatrixXd{{12, 15, 18}});
  const serialize::Bytes bytes = serialize::save(average);
  RowAverage loaded{table};
  serialize::load(bytes, loaded);
  CHECK(loaded.average(table) == average.average(table));
}

TEST_CASE("a matrix in the other order is refused, not taken for another matrix", "[order]") {
  const std::string rule = "polyak::TailAverage: parameters must keep the shape and storage order, ";
  TailAverage tail;
  ByColumns columns = six;
  ByRows rows = six;
  tail.update(columns);
  const std::string other = "invalid_argument: " + rule + "2x3 column-major, got 2x3 row-major";
  CHECK(support::error_of([&] { tail.update(rows); }) == other);
  CHECK(support::error_of([&] { tail.copy_average_to(rows); }) == other);
  CHECK(support::error_of([&] { auto guard = tail.swap_in(rows); }) == other);
  ByColumns other_shape(3, 2);
  CHECK(support::error_of([&] { tail.copy_average_to(other_shape); }) == "invalid_argument: " + rule + "2x3, got 3x2");
  CHECK(rows == six);
  CHECK(tail.count() == 1);
  VectorXd flat(6);
  tail.copy_average_to(flat);
  CHECK(flat == columns.reshaped());
}
