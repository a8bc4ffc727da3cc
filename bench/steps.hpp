#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Core>

#include <algorithm>
#include <cstdint>

/// What the benchmarks of single steps share.
namespace steps {

inline constexpr double rate = 0.01;
inline constexpr double gain = 0.001;

/// Weights of order one that drift slowly, up and down in turn: nothing is ever subnormal, which would be slow.
template <class Scalar>
struct Problem {
  explicit Problem(Eigen::Index n) : weights(n), gradient(n) {
    for (Eigen::Index i = 0; i < n; ++i) {
      weights[i] = Scalar(1);
      gradient[i] = Scalar(i % 2 == 0 ? 1e-4 : -1e-4);
    }
  }
  Eigen::VectorX<Scalar> weights;
  Eigen::VectorX<Scalar> gradient;
};

/// As in real training, where the gradient is computed in between, nothing may stay in registers from step to step.
template <class T>
void escape(T& object) {
  auto* pointer = &object;
  benchmark::DoNotOptimize(pointer);
}

/// Times step(), in whole periods. The warm-up makes the first folds, which allocate, and touches every page.
template <class Step>
void time_steps(benchmark::State& state, benchmark::IterationCount period, Step step) {
  const auto n = state.range(0);
  const auto take = [&](std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      step();
      benchmark::ClobberMemory();
    }
  };
  take(std::clamp<std::int64_t>((1 << 18) / n, 3, 2000));
  // Short steps are taken a hundred at a time, to keep the cost of the timing loop out.
  const benchmark::IterationCount turn = n <= (1 << 14) ? 100 : period;
  while (state.KeepRunningBatch(turn)) take(turn);
}

template <class Scalar, class Optimizer>
void time_optimizer(benchmark::State& state, Optimizer optimizer, benchmark::IterationCount period = 1) {
  Problem<Scalar> problem(state.range(0));
  escape(problem);
  escape(optimizer);
  time_steps(state, period, [&] { optimizer.step(problem.weights, problem.gradient); });
}

}  // namespace steps
