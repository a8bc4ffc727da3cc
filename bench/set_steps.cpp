#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks.hpp"
#include "steps.hpp"

// The same SGD step with an EMA on one vector and on the blocks of 25 layers, each with its weights and its biases,
// that have as many parameters in all.

namespace {

using namespace steps;

template <class Scalar>
auto optimizer() {
  return polyak::Averaged{polyak::Sgd<Scalar>{{.learning_rate = rate}}, polyak::Ema<Scalar>{}};
}

template <class Scalar>
void one_vector(benchmark::State& state) {
  time_optimizer<Scalar>(state, optimizer<Scalar>());
}

/// Blocks of `biases` parameters in turn with blocks of the rest; rounding takes away at most 3 % of n.
template <class Scalar>
void fifty_blocks(benchmark::State& state, Eigen::Index biases) {
  const Eigen::Index layer = state.range(0) / 25 / 64 * 64;
  std::vector<Eigen::VectorX<Scalar>> weights, gradient;
  for (int i = 0; i < 25; ++i) {
    for (const Eigen::Index size : {layer - biases, biases}) {
      Problem<Scalar> block(size);
      weights.push_back(std::move(block.weights));
      gradient.push_back(std::move(block.gradient));
    }
  }
  auto averaged = optimizer<Scalar>();
  escape(weights);
  escape(gradient);
  escape(averaged);
  time_steps(state, 1, [&] { averaged.step(weights, gradient); });
}

/// Every block begins at a multiple of the width of a vector register, in the average too.
template <class Scalar>
void fifty_even_blocks(benchmark::State& state) {
  fifty_blocks<Scalar>(state, 64);
}

/// In the average, which is one vector, no block but the first begins so.
template <class Scalar>
void fifty_odd_blocks(benchmark::State& state) {
  fifty_blocks<Scalar>(state, 10);
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&)) {
    auto* benchmark = benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function);
    for (const int exponent : {14, 18, 22}) benchmark->Arg(std::int64_t{1} << exponent);
  };
  add("one_vector", one_vector<Scalar>);
  add("fifty_even_blocks", fifty_even_blocks<Scalar>);
  add("fifty_odd_blocks", fifty_odd_blocks<Scalar>);
}

}  // namespace

void register_set_steps() {
  register_families<float>("float");
  register_families<double>("double");
}
