#include <polyak/averaged.hpp>
#include <polyak/averagers/compensated.hpp>
#include <polyak/averagers/decays.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/rmsprop.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "support.hpp"

#if defined(POLYAK_TEST_COUNTS_ALLOCATIONS)

namespace {

using namespace polyak;
using allocation_counter::allocations_in;
using allocation_counter::bytes_in;
using allocation_counter::vectors_in;
using Eigen::VectorXd;

/// How many vectors as long as the parameters each of the steps 1 … n allocates. Steps that allocate none allocate
/// nothing at all, save in the first, where shapes are noted.
template <class Scalar = double, class Optimizer, class Params, class Grad>
std::vector<double> vectors_by_step(Optimizer& opt, Params& params, const Grad& grad, std::size_t n) {
  const auto size = static_cast<std::size_t>(params.size());
  std::vector<double> counts(n);
  bool first = true;
  for (auto& count : counts) {
    const std::size_t allocations =
        allocations_in([&] { count = vectors_in<Scalar>(size, [&] { opt.step(params, grad); }); });
    if (count == 0 && !first) CHECK(allocations == 0);
    first = false;
  }
  return counts;
}

const std::vector<double> none_after_the_first{1, 0, 0, 0, 0, 0};

}  // namespace

TEST_CASE("the counter counts") {
  // The compiler may leave out an allocation that nobody looks at.
  const void* volatile seen = nullptr;
  const auto look_at = [&seen](const void* memory) { seen = memory; };
  CHECK(allocations_in([] {}) == 0);
  CHECK(bytes_in([] {}) == 0);
  CHECK(bytes_in([&] { look_at(VectorXd(100).data()); }) >= 800);
  // Eigen may ask for as much more as it takes to align the memory by hand.
  CHECK(bytes_in([&] { look_at(VectorXd(100).data()); }) <= 800 + EIGEN_DEFAULT_ALIGN_BYTES);
  CHECK(vectors_in<double>(100, [&] { look_at(VectorXd(200).data()); }) == 2);
  CHECK(vectors_in<float>(1000, [&] { look_at(VectorXd(250).data()); }) == 0.5);
  CHECK(allocations_in([&] { look_at(VectorXd(100).data()); }) == 1);
  CHECK(allocations_in([&] { look_at(Eigen::Matrix<Eigen::half, Eigen::Dynamic, 1>(100).data()); }) == 1);
  CHECK(allocations_in([&] { look_at(std::vector<double>(100, 1.0).data()); }) == 1);
  const auto look_and = [&](void* memory, auto release) {
    look_at(memory);
    release(memory);
  };
  const auto release = [](void* memory) { std::free(memory); };
  CHECK(allocations_in([&] { look_and(std::malloc(7), release); }) == 1);
  CHECK(allocations_in([&] { look_and(std::calloc(3, 5), release); }) == 1);
  CHECK(bytes_in([&] { look_and(std::calloc(3, 5), release); }) == 15);
  CHECK(allocations_in([&] { look_and(std::realloc(std::malloc(7), 700), release); }) == 2);
  CHECK(allocations_in([&] { look_and(std::aligned_alloc(64, 128), release); }) == 1);
  CHECK(allocations_in([&] { look_and(::operator new(4), [](void* p) { ::operator delete(p); }); }) == 1);
  CHECK(seen != nullptr);
  constexpr std::align_val_t wide{64};
  CHECK(allocations_in([&] { look_and(::operator new(64, wide), [&](void* p) { ::operator delete(p, wide); }); }) == 1);
}

TEST_CASE("no step allocates after the first") {
  VectorXd theta = support::constant(3000, 1);
  const VectorXd grad = support::constant(3000, 0.01);
  SECTION("Guarded") {
    Averaged opt{Sgd{}, Guarded{Ema{}}};
    CHECK(vectors_by_step(opt, theta, grad, 6) == none_after_the_first);
  }
  SECTION("Sgd") {
    Sgd plain;
    CHECK(vectors_by_step(plain, theta, grad, 6) == std::vector<double>(6, 0));
    Sgd momentum{{.learning_rate = Cosine{{.initial = 0.1, .steps = 10}}, .momentum = 0.9, .nesterov = true}};
    CHECK(vectors_by_step(momentum, theta, grad, 6) == none_after_the_first);
  }
  SECTION("a momentum that comes later") {
    Sgd late{{.momentum = [](std::uint64_t t) { return t < 2 ? 0 : 0.9; }}};
    CHECK(vectors_by_step(late, theta, grad, 6) == std::vector<double>{0, 0, 1, 0, 0, 0});
    RMSprop rmsprop{{.momentum = [](std::uint64_t t) { return t < 2 ? 0 : 0.9; }}};
    CHECK(vectors_by_step(rmsprop, theta, grad, 6) == std::vector<double>{1, 0, 1, 0, 0, 0});
  }
  SECTION("a weight decay that rises") {
    AdamW opt{{.weight_decay = Cosine{{.initial = 0.04, .final = 0.4, .steps = 5}}}};
    CHECK(vectors_by_step(opt, theta, grad, 6) == std::vector<double>{2, 0, 0, 0, 0, 0});
  }
  SECTION("with an average") {
    Averaged opt{Sgd{}};
    CHECK(vectors_by_step(opt, theta, grad, 6) == none_after_the_first);
  }
  SECTION("with several, nested, uncorrected and seldom") {
    Averaged opt{Averaged{Sgd{{.momentum = 0.5}}, TailAverage{}, Ema{{.decay = HalfLife{{.steps = 10}}}}},
                 Ema{{.bias_correction = false}}, GainAverage{{.gain = [](std::uint64_t) { return 0.5; }}}};
    CHECK(vectors_by_step(opt, theta, grad, 6) == std::vector<double>{5, 0, 0, 0, 0, 0});
    Averaged seldom{Sgd{}, Swa{{.period = 3}}, TailAverage{{.start = 2}}};
    CHECK(vectors_by_step(seldom, theta, grad, 7) == std::vector<double>{0, 1, 1, 0, 0, 0, 0});
  }
  SECTION("with a compensated average, half as much again for its residue") {
    Eigen::VectorXf narrow = Eigen::VectorXf::Ones(3000);
    Averaged opt{Sgd<float>{}, Ema<Compensated<float>>{{.bias_correction = false}}};
    CHECK(vectors_by_step<float>(opt, narrow, narrow, 6) == std::vector<double>{1.5, 0, 0, 0, 0, 0});
    CHECK(allocations_in([&] { opt.copy_average_to(theta); }) == 0);
  }
  SECTION("of an optimizer taken whole") {
    Averaged opt{[](VectorXd& params, const VectorXd& g) { params -= g; }};
    CHECK(vectors_by_step(opt, theta, grad, 6) == none_after_the_first);
  }
  SECTION("of other holders") {
    Eigen::MatrixXf matrix = Eigen::MatrixXf::Ones(30, 50);
    Averaged of_float{Sgd<float>{}, Ema{}};
    CHECK(vectors_by_step(of_float, matrix, matrix, 6) == none_after_the_first);
    std::vector<Eigen::half> halves(3000, Eigen::half(1));
    Averaged of_half{Sgd<Eigen::half>{}, Ema{}};
    CHECK(vectors_by_step<float>(of_half, halves, halves, 6) == none_after_the_first);
  }
  SECTION("but an expression is evaluated into memory of its own") {
    Sgd sgd;
    CHECK(vectors_by_step(sgd, theta, 2 * grad, 3) == std::vector<double>(3, 1));
  }
}

TEST_CASE("reading an average does not allocate, keeping the weights aside does") {
  Averaged opt{Sgd{}};
  VectorXd theta = support::constant(3000, 1);
  Eigen::VectorXf narrow(3000);
  opt.step(theta, theta);
  CHECK(allocations_in([&] { opt.copy_average_to(narrow); }) == 0);
  CHECK(allocations_in([&] { narrow[0] += static_cast<float>(opt.average()[0]); }) == 0);
  CHECK(allocations_in([&] { opt.optimizer().set_learning_rate(0.5); }) == 0);
  Sgd of_blocks{{.momentum = 0.5, .blocks = {{}, {.weight_decay_factor = 0}}}};
  CHECK(allocations_in([&] { of_blocks.set_learning_rate(0.5); }) == 0);
  CHECK(allocations_in([&] { of_blocks.set_weight_decay(0.5); }) == 0);
  CHECK(allocations_in([&] { of_blocks.set_momentum(0.25); }) == 0);
  CHECK(allocations_in([&] { (void)opt.averager().effective_sample_size(); }) == 0);
  // What the guard keeps, the weights, their addresses.
  CHECK(allocations_in([&] { auto guard = opt.swap_in(theta); }) == 3);
  TailAverage of_set;
  std::vector<VectorXd> blocks(9, theta);
  of_set.update(blocks);
  CHECK(allocations_in([&] { auto guard = of_set.swap_in(blocks); }) == 3);
}

TEST_CASE("reset frees the memory") {
  Averaged opt{Sgd{{.momentum = 0.5}}};
  VectorXd theta = support::constant(3000, 1);
  CHECK(vectors_in<double>(3000, [&] { opt.step(theta, theta); }) == 2);
  opt.reset();
  CHECK(vectors_in<double>(3000, [&] { opt.step(theta, theta); }) == 2);  // nothing was kept to be used again
}

TEST_CASE("an average alone allocates at its start or its first fold") {
  const VectorXd theta = support::constant(3000, 1);
  Ema ema{{.bias_correction = false}};
  CHECK(vectors_in<double>(3000, [&] { ema.start_from(theta); }) == 1);
  CHECK(allocations_in([&] { ema.update(theta); }) == 0);
  TailAverage tail{{.start = 2}};
  CHECK(allocations_in([&] { tail.update(theta); }) == 0);
  CHECK(vectors_in<double>(3000, [&] { tail.update(theta); }) == 1);
  CHECK(allocations_in([&] { tail.update(theta); }) == 0);
}

#endif
