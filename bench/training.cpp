#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include "benchmarks.hpp"

#ifdef POLYAK_BENCH_TRAINING

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

// A whole step of training, gradient included: multinomial logistic regression on Fashion-MNIST, float weights.

namespace {

using polyak::Averaged;
using polyak::Ema;
using polyak::Sgd;

struct Source {
  std::optional<examples::TrainTest> data;
  std::string error;
};

/// Read when first asked for.
const Source& source() {
  static const Source once = []() -> Source {
    const char* place = std::getenv("POLYAK_BENCH_DATA");
    try {
      return {examples::load_data(place ? place : "fashion-mnist"), {}};
    } catch (const std::runtime_error& error) {
      return {{}, error.what()};
    }
  }();
  return once;
}

template <class Optimizer>
void time_training(benchmark::State& state, Optimizer optimizer) {
  if (!source().data) return state.SkipWithError(source().error.c_str());
  const auto& train = source().data->train;
  examples::SoftmaxRegression model(train);
  Eigen::VectorXf weights = model.zero_weights();
  // One random order, again and again: shuffling is no part of a step.
  examples::MiniBatches epoch(train.samples(), train.samples(), 0);
  const std::span order = epoch.next();
  const auto batch = static_cast<std::size_t>(state.range(0));
  std::size_t from = 0;
  const auto step = [&] {
    if (from + batch > order.size()) from = 0;
    optimizer.step(weights, model.gradient(weights, order.subspan(from, batch)));
    from += batch;
  };

  for (int i = 0; i < 300; ++i) step();
  for (auto _ : state) step();
}

void training(benchmark::State& state) { time_training(state, Sgd<float>{{.learning_rate = 0.01}}); }
void training_with_ema(benchmark::State& state) {
  time_training(state, Averaged{Sgd<float>{{.learning_rate = 0.01}}, Ema{}});
}

}  // namespace

void register_training() {
  benchmark::RegisterBenchmark("training", training)->Arg(10)->Arg(100);
  benchmark::RegisterBenchmark("training_with_ema", training_with_ema)->Arg(10)->Arg(100);
}

#else
void register_training() {}
#endif
