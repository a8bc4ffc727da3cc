#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/io/checkpoint.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/lookahead.hpp>

#include <Eigen/Core>

#include <filesystem>
#include <string>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"
#include "support.hpp"

// A run goes on with blocks that were added, left out or resized: what is common is loaded, and the rest has a start.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::error_of;
using support::has;

namespace {

using Told = std::vector<std::string>;
using Trainer = Averaged<Lookahead<Adam<>>, Ema<>, Lawa<>>;

Trainer trainer() {
  return Trainer{Lookahead{Adam{{.learning_rate = 0.1}}, {.every = 2}}, Ema{{.decay = 0.5}}, Lawa{{.window = 2}}};
}

/// A saved run of a 3 × 2 matrix, whose columns are 1, 2, 3 and 4, 5, 6, and a vector.
struct Saved {
  files::Directory directory;
  std::filesystem::path path = directory / "run";
  MatrixXd w{{1, 4}, {2, 5}, {3, 6}};
  VectorXd b{{7, 8}};
  Trainer opt = trainer();

  Saved() {
    for (int t = 0; t < 5; ++t) {
      const MatrixXd dw = support::Random(static_cast<std::uint64_t>(t)).vector(6).reshaped(3, 2);
      opt.step(ParameterSet{w, b}, ParameterSet{dw, b});
    }
    save(path, named("layers", ParameterSet{w, b}), named("opt", opt));
  }
};

/// One array of a saved state.
VectorXd array(Trainer& opt, const std::string& name, Eigen::Index size) {
  const files::Directory directory;
  save(directory / "state", named("opt", opt));
  VectorXd numbers(size);
  load(directory / "state", named("opt." + name, numbers));
  return numbers;
}

}  // namespace

TEST_CASE("rows and a block that were added begin as the weights that are there", "[checkpoint]") {
  Saved run;
  MatrixXd w = MatrixXd::Constant(4, 2, 9);
  VectorXd b = VectorXd::Zero(2), added{{5}};
  Trainer opt = trainer();
  OtherOptions other;
  load(run.path, other, named("opt", opt), named("layers", ParameterSet{w, b, added}));
  CHECK(other.differences == Told{"\"layers.0\" was (3, 2), is (4, 2)", "\"layers.2\" is not in the file"});
  CHECK(w.topRows(3) == run.w);
  CHECK(w.row(3) == Eigen::RowVector2d(9, 9));
  CHECK(b == run.b);
  CHECK(added[0] == 5);

  const auto grown = [](const auto& block, const auto& last, double start) {
    VectorXd all(11);
    all << block.col(0), start, block.col(1), start, last, start;
    return all;
  };
  CHECK(opt.average<0>().head(3) == run.opt.average_block<0>(0).col(0));
  VectorXd expected = grown(run.opt.average_block<0>(0), run.opt.average_block<0>(1), 9);
  expected[10] = 5;
  CHECK(opt.average<0>() == expected);
  expected = grown(run.opt.average_block<1>(0), run.opt.average_block<1>(1), 9);
  expected[10] = 5;
  CHECK(opt.average<1>() == expected);
  for (const std::string name : {"optimizer.optimizer.moment", "optimizer.optimizer.square"}) {
    const VectorXd before = array(run.opt, name, 8);
    CHECK(array(opt, name, 11) == grown(before.head(6).reshaped(3, 2), before.tail(2), 0));
  }
  expected = array(run.opt, "optimizer.slow", 8);
  expected = grown(VectorXd(expected.head(6)).reshaped(3, 2), VectorXd(expected.tail(2)), 9);
  expected[10] = 5;
  CHECK(array(opt, "optimizer.slow", 11) == expected);

  // What is common goes on as it would have.
  const MatrixXd dw = MatrixXd::Constant(4, 2, 0.25), old_dw = dw.topRows(3);
  opt.step(ParameterSet{w, b, added}, ParameterSet{dw, b, added});
  run.opt.step(ParameterSet{run.w, run.b}, ParameterSet{old_dw, run.b});
  CHECK(w.topRows(3) == run.w);
  CHECK(b == run.b);
  CHECK(opt.average_block<0>(0).topRows(3) == run.opt.average_block<0>(0));
  CHECK(opt.average_block<1>(1) == run.opt.average_block<1>(1));
  CHECK(opt.optimizer().steps() == 6);
}

TEST_CASE("a block that is left out, and what a smaller one lacks, is gone", "[checkpoint]") {
  Saved run;
  MatrixXd w = MatrixXd::Zero(2, 2);
  Trainer opt = trainer();
  OtherOptions other;
  load(run.path, other, named("layers", std::vector{Eigen::Map<MatrixXd>(w.data(), 2, 2)}), named("opt", opt));
  CHECK(w == run.w.topRows(2));
  CHECK(opt.average_block<0>(0) == run.opt.average_block<0>(0).topRows(2));
  CHECK(other.differences == Told{"\"layers.0\" was (3, 2), is (2, 2)", "\"layers.1\" is left out"});
}

TEST_CASE("other blocks are refused where other options are not asked for, and other scalars always", "[checkpoint]") {
  Saved run;
  MatrixXd w = MatrixXd::Constant(4, 2, 9);
  VectorXd b = VectorXd::Zero(2);
  CHECK(has(error_of([&] { load(run.path, named("layers", ParameterSet{w, b})); }), "must be F64, 4 x 2"));
  Eigen::MatrixXf single = Eigen::MatrixXf::Zero(4, 2);
  OtherOptions other{{"as it was"}};
  CHECK(has(error_of([&] { load(run.path, other, named("layers.0", single)); }), "must be F32, 3 x 2"));
  CHECK(other.differences == Told{"as it was"});
  CHECK(w == MatrixXd::Constant(4, 2, 9));
  CHECK(b == VectorXd::Zero(2));
  CHECK(single == Eigen::MatrixXf::Zero(4, 2));
}

TEST_CASE("a state that may be that of either of two models is refused where one of them was resized", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run";
  VectorXd a = VectorXd::Ones(4), b = VectorXd::Constant(4, 2);
  Averaged of_a{Sgd{}, Ema{}}, of_b = of_a;
  of_a.step(a, a);
  of_b.step(b, b);
  save(path, named("a", a), named("of_a", of_a), named("b", b), named("of_b", of_b));
  VectorXd longer = VectorXd::Constant(6, 9);
  OtherOptions other;
  CHECK(has(error_of([&] { load(path, other, named("a", longer), named("of_b", of_b), named("b", b)); }),
            "\"of_b.optimizer\" is the state of one of several parameters that were saved with the same blocks"));
  load(path, other, named("a", longer), named("of_a", of_a));
  load(path, other, named("b", b), named("of_b", of_b));
  CHECK(of_a.average().head(4) == a);
  CHECK(of_a.average().tail(2) == VectorXd::Constant(2, 9));
  CHECK(of_b.average() == b);
}
