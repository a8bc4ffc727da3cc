#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/io/checkpoint.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_row.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <array>
#include <string>

#include "io/files.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"
#include "serialize/checks.hpp"

// Every part goes through a file, and then on as if it had not. That no two things of a part have one name is seen
// here.

using namespace polyak;

namespace {

/// Trains a part, takes it through a file into one that is fresh, and trains both.
template <class Part, class Train>
void check(const std::string& name, Part part, const Train& train) {
  INFO(name);
  const files::Directory directory;
  const auto saved = [&](const Part& object) {
    save(directory / "part", named("part", object));
    return files::read(directory / "part");
  };
  Part loaded = part;
  train(part);
  const std::string before = saved(part);
  CHECK(before != saved(loaded));
  save(directory / "part", named("part", part));
  load(directory / "part", named("part", loaded));
  CHECK(saved(loaded) == before);
  train(part);
  train(loaded);
  CHECK(saved(loaded) == saved(part));
}

template <class Row, class Construct>
void check_row(Row row, const Construct& construct) {
  for (const auto& options : row.variants()) {
    check(row.name, construct(options), [](auto& part) {
      const serialize::Run<double> run(5, 3);
      auto theta = run.start;
      for (const auto& gradient : run.gradients) serialize::take_step(part, theta, gradient);
    });
  }
}

template <class Model>
void check_sparse(const std::string& name, Model model) {
  check(name, std::move(model), [](Model& each) {
    const std::array index{0, 3};
    const std::array value{1.0, -2.0};
    const std::array<double, 2> derivatives{0.5, -0.25};
    for (int t = 0; t < 3; ++t) each.step(SparseRow{index, value}, derivatives);
  });
}

}  // namespace

TEST_CASE("every optimizer, averager and wrapper goes through a file", "[checkpoint]") {
  parts::for_each(parts::optimizers, [](auto row) {
    check_row(row, [](const auto& options) { return typename decltype(row)::template type<double>(options); });
  });
  parts::for_each(parts::averagers, [](auto row) {
    check_row(row, [](const auto& options) { return Guarded(typename decltype(row)::template type<double>(options)); });
  });
  parts::for_each(parts::wrappers, [](auto row) {
    check_row(row,
              [](const auto& options) { return parts::wrapped<decltype(row)>(Sgd<>{{.momentum = 0.5}}, options); });
  });
}

TEST_CASE("sparse models and the average of a table go through a file", "[checkpoint]") {
  check_sparse("SparseSgd", SparseSgd({.features = 4, .outputs = 2, .l2 = 0.1, .l1 = 0.01}, Ema{{.decay = 0.5}}));
  check_sparse("SparseAdagrad", SparseAdagrad<>({.features = 4, .outputs = 2, .l1 = 0.01}));
  check("RowAverage", RowAverage(Eigen::MatrixXd::Ones(3, 2), Ema{{.decay = 0.5}}), [](auto& average) {
    Eigen::MatrixXd table = Eigen::MatrixXd::Ones(3, 2);
    for (int t = 0; t < 3; ++t) average.step(table, std::array{1}, [&] { table.row(1) *= 2; });
  });
}
