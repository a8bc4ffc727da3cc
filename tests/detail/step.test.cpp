#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/detail/step.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::error_of;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// --- memory ---

TEST_CASE("two stretches of memory overlap where they share a coordinate") {
  const std::vector<double> memory(10);
  const auto overlaps = [&](std::size_t a, std::size_t n, std::size_t b, std::size_t m) {
    return overlap(std::span(memory).subspan(a, n), std::span(memory).subspan(b, m));
  };
  CHECK(overlaps(0, 5, 4, 5));
  CHECK(overlaps(4, 5, 0, 5));
  CHECK(overlaps(0, 10, 3, 2));
  CHECK(overlaps(3, 2, 0, 10));
  CHECK(overlaps(3, 2, 3, 2));
  CHECK_FALSE(overlaps(0, 5, 5, 5));
  CHECK_FALSE(overlaps(5, 5, 0, 5));
  CHECK_FALSE(overlaps(3, 0, 3, 0));
  CHECK_FALSE(overlaps(3, 0, 0, 10));
  CHECK_FALSE(overlaps(0, 10, 3, 0));
}

TEST_CASE("a gradient may be the parameters or lie beside them, but not across them") {
  std::vector<double> memory(10);
  const auto check = [&](std::size_t params, std::size_t grad, std::size_t n) {
    return error_of([&] {
      const std::span<const double> all = memory;
      check_gradient<double>(std::span(memory).subspan(params, n), all.subspan(grad, n), 2, "A");
    });
  };
  const std::string refused = "invalid_argument: A: the gradient of block 2 must not overlap block 2 of the parameters";
  CHECK(check(0, 0, 10) == "nothing");
  CHECK(check(0, 5, 5) == "nothing");
  CHECK(check(5, 0, 5) == "nothing");
  CHECK(check(0, 7, 3) == "nothing");
  CHECK(check(3, 3, 0) == "nothing");
  CHECK(check(0, 4, 5) == refused);
  CHECK(check(4, 0, 5) == refused);
  CHECK(check(0, 1, 9) == refused);
  CHECK(check(1, 0, 9) == refused);
}

TEST_CASE("an overlapping gradient is refused by every step and moves nothing") {
  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  const auto before = memory;
  const auto params = std::span(memory).first(4);
  const auto grad = std::span(memory).last(4);
  Sgd sgd{{.momentum = 0.5}};
  Averaged averaged{sgd};
  CHECK(error_of([&] { sgd.step(params, grad); }) ==
        "invalid_argument: polyak::Sgd: the gradient of block 0 must not overlap block 0 of the parameters");
  CHECK(error_of([&] { averaged.step(params, grad); }) ==
        "invalid_argument: polyak::Averaged: the gradient of block 0 must not overlap block 0 of the parameters");
  CHECK(memory == before);
  CHECK(sgd.steps() == 0);
  CHECK(averaged.averager().steps() == 0);

  averaged.step(std::span(memory).first(3), std::span(memory).last(3));
  CHECK(averaged.averager().steps() == 1);
}

TEST_CASE("the parameters are a gradient of their own: that of half their square") {
  for (const Eigen::Index n : {1, 7, 511, 512, 513, 5000}) {
    Eigen::VectorXd theta = support::Random(1).vector(n);
    const Eigen::VectorXd start = theta;
    Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{}};
    opt.step(theta, theta);
    opt.step(theta, theta);
    CHECK(theta == start / 4);
    CHECK(opt.average() == 0.375 * start);
  }
}

// --- shapes ---

TEST_CASE("a flat gradient fits what has its size, a matrix what has its shape") {
  CHECK(fits({6, 1}, {6, 1}));
  CHECK(fits({6, 1}, {1, 6}));
  CHECK(fits({2, 3}, {2, 3}));
  CHECK(fits({2, 3}, {6, 1}));
  CHECK(fits({2, 3}, {1, 6}));
  CHECK(fits({0, 3}, {0, 1}));
  CHECK(fits({2, 3, true}, {2, 3, false}));
  CHECK_FALSE(fits({2, 3}, {3, 2}));
  CHECK_FALSE(fits({6, 1}, {2, 3}));
  CHECK_FALSE(fits({1, 6}, {2, 3}));
  CHECK_FALSE(fits({6, 1}, {5, 1}));
  CHECK_FALSE(fits({6, 1}, {0, 1}));
}

TEST_CASE("a message names the block where there are several") {
  const auto message = [](std::size_t block, std::size_t blocks) {
    return error_of([&] { throw_bad_block("A", "rule", block, blocks, {2, 3}, {4, 5}); });
  };
  CHECK(message(0, 1) == "invalid_argument: A: rule, 2x3, got 4x5");
  CHECK(message(0, 2) == "invalid_argument: A: rule of block 0, 2x3, got 4x5");
  CHECK(message(7, 9) == "invalid_argument: A: rule of block 7, 2x3, got 4x5");
  CHECK(error_of([] { throw_overlap("A", 3, 1, false); }) ==
        "invalid_argument: A: block 3 must not overlap block 1 of the parameters");
  CHECK(error_of([] { throw_overlap("A", 3, 1, true); }) ==
        "invalid_argument: A: the gradient of block 3 must not overlap block 1 of the parameters");
}

TEST_CASE("a gradient is viewed where its memory is in the order of the parameters, else evaluated") {
  const MatrixXd columns{{1, 3, 5}, {2, 4, 6}};
  const RowMajorXd rows = columns;
  const auto seen_by = [](const auto& params, const auto& grad) {
    const GradientOfBlock<double> gradient(params, grad, "A");
    const bool same_memory = [&] {
      if constexpr (requires { grad.data(); }) return gradient.data() == grad.data();
      return false;
    }();
    return std::pair(same_memory, std::vector<double>(gradient.data(), gradient.data() + 6));
  };
  const std::vector<double> by_columns{1, 2, 3, 4, 5, 6}, by_rows{1, 3, 5, 2, 4, 6};
  CHECK(seen_by(columns, columns) == std::pair(true, by_columns));
  CHECK(seen_by(rows, rows) == std::pair(true, by_rows));
  CHECK(seen_by(columns, rows) == std::pair(false, by_columns));
  CHECK(seen_by(rows, columns) == std::pair(false, by_rows));
  CHECK(seen_by(columns, 1 * rows) == std::pair(false, by_columns));
  CHECK(seen_by(rows, by_columns) == std::pair(true, by_columns));  // flat: in the order of the parameters already
  const VectorXd vector = VectorXd::LinSpaced(6, 1, 6);
  CHECK(seen_by(vector, vector) == std::pair(true, by_columns));
  CHECK(seen_by(vector, vector.transpose()) == std::pair(true, by_columns));
  CHECK(seen_by(columns, vector + VectorXd::Zero(6)) == std::pair(false, by_columns));
}

// --- the view of a step ---

namespace {

/// What a step of one vector, or of a set, shows its optimizer.
struct Seen {
  std::vector<std::size_t> blocks, offsets, sizes;
  std::vector<double> params, grads;
};

Seen look_at(const StepView<double>& view) {
  Seen seen;
  view.for_each([&](const Slice<double>& slice) {
    seen.blocks.push_back(slice.block);
    seen.offsets.push_back(slice.offset);
    seen.sizes.push_back(slice.params.size());
    seen.params.insert(seen.params.end(), slice.params.begin(), slice.params.end());
    seen.grads.insert(seen.grads.end(), slice.grad, slice.grad + slice.params.size());
  });
  return seen;
}

}  // namespace

TEST_CASE("a view of one block is that block") {
  VectorXd params{{1, 2, 3}};
  const int result = with_view(params, VectorXd{{4, 5, 6}}, "A", [&](const StepView<double>& view) {
    CHECK(view.layout().size() == 3);
    CHECK(view.layout().blocks() == 1);
    CHECK(view.layout().shape(0).rows == 3);
    const Seen seen = look_at(view);
    CHECK(seen.offsets == std::vector<std::size_t>{0});
    CHECK(seen.params == std::vector<double>{1, 2, 3});
    CHECK(seen.grads == std::vector<double>{4, 5, 6});
    const VectorXd other{{7, 8, 9}};
    CHECK(look_at(view.along(other.data())).grads == std::vector<double>{7, 8, 9});
    CHECK(look_at(view.along(other.data())).params == std::vector<double>{1, 2, 3});
    return 42;
  });
  CHECK(result == 42);
}

TEST_CASE("a view of a set is its blocks in order") {
  MatrixXd w{{1, 3}, {2, 4}};
  VectorXd none(0), b{{5, 6, 7}};
  const MatrixXd gw{{10, 30}, {20, 40}};
  const VectorXd gnone(0), gb{{50, 60, 70}};
  ParameterSet params{w, none, b};
  with_view(params, ParameterSet{gw, gnone, gb}, "A", [&](const StepView<double>& view) {
    CHECK(view.layout().size() == 7);
    CHECK(view.layout().blocks() == 3);
    CHECK(view.layout().shape(0).cols == 2);
    CHECK(view.layout().shape(1).size() == 0);
    CHECK(view.layout().shape(2).rows == 3);
    const Seen seen = look_at(view);
    CHECK(seen.blocks == std::vector<std::size_t>{0, 1, 2});
    CHECK(seen.offsets == std::vector<std::size_t>{0, 4, 4});
    CHECK(seen.sizes == std::vector<std::size_t>{4, 0, 3});
    CHECK(seen.params == std::vector<double>{1, 2, 3, 4, 5, 6, 7});
    CHECK(seen.grads == std::vector<double>{10, 20, 30, 40, 50, 60, 70});
    const std::vector<double> other{1, 2, 3, 4, 5, 6, 0.5};
    CHECK(look_at(view.along(other.data())).grads == other);
    CHECK(look_at(view.along(other.data())).params == seen.params);
  });
}

TEST_CASE("filters of a view compose, the outer one first, and a gradient of its own has none") {
  VectorXd params{{1}};
  with_view(params, params, "A", [](const StepView<double>& view) {
    CHECK(view.filter().scale == 1);
    CHECK(view.filter().limit == support::infinity);
    const auto once = view.filtered({.scale = 0.5, .limit = 3});
    CHECK(once.filter().scale == 0.5);
    CHECK(once.filter().limit == 3);
    CHECK(view.filter().scale == 1);
    const auto twice = once.filtered({.scale = 0.25});
    CHECK(twice.filter().scale == 0.125);
    CHECK(twice.filter().limit == 0.75);  // what was clamped is scaled as well
    CHECK(once.filtered({.limit = 2}).filter().limit == 2);
    CHECK(once.filtered({.limit = 8}).filter().limit == 3);
    const double other = 1;
    CHECK(twice.along(&other).filter().scale == 1);
    CHECK(twice.along(&other).filter().limit == support::infinity);
  });
}

// --- whole steps ---

TEST_CASE("a whole step was taken unless it says otherwise") {
  VectorXd params{{1}};
  const auto taken = [&](auto optimizer) { return step_whole(optimizer, params, params); };
  struct Counting {
    int step(VectorXd&, const VectorXd&) { return 0; }  // a number is no answer
  };
  struct Refusing {
    bool step(VectorXd&, const VectorXd&) { return false; }
    void operator()(VectorXd&, const VectorXd&) {}  // step comes first
  };
  CHECK(taken([](VectorXd&, const VectorXd&) {}));
  CHECK(taken([](VectorXd&, const VectorXd&) { return true; }));
  CHECK(taken(Counting{}));
  CHECK_FALSE(taken([](VectorXd&, const VectorXd&) { return false; }));
  CHECK_FALSE(taken(Refusing{}));
}
