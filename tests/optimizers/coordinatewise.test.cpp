#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parts/optimizers.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

using namespace polyak;
using support::error_of;

namespace {

/// What counts how often it is asked.
struct Counted {
  int* asked;
  double operator()(std::uint64_t t) const {
    ++*asked;
    return static_cast<double>(t) - 1;
  }
};

}  // namespace

TEST_CASE("a hyperparameter is asked with the steps taken, and must be finite and at least 0") {
  Eigen::VectorXd theta = Eigen::VectorXd::Zero(1);
  const Eigen::VectorXd grad = Eigen::VectorXd::Ones(1);
  Sgd sgd{{.learning_rate = 0.5}};
  sgd.set_learning_rate(0);
  sgd.set_learning_rate(std::numeric_limits<double>::max());
  const std::string rule = "invalid_argument: polyak::Sgd: learning_rate must be finite and >= 0, got ";
  CHECK(error_of([&] { sgd.set_learning_rate(support::not_a_number); }) == rule + "nan");
  CHECK(error_of([&] { sgd.set_learning_rate(support::infinity); }) == rule + "inf");
  CHECK(error_of([&] { sgd.set_learning_rate(-5e-324); }) == rule + "-5e-324");
  CHECK(sgd.learning_rate() == std::numeric_limits<double>::max());
  // A schedule is checked by the step that it is for.
  int asked = 0;
  sgd.set_learning_rate(Counted{&asked});
  CHECK(asked == 0);
  CHECK(error_of([&] { sgd.step(theta, grad); }) == rule + "-1");
  CHECK(asked == 1);
  sgd.set_learning_rate(0);
  for (int t = 0; t < 3; ++t) sgd.step(theta, grad);
  sgd.set_learning_rate(Counted{&asked});
  sgd.step(theta, grad);
  CHECK(theta[0] == -2);
  CHECK(asked == 2);
}

TEST_CASE("what is refused, or does not go with the other options, is not set") {
  Sgd sgd{{.momentum = Constant(4), .nesterov = true}};
  const auto option = [&sgd] { return sgd.options().momentum.description(); };
  CHECK(error_of([&] { sgd.set_momentum(0); }) ==
        "invalid_argument: polyak::Sgd: momentum must be > 0 with nesterov, got 0");
  CHECK(option() == "Constant(value 4)");
  // Where it breaks its own rule too, that one is named.
  CHECK(error_of([&] { sgd.set_momentum(-1); }) ==
        "invalid_argument: polyak::Sgd: momentum must be finite and >= 0, got -1");
  CHECK(option() == "Constant(value 4)");
  sgd.set_momentum(2);
  CHECK(option() == "2");
}

namespace {

using Eigen::VectorXd;
using support::constant;
using Set = std::vector<VectorXd>;

const std::vector<BlockOptions> second_frozen{{}, {.frozen = true}};

}  // namespace

TEST_CASE("a frozen block does not move, and nothing looks at its gradient") {
  const auto check = [](auto opt, double expected) {
    Set theta{constant(1, 1), constant(2, 7)};
    const auto step = [&](const VectorXd& gradient) {
      CHECK(opt.step(theta, Set{constant(1, 1), gradient}));
      CHECK(support::close(theta[0][0], expected, 1e-6));
      CHECK(theta[1] == constant(2, 7));
      theta[0] = constant(1, 1);
    };
    step(constant(2, support::not_a_number));
    step(constant(2, 5));
    step(VectorXd());               // it may be empty,
    step(constant(3, 5));           // or of another shape,
    CHECK(opt.step(theta, theta));  // or anywhere
    CHECK(theta[1] == constant(2, 7));
  };
  const Sgd sgd{{.learning_rate = 0.1, .blocks = second_frozen}};
  check(sgd, 0.9);
  check(ClipNorm{sgd}, 0.9);
  check(SkipNonFinite{sgd}, 0.9);
  check(Accumulate{sgd, {.micro_batches = 1}}, 0.9);
  check(Averaged{ClipNorm{SkipNonFinite{sgd}}, Ema{}}, 0.9);
  check(Sgd{{.learning_rate = 0.1, .weight_decay = 1, .blocks = second_frozen}}, 0.8);
}

TEST_CASE("every optimizer leaves the weights of a frozen block alone, and moves the others as it would alone") {
  parts::for_each(parts::optimizers, [](auto row) {
    for (auto options : row.variants()) {
      using Optimizer = typename decltype(row)::template type<double>;
      Optimizer alone(options);
      options.blocks = {{.frozen = true}, {}, {.frozen = true}};
      Averaged opt{Optimizer(options), TailAverage{}};
      support::Random random(3);
      const VectorXd first = random.vector(70), last = random.vector(3);
      Set theta{first, random.vector(9), last};
      VectorXd other = theta[1];
      for (int t = 0; t < 130; ++t) {
        const VectorXd gradient = random.vector(9);
        opt.step(theta, Set{VectorXd(), gradient, constant(3, support::not_a_number)});
        alone.step(other, gradient);
      }
      INFO(row.name);
      CHECK(theta[0] == first);
      CHECK(theta[1] == other);
      CHECK(theta[2] == last);
      CHECK(opt.average().head(70).isApprox(first, 1e-14));
    }
  });
}

TEST_CASE("averages fold frozen weights as they are") {
  // Running statistics: the user moves them, and the averages follow.
  Averaged opt{Lookahead{Averaged{Sgd{{.learning_rate = 1, .blocks = second_frozen}}, TailAverage{}}, {.every = 1}},
               TailAverage{}, Ema{{.decay = 0.5, .bias_correction = false}}, Lawa{{.window = 2}},
               Guarded{Ema{{.decay = 0.999}}}};
  Set theta{constant(1, 8), constant(600, 1)};
  for (const double x : {2.0, 4.0}) {
    theta[1].setConstant(x);
    CHECK(opt.step(theta, Set{constant(1, 2), VectorXd()}));
    CHECK(theta[1] == constant(600, x));  // by no fold either
  }
  CHECK(theta[0] == constant(1, 6));
  CHECK(opt.average_block<0>(1) == constant(600, 3));
  CHECK(opt.average_block<1>(1) == constant(600, 3));  // started at 2, as it was before the first step
  CHECK(opt.average_block<2>(1) == constant(600, 3));
  CHECK(support::close(opt.average_block<3>(1)(0, 0), 3, 1e-3));
  CHECK(opt.optimizer().optimizer().average_block(1) == constant(600, 3));
}

TEST_CASE("a block is frozen, and let go, while training") {
  Averaged opt{Accumulate{ClipNorm{Sgd{{.learning_rate = 0.1, .momentum = 0.5, .blocks = {{}, {}}}}, {.max_norm = 100}},
                          {.micro_batches = 1}},
               TailAverage{}};
  Sgd<>& sgd = opt.optimizer().optimizer().optimizer();
  Set theta{constant(1, 0), constant(1, 0)};
  const Set gradient{constant(1, 1), constant(1, 1)};
  opt.step(theta, gradient);
  sgd.set_frozen(1, true);
  CHECK(sgd.options().blocks[1].frozen);
  const Set before = theta;
  opt.step(theta, gradient);
  CHECK(theta[0] != before[0]);
  CHECK(theta[1] == before[1]);
  sgd.set_frozen(1, false);
  opt.step(theta, gradient);
  CHECK(theta[1] == constant(1, -0.1 - 0.1 * 1.5));  // its velocity is that of the first step
  CHECK(error_of([&] { sgd.set_frozen(2, true); }) ==
        "invalid_argument: polyak::Sgd: a block to freeze must be below the number of blocks with options (.blocks), "
        "2, got 2");
  Sgd none;
  CHECK(error_of([&] { none.set_frozen(0, true); }) ==
        "invalid_argument: polyak::Sgd: a block to freeze must be below the number of blocks with options (.blocks), "
        "0, got 0");
}

TEST_CASE("parameters that are one block can be frozen too") {
  Averaged opt{SkipNonFinite{Sgd{{.blocks = {{.frozen = true}}}}}, TailAverage{}};
  VectorXd theta = constant(3, 4);
  CHECK(opt.step(theta, constant(3, support::not_a_number)));
  CHECK(theta == constant(3, 4));
  CHECK(opt.average() == constant(3, 4));
}

TEST_CASE("what a frozen block shares with others is still refused, and so are other gradients that do not fit") {
  Sgd sgd{{.blocks = second_frozen}};
  VectorXd a = constant(2, 1), b = constant(2, 1), none;
  CHECK(error_of([&] {
          sgd.step(ParameterSet{a, a}, ParameterSet{b, none});
        }) == "invalid_argument: polyak::Sgd: block 1 must not overlap block 0 of the parameters");
  CHECK(error_of([&] {
          sgd.step(ParameterSet{a, b}, ParameterSet{none, b});
        }) ==
        "invalid_argument: polyak::Sgd: the gradient must have the shape of the parameters of block 0, 2x1, got 0x1");
  CHECK(a == constant(2, 1));
  CHECK(sgd.steps() == 0);
}

TEST_CASE("a flush leaves frozen blocks alone") {
  Averaged opt{Accumulate{AdamW{{.learning_rate = 0.1, .weight_decay = 0.5, .blocks = second_frozen}}}, TailAverage{}};
  Set theta{constant(1, 1), constant(1, 7)};
  opt.step(theta, Set{constant(1, 1), VectorXd()});
  CHECK(opt.flush(theta));
  CHECK(theta[0][0] < 1);
  CHECK(theta[1] == constant(1, 7));
  CHECK(opt.average() == VectorXd{{theta[0][0], 7}});
}

TEST_CASE("which blocks are frozen is saved: as an option, and as state once it was set") {
  const auto saved = [](Sgd<>& from) {
    serialize::Output output;
    output& from;
    return output.bytes;
  };
  const auto load = [](const serialize::Bytes& bytes, Sgd<>& to) {
    return error_of([&] {
      serialize::Input input(bytes);
      input& to;
    });
  };
  const Sgd fresh{{.blocks = {{}, {}}}};
  Sgd made{{.blocks = second_frozen}}, set = fresh, other = fresh;
  CHECK(load(saved(made), other) ==
        "invalid_argument: polyak::Sgd: frozen of block 1 must be true as in the saved state, got false");
  CHECK_FALSE(other.options().blocks[1].frozen);
  set.set_frozen(1, true);
  CHECK(load(saved(set), other) == "nothing");
  CHECK(other.options().blocks[1].frozen);
  other.set_frozen(0, true);
  CHECK(load(saved(made), other) == "nothing");
  CHECK_FALSE(other.options().blocks[0].frozen);
}
