#include <polyak/polyak.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "holders.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"
#include "slices_only.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::Map;
using MatrixXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using Eigen::VectorXd;
using support::error_of;
using RowMajorXd = holders::RowMajorMatrix<double>;

namespace {

/// Two layers: weights in either storage order, and biases.
struct Net {
  MatrixXd w1 = MatrixXd(2, 3);
  VectorXd b1 = VectorXd(2);
  RowMajorXd w2 = RowMajorXd(4, 2);
  std::vector<double> b2 = std::vector<double>(4);

  explicit Net(double from) {
    double next = from;
    memory().write(VectorXd::NullaryExpr(20, [&next](Eigen::Index) { return next++; }));
  }
  auto set() { return ParameterSet{w1, b1, w2, b2}; }
  auto set() const { return ParameterSet{w1, b1, w2, b2}; }
  VectorXd flat() { return memory().read(); }

 private:
  holders::Memory<double> memory() { return holders::Memory<double>(w1, b1, w2, b2); }
};

/// The message of a step that must throw and leave everything as it is.
template <class Optimizer, class Params, class Grad>
std::string refused(Optimizer& optimizer, Params&& params, const Grad& gradient) {
  return error_of([&] { optimizer.step(params, gradient); });
}

}  // namespace

// --- what does not fit ---

TEST_CASE("a gradient that does not fit is named by its block") {
  Net net(1), gradient(0.5);
  const VectorXd before = net.flat();
  const auto message = [&](auto&& params, const auto& g) {
    Averaged opt{Sgd{{.momentum = 0.9}}, Ema{}};
    const std::string text = refused(opt, params, g);
    CHECK(net.flat() == before);
    CHECK(opt.optimizer().steps() == 0);
    CHECK(opt.averager().steps() == 0);
    CHECK_FALSE(opt.has_average());
    CHECK(opt.step(net.w1, gradient.w1));  // nothing is remembered of it
    net = Net(1);
    return text;
  };
  const std::string who = "invalid_argument: polyak::Averaged: ";

  CHECK(message(net.set(), ParameterSet{gradient.w1, gradient.b1, gradient.w2}) ==
        who + "the gradient must have as many blocks as the parameters, 4, got 3");
  CHECK(message(ParameterSet{net.w1, net.b1}, gradient.set()) ==
        who + "the gradient must have as many blocks as the parameters, 2, got 4");
  CHECK(message(ParameterSet{net.w1, net.b1}, std::vector<VectorXd>()) ==
        who + "the gradient must have as many blocks as the parameters, 2, got 0");

  const MatrixXd transposed = MatrixXd::Zero(3, 2);
  CHECK(message(ParameterSet{net.b1, net.w1}, ParameterSet{gradient.b1, transposed}) ==
        who + "the gradient must have the shape of the parameters of block 1, 2x3, got 3x2");
  CHECK(message(ParameterSet{net.w1, net.b1}, ParameterSet{transposed, gradient.b1}) ==
        who + "the gradient must have the shape of the parameters of block 0, 2x3, got 3x2");
  CHECK(message(net.set(), ParameterSet{gradient.w1, gradient.b1, gradient.w2, gradient.b1}) ==
        who + "the gradient must have the shape of the parameters of block 3, 4x1, got 2x1");
  CHECK(message(ParameterSet{net.w1, net.b1}, ParameterSet{gradient.b1, gradient.w1}) ==
        who + "the gradient must have the shape of the parameters of block 0, 2x3, got 2x1");

  const MatrixXd other_order = gradient.w2;
  CHECK(message(ParameterSet{net.w1, net.w2}, ParameterSet{gradient.w1, other_order}) ==
        who + "the gradient of block 1 must be stored in the order of the parameters");
}

TEST_CASE("a flat gradient fits a block of its size, as it does one matrix") {
  Net net(1);
  const Net gradient(1);
  const VectorXd six = VectorXd::LinSpaced(6, 1, 6);
  Sgd sgd{{.learning_rate = 1}};
  sgd.step(ParameterSet{net.w1, net.b1}, ParameterSet{six, gradient.b1});
  CHECK(net.w1 == Net(1).w1 - Eigen::Map<const MatrixXd>(six.data(), 2, 3));
  // A row and a column are both vectors.
  Eigen::RowVectorXd row = Eigen::RowVectorXd::Ones(2);
  Sgd other{{.learning_rate = 1}};
  other.step(ParameterSet{row, net.w1}, ParameterSet{gradient.b1, gradient.w1});
  CHECK(row == Eigen::RowVectorXd::Ones(2) - gradient.b1.transpose());
  // It has no order to differ in.
  Eigen::RowVectorXd flat = six.transpose();
  Net third(1);
  other.reset();
  other.step(ParameterSet{third.w1, third.b1}, ParameterSet{flat, gradient.b1});
  CHECK(third.w1 == Net(1).w1 - Eigen::Map<const MatrixXd>(six.data(), 2, 3));
}

TEST_CASE("blocks that share memory are named") {
  VectorXd memory = VectorXd::LinSpaced(10, 1, 10);
  const VectorXd before = memory;
  const auto at = [&](Eigen::Index from, Eigen::Index n) { return Map<VectorXd>(memory.data() + from, n); };
  const VectorXd three = VectorXd::Ones(3);
  const auto message = [&](const auto& params, const auto& gradient) {
    Sgd sgd;
    const std::string text = refused(sgd, params, gradient);
    CHECK(memory == before);
    CHECK(sgd.steps() == 0);
    return text;
  };
  const std::string who = "invalid_argument: polyak::Sgd: ";
  Sgd still{{.learning_rate = 0}};  // neighbours do not overlap
  CHECK(still.step(ParameterSet{at(0, 3), at(3, 3), at(6, 3)}, ParameterSet{three, three, three}));
  CHECK(message(ParameterSet{at(0, 3), at(5, 3), at(2, 3)}, ParameterSet{three, three, three}) ==
        who + "block 2 must not overlap block 0 of the parameters");
  CHECK(message(ParameterSet{at(0, 3), at(5, 3), at(5, 3)}, ParameterSet{three, three, three}) ==
        who + "block 2 must not overlap block 1 of the parameters");
  CHECK(message(ParameterSet{at(4, 3), at(2, 3)}, ParameterSet{three, three}) ==
        who + "block 1 must not overlap block 0 of the parameters");

  SECTION("a gradient may be the memory of its block, but not lie across it") {
    Sgd sgd{{.learning_rate = 0.5}};
    sgd.step(ParameterSet{at(0, 5), at(5, 5)}, ParameterSet{at(0, 5), at(5, 5)});
    CHECK(memory == before / 2);
    memory = before;
    CHECK(message(ParameterSet{at(0, 3), at(5, 3)}, ParameterSet{three, at(6, 3)}) ==
          who + "the gradient of block 1 must not overlap block 1 of the parameters");
  }
  SECTION("a gradient must not lie in another block") {
    // The first block moves before the second reads its gradient there.
    CHECK(message(ParameterSet{at(0, 3), at(5, 3)}, ParameterSet{three, at(0, 3)}) ==
          who + "the gradient of block 1 must not overlap block 0 of the parameters");
    CHECK(message(ParameterSet{at(0, 3), at(5, 3)}, ParameterSet{at(5, 3), three}) ==
          who + "the gradient of block 0 must not overlap block 1 of the parameters");
    CHECK(message(ParameterSet{at(0, 3), at(5, 3)}, ParameterSet{at(5, 3), at(0, 3)}) != "nothing");
  }
}

TEST_CASE("later steps must keep the blocks of the first") {
  Net net(1), gradient(0.5);
  const auto message = [](auto optimizer, auto&& first, const auto& along, auto&& second,
                          const auto& gradient_of_second) {
    optimizer.step(first, along);
    const std::string text = refused(optimizer, second, gradient_of_second);
    CHECK(optimizer.steps() == 1);
    return text;
  };
  const auto check = [&](auto optimizer, const std::string& who) {
    INFO(who);
    CHECK(message(optimizer, ParameterSet{net.w1, net.b1}, ParameterSet{gradient.w1, gradient.b1},
                  ParameterSet{net.w1, net.b1, net.w2}, ParameterSet{gradient.w1, gradient.b1, gradient.w2}) ==
          "invalid_argument: " + who + ": parameters must keep the number of blocks of the first step, 2, got 3");
    CHECK(message(optimizer, ParameterSet{net.w1, net.b1}, ParameterSet{gradient.w1, gradient.b1},
                  ParameterSet{net.w1, net.w2}, ParameterSet{gradient.w1, gradient.w2}) ==
          "invalid_argument: " + who + ": parameters must keep the size of block 1, 2x1, got 4x2");
    // Not even where the whole is as long.
    CHECK(message(optimizer, ParameterSet{net.w1, net.b1}, ParameterSet{gradient.w1, gradient.b1},
                  ParameterSet{net.b1, net.w1}, ParameterSet{gradient.b1, gradient.w1}) ==
          "invalid_argument: " + who + ": parameters must keep the size of block 0, 2x3, got 2x1");
    VectorXd eight(8);
    eight.setOnes();
    CHECK(message(optimizer, ParameterSet{net.w1, net.b1}, ParameterSet{gradient.w1, gradient.b1},
                  Map<VectorXd>(eight.data(), 8), eight) ==
          "invalid_argument: " + who + ": parameters must keep the number of blocks of the first step, 2, got 1");
    CHECK(message(optimizer, Map<VectorXd>(eight.data(), 8), eight, Map<VectorXd>(eight.data(), 7),
                  VectorXd(eight.head(7))) ==
          "invalid_argument: " + who + ": parameters must keep the size, 8x1, got 7x1");
  };
  check(Sgd{}, "polyak::Sgd");
  check(AdamW{}, "polyak::AdamW");
  check(Lion{}, "polyak::Lion");
  check(Lookahead{Sgd{}}, "polyak::Lookahead");

  Averaged opt{[](auto&, const auto&) {}, Ema{}};
  opt.step(ParameterSet{net.w1, net.b1}, ParameterSet{gradient.w1, gradient.b1});
  CHECK(refused(opt, ParameterSet{net.w1, net.w2}, ParameterSet{gradient.w1, gradient.w2}) ==
        "invalid_argument: polyak::Ema: parameters must keep the size of block 1, 2x1, got 4x2");
  CHECK(opt.averager().steps() == 1);
}

TEST_CASE("a block that is strided is refused when it is known") {
  MatrixXd wide = MatrixXd::Ones(5, 4);
  auto top = wide.topRows(2);
  CHECK(error_of([&] {
          ParameterSet set{top, wide};
        }) == "invalid_argument: polyak::ParameterSet: block 0 must be contiguous, got inner stride 1, outer stride 5");
  auto row = wide.row(0);
  CHECK(error_of([&] {
          ParameterSet set{wide, row};
        }) == "invalid_argument: polyak::ParameterSet: block 1 must be contiguous, got inner stride 5, outer stride 1");
  using EverySecond = Map<VectorXd, 0, Eigen::InnerStride<2>>;
  static_assert(!Parameters<EverySecond>);
  static_assert(!ReadableParameters<std::vector<EverySecond>&>);
  static_assert(ReadableParameters<std::vector<Map<VectorXd>>&>);

  using Strided = Map<MatrixXd, 0, Eigen::OuterStride<>>;
  std::vector<Strided> maps{Strided(wide.data(), 5, 1, Eigen::OuterStride<>(5)),
                            Strided(wide.data() + 5, 2, 3, Eigen::OuterStride<>(5))};
  Sgd sgd;
  const std::vector<MatrixXd> gradient{MatrixXd::Ones(5, 1), MatrixXd::Ones(2, 3)};
  CHECK(refused(sgd, maps, gradient) ==
        "invalid_argument: polyak::Sgd: block 1 must be contiguous, got inner stride 1, outer stride 5");
  std::vector<MatrixXd> whole{MatrixXd::Ones(5, 1), MatrixXd::Ones(2, 3)};
  CHECK(refused(sgd, whole, maps) ==
        "invalid_argument: polyak::Sgd: block 1 must be contiguous, got inner stride 1, outer stride 5");
  CHECK(wide == MatrixXd::Ones(5, 4));
  CHECK(whole[0] == MatrixXd::Ones(5, 1));
  CHECK(sgd.steps() == 0);
}

// --- how sets may be made ---

TEST_CASE("a set refers to its blocks and copies nothing") {
  Net net(1);
  const auto set = net.set();
  static_assert(std::is_same_v<decltype(set), const ParameterSet<double, 4>>);
  static_assert(sizeof(set) <= 4 * sizeof(detail::Block<double>));
  CHECK(set.size() == 4);
  CHECK(set[0].data == net.w1.data());
  CHECK(set[3].data == net.b2.data());
  CHECK(set[2].shape.rows == 4);
  CHECK(set[2].shape.cols == 2);
  CHECK(set[2].shape.row_major);
  CHECK_FALSE(set[0].shape.row_major);
  CHECK(set[3].shape.rows == 4);
  CHECK(set[3].shape.cols == 1);
  const Net fixed(1);
  static_assert(std::is_same_v<decltype(fixed.set()), ParameterSet<const double, 4>>);

  // A set is a view: const or a temporary, its blocks can be moved.
  static_assert(Parameters<const ParameterSet<double, 4>&>);
  static_assert(Parameters<ParameterSet<double, 4>>);
  static_assert(!Parameters<ParameterSet<const double, 4>>);
  static_assert(!Parameters<const std::vector<VectorXd>&>);
  static_assert(!Parameters<std::vector<VectorXd>>);
  static_assert(ReadableParameters<const std::vector<VectorXd>&>);

  Sgd sgd{{.learning_rate = 1}};
  const Net gradient(0);
  sgd.step(set, gradient.set());
  CHECK(net.flat() == VectorXd::Ones(20));
  Averaged whole{[](const auto& params, const auto& g) {
    for (std::size_t i = 0; i < params.size(); ++i) {
      for (std::size_t j = 0; j < params[i].flat().size(); ++j) params[i].data[j] -= g[i].data[j];
    }
  }};
  whole.step(set, gradient.set());
  CHECK(net.flat() == VectorXd::LinSpaced(20, 1, -18));
  ClipNorm clipped{[](const auto& params, const auto& g) { params[0].data[0] = g[0].data[1]; }, {.max_norm = 1e9}};
  clipped.step(set, gradient.set());
  CHECK(net.w1(0, 0) == 1);
}

TEST_CASE("a gradient may have some blocks const and others not") {
  Net net(1), gradient(0);
  const MatrixXd& w1 = gradient.w1;
  Sgd first{{.learning_rate = 1}};
  first.step(ParameterSet{net.w1, net.b1}, ParameterSet{w1, gradient.b1});
  CHECK(net.w1 == MatrixXd::Ones(2, 3));
  CHECK(net.b1 == VectorXd::Ones(2));
  Sgd other{{.learning_rate = 1}};
  other.step(ParameterSet{net.b1, net.w1}, ParameterSet{gradient.b1, w1});
  CHECK(net.w1 == MatrixXd::Ones(2, 3) - w1);
  CHECK(net.b1 == VectorXd::Ones(2) - gradient.b1);
}

TEST_CASE("a set of which one block is const can be read and not written") {
  Net net(1);
  const VectorXd& b1 = net.b1;
  const auto check = [&](const auto& set) {
    using Set = std::remove_cvref_t<decltype(set)>;
    static_assert(std::is_same_v<Set, ParameterSet<const double, 2>>);
    static_assert(ReadableParameters<Set>);
    static_assert(!Parameters<Set>);
    static_assert(std::is_same_v<decltype(set[0].data), const double*>);
    TailAverage tail;
    tail.update(set);
    CHECK(tail.average().size() == 8);
    CHECK(tail.average_block(0).sum() + tail.average_block(1).sum() == net.w1.sum() + b1.sum());
  };
  check(ParameterSet{net.w1, b1});
  check(ParameterSet{b1, net.w1});
  check(ParameterSet{Map<const MatrixXd>(net.w1.data(), 2, 3), net.b1});
  check(ParameterSet{b1, std::span(net.w1.data(), 6)});
  static_assert(!Parameters<decltype(ParameterSet{net.w1, net.w2, b1, net.b2})>);
  static_assert(Parameters<decltype(ParameterSet{net.w1, net.w2, net.b1, net.b2})>);
}

TEST_CASE("a set without blocks, and one with empty blocks, take steps") {
  std::vector<VectorXd> none, gradients;
  Averaged opt{Adam{}, TailAverage{}};
  CHECK(opt.step(none, gradients));
  CHECK(opt.step(none, gradients));
  CHECK(opt.average().size() == 0);
  std::vector<VectorXd> empty{VectorXd(0), VectorXd::Ones(1), VectorXd(0)};
  Averaged other{Sgd{{.learning_rate = 1}}, TailAverage{}};
  CHECK(other.step(empty, empty));
  CHECK(empty[1][0] == 0);
  CHECK(other.average() == VectorXd::Zero(1));
  CHECK(other.average_block(0).size() == 0);
  CHECK(other.average_block(1)(0, 0) == 0);
}

// --- one tick ---

TEST_CASE("a step is one tick, however many blocks") {
  std::vector<std::uint64_t> rates, momenta, weight_decays, decays;
  const auto logged = [](std::vector<std::uint64_t>& asked, double value) {
    return [&asked, value](std::uint64_t t) {
      asked.push_back(t);
      return value;
    };
  };
  Averaged opt{Sgd{{.learning_rate = logged(rates, 0.1),
                    .momentum = logged(momenta, 0.5),
                    .weight_decay = logged(weight_decays, 0.25)}},
               Ema{{.decay = logged(decays, 0.9)}}};
  Net net(1);
  const Net gradient(1);
  for (int t = 0; t < 3; ++t) opt.step(net.set(), gradient.set());
  const std::vector<std::uint64_t> once{0, 1, 2};
  CHECK(rates == once);
  CHECK(momenta == once);
  CHECK(weight_decays == once);
  CHECK(decays == once);
  CHECK(opt.optimizer().steps() == 3);
  CHECK(opt.averager().steps() == 3);
  CHECK(opt.averager().count() == 3);
}

TEST_CASE("three blocks in one step of Adam get one step size") {
  std::vector<VectorXd> blocks(3, VectorXd::Zero(1));
  const std::vector<VectorXd> gradient{VectorXd{{1}}, VectorXd{{-100}}, VectorXd{{0.01}}};
  Adam adam{{.learning_rate = 0.1, .epsilon = 0}};
  for (int t = 1; t <= 20; ++t) {
    adam.step(blocks, gradient);
    CHECK(blocks[0][0] == Approx(-0.1 * t));
    CHECK(blocks[1][0] == Approx(0.1 * t));
    CHECK(blocks[2][0] == Approx(-0.1 * t));
  }
}

// --- reading the average ---

TEST_CASE("the average of a block has the block's shape") {
  Net net(1);
  Averaged opt{Sgd{{.learning_rate = 0}}, TailAverage{}};
  CHECK(error_of([&] { (void)opt.average_block(0); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 1, got 0 steps");
  opt.step(net.set(), net.set());
  CHECK(opt.average() == net.flat());
  CHECK(opt.average_block(0) == net.w1);
  CHECK(opt.average_block(1) == net.b1);
  CHECK(opt.average_block(2) == net.w2);
  CHECK(opt.average_block(2).rows() == 4);
  CHECK(opt.average_block(2).cols() == 2);
  CHECK(opt.average_block(2)(1, 0) == net.w2(1, 0));
  CHECK(opt.average_block(3) == Map<VectorXd>(net.b2.data(), 4));
  CHECK(error_of([&] { (void)opt.average_block(4); }) ==
        "invalid_argument: polyak::TailAverage: block must be below 4, got 4");
  CHECK(opt.average_block(0).data() == opt.average().data());  // a view, not a copy
  CHECK(opt.average_block(3).data() == opt.average().data() + 16);

  SECTION("of one block") {
    TailAverage matrix;
    matrix.update(net.w2);
    CHECK(matrix.average_block(0) == net.w2);
    CHECK(error_of([&] { (void)matrix.average_block(1); }) ==
          "invalid_argument: polyak::TailAverage: block must be below 1, got 1");
    TailAverage row;
    const Eigen::RowVectorXd r = Eigen::RowVectorXd::LinSpaced(5, 1, 5);
    row.update(r);
    CHECK(row.average_block(0) == r);
    Eigen::Matrix<double, 3, 2> fixed;
    fixed << 1, 2, 3, 4, 5, 6;
    TailAverage of_fixed;
    of_fixed.update(fixed);
    CHECK(of_fixed.average_block(0) == fixed);
  }
  SECTION("of several averages") {
    Averaged several{Sgd{{.learning_rate = 0}}, TailAverage{}, Lawa{}};
    several.step(net.set(), net.set());
    CHECK(several.average_block<0>(2) == net.w2);
    CHECK(several.average_block<1>(2) == net.w2);
  }
}

TEST_CASE("an average alone takes sets too") {
  const Net net(1), next(3);
  Ema uncorrected{{.decay = 0.5, .bias_correction = false}};
  uncorrected.start_from(net.set());
  uncorrected.update(next.set());
  CHECK(uncorrected.average() == Net(2).flat());
  CHECK(uncorrected.average_block(2) == Net(2).w2);
  CHECK(error_of([&] {
          uncorrected.update(ParameterSet{net.w1, net.b1});
        }) == "invalid_argument: polyak::Ema: parameters must keep the number of blocks of the first step, 4, got 2");
  CHECK(uncorrected.steps() == 1);

  TailAverage tail{{.start = 2}};
  CHECK(tail.average_or(net.set()) == Net(1).flat());
  tail.update(net.set());
  tail.update(next.set());
  CHECK(tail.average_or(net.set()) == Net(3).flat());
  Lawa lawa;
  const std::vector<std::vector<double>> vectors{{1, 2}, {3}};
  lawa.update(vectors);
  CHECK(lawa.average() == VectorXd{{1, 2, 3}});
}

namespace {

/// Assertions take long to compile, and what follows is compiled for every averager.
void check_same(const char* name, const char* what, bool same) {
  INFO(name << ": " << what);
  REQUIRE(same);
}

/// Averages of a set, however it is held and whichever way it is stepped, are those of the one vector it is.
template <class Averager>
void check_sets(const char* name, const Averager& averager) {
  const auto check = [name](const char* what, bool same) { check_same(name, what, same); };
  const Sgd sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  Averaged of_vector{sgd, averager};
  Averaged fused{sgd, averager};
  Averaged sliced{support::SlicesOnly<double>(sgd), averager};
  Averaged whole{support::whole_step(sgd), averager};
  Averaged of_ranges{sgd, averager};
  auto alone = averager;
  auto alone_of_vector = averager;

  support::Random random(33);
  VectorXd theta = random.vector(1220);
  MatrixXd w(20, 60);  // longer than a slice
  RowMajorXd r(4, 2);
  std::vector<double> b(12);
  const auto set = [&] { return ParameterSet{w, r, b}; };
  const holders::Memory<double> memory(w, r, b);
  memory.write(theta);
  struct Copy {
    MatrixXd w;
    RowMajorXd r;
    std::vector<double> b;
    auto set() { return ParameterSet{w, r, b}; }
  };
  Copy of_sliced{w, r, b}, of_whole{w, r, b};
  std::vector<std::vector<double>> ranges{{theta.begin(), theta.begin() + 1200},
                                          {theta.begin() + 1200, theta.begin() + 1208},
                                          {theta.begin() + 1208, theta.end()}};
  if constexpr (requires { alone.start_from(theta); }) {
    alone.start_from(set());
    alone_of_vector.start_from(theta);
  }
  for (int t = 0; t < 7; ++t) {
    const VectorXd gradient = random.vector(1220);
    const double* const g = gradient.data();
    const ParameterSet gradients{Map<const MatrixXd>(g, 20, 60), Map<const RowMajorXd>(g + 1200, 4, 2),
                                 std::span(g + 1208, 12)};
    of_vector.step(theta, gradient);
    fused.step(set(), gradients);
    sliced.step(of_sliced.set(), gradients);
    whole.step(of_whole.set(), gradients);
    of_ranges.step(ranges, std::vector{std::span(g, 1200), std::span(g + 1200, 8), std::span(g + 1208, 12)});
    alone.update(set());
    alone_of_vector.update(theta);
    const auto same = [&](const auto& a, const auto& expected) {
      return a.count() == expected.count() && a.effective_sample_size() == expected.effective_sample_size() &&
             (!expected.has_average() || support::same_bits(a.average(), expected.average()));
    };
    const auto& expected = of_vector.averager();
    check("the weights", support::same_bits(memory.read(), theta));
    check("fused", same(fused.averager(), expected));
    check("in slices", same(sliced.averager(), expected));
    check("whole", same(whole.averager(), expected));
    check("of ranges", same(of_ranges.averager(), expected));
    check("alone", same(alone, alone_of_vector));
  }
  const VectorXd& expected = of_vector.average();
  check("block 0", fused.average_block(0) == Map<const MatrixXd>(expected.data(), 20, 60));
  check("block 1", fused.average_block(1) == Map<const RowMajorXd>(expected.data() + 1200, 4, 2));
  check("block 1, whole", whole.average_block(1) == fused.average_block(1));
  check("block 2, alone", alone.average_block(2).size() == 12);
}

}  // namespace

TEST_CASE("every averager folds a set as the one vector it is") {
  const auto check_each = [](const char* name, const auto& averager) { check_sets(name, averager); };
  parts::for_each_averager<default_shadow>(check_each);
  check_each("Ema from the weights", Ema{{.decay = 0.75, .bias_correction = false}});
}

TEST_CASE("an average is copied into sets of its blocks, of any scalar, or into one vector") {
  Net net(1);
  Averaged opt{Sgd{{.learning_rate = 0}}, TailAverage{}};
  Net copy(100);
  CHECK(error_of([&] { opt.copy_average_to(copy.set()); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 1, got 0 steps");
  opt.step(net.set(), net.set());
  opt.copy_average_to(copy.set());
  CHECK(copy.flat() == net.flat());

  std::vector<Eigen::VectorXf> narrow{Eigen::VectorXf(6), Eigen::VectorXf(2), Eigen::VectorXf(8), Eigen::VectorXf(4)};
  opt.copy_average_to(narrow);
  CHECK(narrow[0] == Map<VectorXd>(net.w1.data(), 6).cast<float>());
  CHECK(narrow[2] == Map<VectorXd>(net.w2.data(), 8).cast<float>());
  CHECK(narrow[3][3] == 20);
  VectorXd flat(20);
  opt.copy_average_to(flat);
  CHECK(flat == net.flat());

  const VectorXd before = copy.flat();
  const std::string who = "invalid_argument: polyak::TailAverage: ";
  CHECK(error_of([&] {
          opt.copy_average_to(ParameterSet{copy.w1, copy.b1});
        }) == who + "parameters must have the size of the average, 20, got 8");
  CHECK(error_of([&] {
          opt.copy_average_to(ParameterSet{copy.b1, copy.w1, copy.w2, copy.b2});
        }) == who + "parameters must keep the size of block 0, 2x3, got 2x1");
  std::vector<VectorXd> two{VectorXd::Zero(10), VectorXd::Zero(10)};
  CHECK(error_of([&] { opt.copy_average_to(two); }) ==
        who + "parameters must be one block, or have as many as the average, 4, got 2");
  CHECK(copy.flat() == before);
  CHECK(two[0] == VectorXd::Zero(10));
}

TEST_CASE("an average is swapped in block by block and out again bit by bit") {
  Net net(1);
  const Net gradient(0);
  Averaged opt{Sgd{{.learning_rate = 0.5}}, TailAverage{}};
  CHECK(error_of([&] { (void)opt.swap_in(net.set()); }) ==
        "logic_error: polyak::TailAverage: there is no average before the first fold, due at step 1, got 0 steps");
  opt.step(net.set(), gradient.set());
  opt.step(net.set(), gradient.set());
  net.w2(3, 1) = support::not_a_number;
  net.b1[0] = -0.0;
  const VectorXd trained = net.flat();
  const VectorXd average = opt.average();
  const auto is_trained = [&] { return support::same_bits(net.flat(), trained); };
  SECTION("until the scope ends") {
    {
      const auto guard = opt.swap_in(net.set());
      CHECK(net.flat() == average);
      CHECK(net.w2(3, 1) == opt.average_block(2)(3, 1));
      CHECK(error_of([&] { opt.step(net.set(), gradient.set()); }) ==
            "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first");
      CHECK(error_of([&] { (void)opt.swap_in(net.set()); }) ==
            "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first");
      CHECK(net.flat() == average);
      CHECK(opt.optimizer().steps() == 2);
    }
    CHECK(is_trained());
    CHECK(opt.step(net.set(), gradient.set()));
  }
  SECTION("until it is restored, or an exception passes") {
    auto guard = opt.swap_in(net.set());
    auto moved = std::move(guard);
    CHECK(net.flat() == average);
    moved.restore();
    CHECK(is_trained());
    net.b1[1] = 7;
    moved.restore();
    CHECK(net.b1[1] == 7);
    net.b1[1] = trained[7];
    try {
      const auto another = opt.swap_in(net.set());
      throw std::runtime_error("evaluation failed");
    } catch (const std::runtime_error&) {
    }
    CHECK(is_trained());
  }
  SECTION("into anything of its blocks") {
    std::vector<std::vector<double>> vectors{std::vector<double>(6, -1), std::vector<double>(2, -2),
                                             std::vector<double>(8, -3), std::vector<double>(4, -4)};
    const auto kept = vectors;
    {
      const auto guard = opt.swap_in(vectors);
      CHECK(vectors[1][1] == average[7]);
      CHECK(vectors[3][3] == average[19]);
    }
    CHECK(vectors == kept);
    CHECK(error_of([&] {
            (void)opt.swap_in(ParameterSet{net.w2, net.b1, net.w1, net.b2});
          }) == "invalid_argument: polyak::TailAverage: parameters must keep the size of block 0, 2x3, got 4x2");
    CHECK(is_trained());
    CHECK(opt.step(net.set(), gradient.set()));  // and nothing is swapped in
  }
}

// --- options by block ---

TEST_CASE("options by block need as many blocks") {
  Net net(1);
  const VectorXd before = net.flat();
  const Net gradient(1);
  const auto check = [&](auto optimizer, const std::string& name) {
    CHECK(refused(optimizer, net.set(), gradient.set()) ==
          "invalid_argument: " + name + ": options for each block need as many blocks, 3, got 4");
    CHECK(net.flat() == before);
    CHECK(optimizer.steps() == 0);
    CHECK(optimizer.step(ParameterSet{net.w1, net.b1, net.w2}, ParameterSet{gradient.w1, gradient.b1, gradient.w2}));
    net = Net(1);
  };
  const std::vector<BlockOptions> three(3);
  check(Sgd{{.blocks = three}}, "polyak::Sgd");
  check(Adam{{.blocks = three}}, "polyak::Adam");
  check(AdamW{{.blocks = three}}, "polyak::AdamW");
  check(NAdam{{.blocks = three}}, "polyak::NAdam");
  check(RMSprop{{.blocks = three}}, "polyak::RMSprop");
  check(Adagrad{{.blocks = three}}, "polyak::Adagrad");
  check(Lion{{.blocks = three}}, "polyak::Lion");
}

TEST_CASE("a bad option of a block names the block") {
  const std::vector<BlockOptions> rates{{}, {.learning_rate_factor = -1}};
  CHECK(error_of([&] { Sgd{{.blocks = rates}}; }) ==
        "invalid_argument: polyak::Sgd: learning_rate_factor of block 1 must be finite and >= 0, got -1");
  const std::vector<BlockOptions> decays{{.weight_decay_factor = support::not_a_number}};
  CHECK(error_of([&] { AdamW{{.blocks = decays}}; }) ==
        "invalid_argument: polyak::AdamW: weight_decay_factor of block 0 must be finite and >= 0, got nan");
}

TEST_CASE("a block is left alone at a factor of 0") {
  Net net(1);
  const Net gradient(1);
  Averaged opt{Sgd{{.learning_rate = 1, .weight_decay = 0.5, .blocks = {{}, {0, 1}, {1, 0}, {0.5, 0}}}}, Ema{}};
  opt.step(net.set(), gradient.set());
  CHECK(net.w1 == -Net(1).w1 / 2);
  CHECK(net.b1 == Net(1).b1);
  CHECK(net.w2 == RowMajorXd::Zero(4, 2));
  CHECK(net.b2[3] == 10);
  CHECK(opt.average() == net.flat());
}

// --- cost ---

#if defined(POLYAK_TEST_COUNTS_ALLOCATIONS)

TEST_CASE("the counter of allocations counts those of sets") {
  using allocation_counter::allocations_in;
  const void* volatile seen = nullptr;  // lest an allocation be optimised away
  CHECK(allocations_in([] {}) == 0);
  CHECK(allocations_in([&] {
          const VectorXd v(100);
          seen = v.data();
        }) == 1);
  CHECK(allocations_in([&] {
          const std::vector<double> v(100, 1.0);
          seen = v.data();
        }) == 1);
  CHECK(allocations_in([] { delete new volatile int(3); }) == 1);
}

TEST_CASE("no step of a set allocates after the first") {
  using allocation_counter::allocations_in;
  const auto check = [](const char* name, auto optimizer, double vectors) {
    INFO(name);
    Net net(1);
    const Net gradient(1);
    optimizer.step(net.set(), gradient.set());
    for (int t = 0; t < 5; ++t) {
      CHECK(allocations_in([&] { optimizer.step(net.set(), gradient.set()); }) == 0);
    }
    auto other = optimizer;
    other.reset();
    std::vector<MatrixXd> blocks{MatrixXd::Ones(3, 4), MatrixXd::Ones(2, 500)}, gradients = blocks;
    CHECK(allocation_counter::vectors_in<double>(1012, [&] { other.step(blocks, gradients); }) == vectors);
    for (int t = 0; t < 5; ++t) CHECK(allocations_in([&] { other.step(blocks, gradients); }) == 0);
  };
  check("Sgd", Sgd{}, 0);
  check("Sgd with momentum", Sgd{{.momentum = 0.9}}, 1);
  check("Adam", Adam{}, 2);
  check("Adam with amsgrad", Adam{{.amsgrad = true}}, 3);
  check("AdamW", AdamW{}, 2);
  check("NAdam", NAdam{}, 2);
  check("RMSprop", RMSprop{}, 1);
  check("RMSprop with all", RMSprop{{.momentum = 0.5, .centered = true}}, 3);
  check("Adagrad", Adagrad{}, 1);
  check("Lion", Lion{}, 1);
  check("with an average", Averaged{Adam{}, Ema{}}, 3);
  check("nested", Averaged{Averaged{Lion{}, TailAverage{}}, Ema{{.bias_correction = false}}}, 3);
  check("ClipNorm", Averaged{ClipNorm{Sgd{}}, Ema{}}, 1);
  check("ClipValue", ClipValue{Sgd{}}, 0);
  check("SkipNonFinite", SkipNonFinite{Sgd{}}, 0);
  check("Lookahead", Lookahead{Sgd{}, {.every = 2}}, 1);
  check("all", SkipNonFinite{ClipNorm{Averaged{ClipValue{Lookahead{AdamW{}}}, Ema{}}}}, 4);
}

TEST_CASE("a set that was its own gradient takes another one without allocating") {
  using allocation_counter::allocations_in;
  Net net(1);
  const Net gradient(1);
  Sgd sgd;
  sgd.step(net.set(), net.set());
  CHECK(allocations_in([&] { sgd.step(net.set(), gradient.set()); }) == 0);
}

TEST_CASE("no step of any part allocates after the first few") {
  const auto check = [](const char* name, auto optimizer) {
    Net net(1);
    const Net gradient(1);
    for (int t = 0; t < 12; ++t) optimizer.step(net.set(), gradient.set());
    const auto allocations = allocation_counter::allocations_in([&] {
      for (int t = 0; t < 12; ++t) optimizer.step(net.set(), gradient.set());
    });
    check_same(name, "no allocation", allocations == 0);
  };
  parts::for_each_optimizer<double>(check);
  parts::for_each_wrapper(Sgd{}, check);
}

TEST_CASE("accumulating allocates at its first gradient and its first step") {
  using allocation_counter::allocations_in;
  Net net(1);
  const Net gradient(1);
  Averaged opt{Accumulate{Sgd{}, {.micro_batches = 2}}, Ema{}};
  CHECK(allocations_in([&] { opt.step(net.set(), gradient.set()); }) > 0);
  CHECK(allocations_in([&] { opt.step(net.set(), gradient.set()); }) > 0);
  for (int t = 0; t < 6; ++t) CHECK(allocations_in([&] { opt.step(net.set(), gradient.set()); }) == 0);
}

TEST_CASE("a window allocates until it is full") {
  using allocation_counter::allocations_in;
  Net net(1);
  const Net gradient(1);
  Averaged opt{Sgd{}, Lawa{{.window = 3}}};
  for (int t = 0; t < 3; ++t) CHECK(allocations_in([&] { opt.step(net.set(), gradient.set()); }) > 0);
  for (int t = 0; t < 8; ++t) CHECK(allocations_in([&] { opt.step(net.set(), gradient.set()); }) == 0);
}

TEST_CASE("making a set and copying an average into one allocate nothing") {
  using allocation_counter::allocations_in;
  Net net(1);
  TailAverage tail;
  tail.update(net.set());
  CHECK(allocations_in([&] { (void)net.set(); }) == 0);
  CHECK(allocations_in([&] { tail.copy_average_to(net.set()); }) == 0);
  CHECK(allocations_in([&] { net.w1(0, 0) += tail.average_block(2)(0, 0); }) == 0);
  CHECK(allocations_in([&] { tail.update(net.set()); }) == 0);
}

#endif

#if !defined(__clang__) || __clang_major__ >= 16  // before, clang cannot compile the views of libstdc++
TEST_CASE("a range of blocks that vanish with it is no set") {
  struct Layer {
    MatrixXd weights;
  };
  std::vector<Layer> layers(2, {MatrixXd::Ones(2, 2)});
  auto copies = layers | std::views::transform([](const Layer& layer) { return layer.weights; });
  auto views = layers | std::views::transform([](Layer& layer) { return Map<MatrixXd>(layer.weights.data(), 2, 2); });
  auto references = layers | std::views::transform([](Layer& layer) -> MatrixXd& { return layer.weights; });
  static_assert(!ReadableParameters<decltype(copies)&>);
  static_assert(Parameters<decltype(views)&>);
  static_assert(Parameters<decltype(references)&>);
  Sgd sgd{{.learning_rate = 0.5}};
  sgd.step(references, views);  // the gradient of half the square
  CHECK(layers[1].weights == MatrixXd::Constant(2, 2, 0.5));
}
#endif

TEST_CASE("of many blocks, a gradient in another block is found, whichever they are") {
  // Two gradients and a block begin at one place, where a sort may leave them in any order.
  constexpr std::size_t n = 24;
  std::vector<VectorXd> memory(n, VectorXd::Ones(3)), gradients(n, VectorXd::Zero(2));
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = 0; b < n; ++b) {
      if (a == b) continue;
      std::vector<Map<VectorXd>> params, gradient;
      for (std::size_t k = 0; k < n; ++k) {
        params.emplace_back(memory[k].data(), k == a ? 3 : 2);
        gradient.emplace_back(k == a || k == b ? memory[a].data() : gradients[k].data(), k == a ? 3 : 2);
      }
      Sgd sgd;
      CHECK(refused(sgd, params, gradient) == "invalid_argument: polyak::Sgd: the gradient of block " +
                                                  std::to_string(b) + " must not overlap block " + std::to_string(a) +
                                                  " of the parameters");
    }
  }
}

TEST_CASE("an empty block overlaps nothing") {
  VectorXd theta = VectorXd::Ones(4);
  auto nothing = theta.segment(2, 0);
  const VectorXd gradient = VectorXd::Ones(4);
  const auto no_gradient = gradient.segment(2, 0);
  Sgd sgd{{.learning_rate = 0.5}};
  CHECK(sgd.step(ParameterSet{theta, nothing}, ParameterSet{gradient, no_gradient}));
  CHECK(theta == VectorXd::Constant(4, 0.5));
}
