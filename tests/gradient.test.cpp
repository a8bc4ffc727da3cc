#include <polyak/averaged.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/gradient.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;
using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::error_of;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// --- memory ---

TEST_CASE("a gradient may be the parameters or lie beside them, but not across them") {
  std::vector<double> memory(10);
  const auto check = [&](std::size_t params, std::size_t grad, std::size_t n) {
    return error_of([&] { check_gradient(memory.data() + params, memory.data() + grad, n, 2, "A"); });
  };
  const std::string refused = "invalid_argument: A: the gradient of block 2 must not overlap block 2 of the parameters";
  CHECK(check(0, 0, 10) == "nothing");
  CHECK(check(0, 5, 5) == "nothing");
  CHECK(check(5, 0, 5) == "nothing");
  CHECK(check(0, 7, 3) == "nothing");
  CHECK(check(3, 3, 0) == "nothing");
  CHECK(check(3, 2, 0) == "nothing");
  CHECK(check(2, 3, 0) == "nothing");
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

TEST_CASE("a message on an overlap names both blocks") {
  CHECK(error_of([] { throw_overlap("A", 3, 1, false); }) ==
        "invalid_argument: A: block 3 must not overlap block 1 of the parameters");
  CHECK(error_of([] { throw_overlap("A", 3, 1, true); }) ==
        "invalid_argument: A: the gradient of block 3 must not overlap block 1 of the parameters");
}

TEST_CASE("a gradient is viewed where its memory is in the order of the parameters, else evaluated") {
  const MatrixXd columns{{1, 3, 5}, {2, 4, 6}};
  const RowMajorXd rows = columns;
  const auto seen_by = [](const auto& params, const auto& grad) {
    auto moved = params;
    BlockWithGradient<double> look(moved, grad, "A");
    CHECK(look.block().params == moved.data());
    CHECK(look.block().shape.size() == 6);
    CHECK(look.block().offset == 0);
    const auto* const gradient = static_cast<const double*>(look.block().grad);
    const bool same_memory = [&] {
      if constexpr (requires { grad.data(); }) return gradient == grad.data();
      return false;
    }();
    return std::pair(same_memory, std::vector<double>(gradient, gradient + 6));
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

// --- a set and its gradient, side by side ---

TEST_CASE("a look at a set says where its blocks and their gradients lie, and in what shape") {
  MatrixXd w{{1, 3}, {2, 4}};
  RowMajorXd r(1, 3);
  VectorXd none(0), b{{5, 6, 7}};
  const MatrixXd gw = w;
  const RowMajorXd gr = r;
  const VectorXd gnone(0), gb = b;
  BlockList list;
  auto params = ParameterSet{w, none, r, b};
  list.look(params, ParameterSet{gw, gnone, gr, gb}, "A");
  REQUIRE(list.size() == 4);
  const BlockRef* const blocks = list.data();
  CHECK(blocks[0].params == w.data());
  CHECK(blocks[0].grad == gw.data());
  CHECK(blocks[0].shape.rows == 2);
  CHECK(blocks[0].shape.cols == 2);
  CHECK(blocks[1].shape.size() == 0);
  CHECK(blocks[2].params == r.data());
  CHECK(blocks[2].shape.row_major);
  CHECK(blocks[3].grad == gb.data());
  CHECK(blocks[3].shape.rows == 3);
  const auto offsets = [&list] {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < list.size(); ++i) all.push_back(list.data()[i].offset);
    return all;
  };
  CHECK(offsets() == std::vector<std::size_t>{0, 4, 4, 7});
  // What is only read is its own gradient, which nobody asks for.
  const std::vector<VectorXd> read{b, b};
  list.look(read, read, "A");
  REQUIRE(list.size() == 2);
  CHECK(list.data()[1].params == read[1].data());
  CHECK(offsets() == std::vector<std::size_t>{0, 3});
}

TEST_CASE("a set and its gradient have the same blocks, in the same order of storage") {
  MatrixXd w(2, 3);
  VectorXd b(4);
  const auto refused = [&](const auto& gradient) {
    BlockList list;
    auto params = ParameterSet{w, b};
    return error_of([&] { list.look(params, gradient, "A"); });
  };
  const std::string shape = "invalid_argument: A: the gradient must have the shape of the parameters of block ";
  MatrixXd three_by_two(3, 2);
  RowMajorXd by_rows(2, 3);
  VectorXd flat(6), longer(5);
  CHECK(refused(ParameterSet{w, b}) == "nothing");
  CHECK(refused(ParameterSet{flat, b}) == "nothing");
  CHECK(refused(ParameterSet{w}) ==
        "invalid_argument: A: the gradient must have as many blocks as the parameters, 2, got 1");
  CHECK(refused(ParameterSet{three_by_two, b}) == shape + "0, 2x3, got 3x2");
  CHECK(refused(ParameterSet{w, longer}) == shape + "1, 4x1, got 5x1");
  CHECK(refused(ParameterSet{by_rows, b}) ==
        "invalid_argument: A: the gradient of block 0 must be stored in the order of the parameters");
  auto across = ParameterSet{Map<VectorXd>(w.data(), 3)};
  BlockList list;
  CHECK(error_of([&] { list.look(across, ParameterSet{Map<VectorXd>(w.data() + 1, 3)}, "A"); }) ==
        "invalid_argument: A: the gradient of block 0 must not overlap block 0 of the parameters");
}

// --- where the blocks of a step lie ---

namespace {

/// Stretches of one memory as blocks and, of another, as their gradients.
class Memory {
 public:
  Map<VectorXd> params(Eigen::Index from, Eigen::Index n) { return Map<VectorXd>(params_.data() + from, n); }
  Map<VectorXd> gradient(Eigen::Index from, Eigen::Index n) { return Map<VectorXd>(gradient_.data() + from, n); }

 private:
  VectorXd params_ = VectorXd::Zero(20);
  VectorXd gradient_ = VectorXd::Ones(20);
};

/// What a step of these says.
template <class P, class G>
std::string checked(BlockList& list, P&& params, const G& gradient) {
  return error_of([&] {
    list.look(params, gradient, "B");
    list.require_apart(sizeof(double), "A");
  });
}

}  // namespace

TEST_CASE("blocks that have moved are looked at again") {
  Memory memory;
  BlockList list;
  const auto at = [&](Eigen::Index a, Eigen::Index b) {
    return ParameterSet{memory.params(a, 3), memory.params(b, 3)};
  };
  const auto gradient = ParameterSet{memory.gradient(0, 3), memory.gradient(3, 3)};
  const std::string refused = "invalid_argument: A: block 1 must not overlap block 0 of the parameters";
  CHECK(checked(list, at(0, 3), gradient) == "nothing");
  CHECK(checked(list, at(0, 3), gradient) == "nothing");
  CHECK(checked(list, at(0, 2), gradient) == refused);
  CHECK(checked(list, at(0, 2), gradient) == refused);  // and is not remembered as good
  CHECK(checked(list, at(0, 3), gradient) == "nothing");
  CHECK(checked(list, at(1, 3), gradient) == refused);
  CHECK(checked(list, at(3, 0), gradient) == "nothing");
  CHECK(checked(list, at(1, 2), gradient) == refused);  // both of them elsewhere
}

TEST_CASE("gradients that have moved are looked at again") {
  Memory memory;
  BlockList list;
  const auto set = ParameterSet{memory.params(0, 3), memory.params(3, 3)};
  const auto with = [&](auto first, auto second) { return checked(list, set, ParameterSet{first, second}); };
  CHECK(with(memory.gradient(0, 3), memory.gradient(3, 3)) == "nothing");
  CHECK(with(memory.gradient(0, 3), memory.params(0, 3)) ==
        "invalid_argument: A: the gradient of block 1 must not overlap block 0 of the parameters");
  CHECK(with(memory.params(0, 3), memory.params(3, 3)) == "nothing");  // each that of its own block
  CHECK(with(memory.params(3, 3), memory.gradient(3, 3)) ==
        "invalid_argument: A: the gradient of block 0 must not overlap block 1 of the parameters");
  CHECK(with(memory.gradient(5, 3), memory.gradient(5, 3)) == "nothing");  // gradients may share
}

TEST_CASE("blocks that have grown where they are, or are other in number, are looked at again") {
  Memory memory;
  BlockList list;
  const auto gradient = [&](Eigen::Index n) { return ParameterSet{memory.gradient(0, n), memory.gradient(10, 3)}; };
  const auto at = [&](Eigen::Index n) { return ParameterSet{memory.params(0, n), memory.params(3, 3)}; };
  CHECK(checked(list, at(3), gradient(3)) == "nothing");
  CHECK(checked(list, at(4), gradient(4)) == "invalid_argument: A: block 1 must not overlap block 0 of the parameters");
  CHECK(checked(list, at(3), gradient(3)) == "nothing");
  CHECK(checked(list, ParameterSet{memory.params(0, 4), memory.params(3, 4)},
                ParameterSet{memory.gradient(0, 4), memory.gradient(10, 4)}) != "nothing");  // all of them
  CHECK(checked(list, at(3), gradient(3)) == "nothing");
  const auto three = ParameterSet{memory.params(0, 3), memory.params(3, 3), memory.params(5, 1)};
  CHECK(checked(list, three, ParameterSet{memory.gradient(0, 3), memory.gradient(10, 3), memory.gradient(3, 1)}) ==
        "invalid_argument: A: block 2 must not overlap block 1 of the parameters");
  CHECK(checked(list, at(3), gradient(3)) == "nothing");
}

TEST_CASE("a copy of a list goes its own way") {
  Memory memory;
  BlockList list;
  const auto gradient = ParameterSet{memory.gradient(0, 3), memory.gradient(10, 3)};
  CHECK(checked(list, ParameterSet{memory.params(0, 3), memory.params(3, 3)}, gradient) == "nothing");
  BlockList copy = list;
  CHECK(checked(copy, ParameterSet{memory.params(0, 3), memory.params(2, 3)}, gradient) != "nothing");
  CHECK(checked(list, ParameterSet{memory.params(0, 3), memory.params(3, 3)}, gradient) == "nothing");
}

TEST_CASE("a first step that came to nothing vouches for no blocks of other sizes") {
  bool fails = true;
  const auto gain = [&fails](std::uint64_t) -> double {
    if (fails) throw std::runtime_error("no gain");
    return 1;
  };
  Averaged opt{Sgd{}, GainAverage{{.gain = gain}}};
  Memory memory;
  CHECK_THROWS_WITH(opt.step(ParameterSet{memory.params(0, 3), memory.params(3, 3)},
                             ParameterSet{memory.gradient(0, 3), memory.gradient(10, 3)}),
                    "no gain");
  fails = false;
  CHECK(error_of([&] {
          opt.step(ParameterSet{memory.params(0, 4), memory.params(3, 3)},
                   ParameterSet{memory.gradient(0, 4), memory.gradient(10, 3)});
        }).ends_with("block 1 must not overlap block 0 of the parameters"));
  CHECK(memory.params(0, 6) == VectorXd::Zero(6));
  CHECK(opt.optimizer().steps() == 0);
}

TEST_CASE("overlaps are found wherever they are among many blocks") {
  support::Random random(3);
  int refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    // Blocks side by side, in any order, of which some trials move one onto others; gradients anywhere.
    const std::size_t n = random.integer(2, 14);
    VectorXd memory = VectorXd::Zero(120);
    const auto at = [&](std::uint64_t from, std::uint64_t size) {
      return Map<VectorXd>(memory.data() + from, static_cast<Eigen::Index>(size));
    };
    std::vector<Map<VectorXd>> params, gradient;
    std::vector<std::uint64_t> from(n), size(n), gradient_from(n);
    for (std::size_t i = 0; i < n; ++i) {
      size[i] = random.integer(0, 3);
      from[i] = 3 * i;
    }
    std::swap(from[0], from[random.integer(0, n - 1)]);
    if (random.integer(0, 2) == 0) from[random.integer(0, n - 1)] = random.integer(0, 3 * n);
    for (std::size_t i = 0; i < n; ++i) {
      const bool own = random.integer(0, 2) == 0;
      gradient_from[i] = own ? from[i] : random.integer(random.integer(0, 3) == 0 ? 0 : 45, 110);
      params.push_back(at(from[i], size[i]));
      gradient.push_back(at(gradient_from[i], size[i]));
    }
    bool expected = false;
    bool across_itself = false;
    const auto meet = [&](std::uint64_t a, std::uint64_t na, std::uint64_t b, std::uint64_t nb) {
      return na > 0 && nb > 0 && a < b + nb && b < a + na;
    };
    for (std::size_t i = 0; i < n; ++i) {
      across_itself |= from[i] != gradient_from[i] && meet(from[i], size[i], gradient_from[i], size[i]);
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        expected |= meet(from[i], size[i], from[j], size[j]) || meet(from[i], size[i], gradient_from[j], size[j]);
      }
    }
    if (across_itself) continue;  // refused before
    BlockList list;
    const std::string result = checked(list, params, gradient);
    CHECK((result != "nothing") == expected);
    refused += expected ? 1 : 0;
  }
  CHECK(refused > 200);
  CHECK(refused < 1800);
}
