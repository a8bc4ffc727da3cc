#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

/// What the benchmarks of single steps share.
namespace steps {

inline constexpr double rate = 0.01;
inline constexpr double gain = 0.001;

/// n zeros that begin in the named sixth of a page of memory, 0 to 5, on a line of the cache. Vectors that are written
/// and read in one loop must not begin at the same place of a page, or the processor takes loads for stores it waits
/// for: at n = 1024 a step takes twice as long. What is allocated plainly begins within the first 64 bytes, or
/// anywhere.
template <class Scalar>
class PlacedVector {
 public:
  PlacedVector(Eigen::Index n, std::size_t sixth)
      : memory_(static_cast<std::size_t>(n) * sizeof(Scalar) + 2 * page),
        numbers_(reinterpret_cast<Scalar*>(begin() + sixth * 640), n) {}
  PlacedVector(PlacedVector&&) = default;

  [[nodiscard]] Eigen::Map<Eigen::VectorX<Scalar>>& get() { return numbers_; }
  [[nodiscard]] Scalar* data() { return numbers_.data(); }

 private:
  static constexpr std::size_t page = 4096;
  [[nodiscard]] std::byte* begin() {
    const auto at = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (page - at % page);
  }

  std::vector<std::byte> memory_;
  Eigen::Map<Eigen::VectorX<Scalar>> numbers_;
};

/// Weights of order one that drift slowly, up and down in turn: nothing is ever subnormal, which would be slow.
template <class Scalar>
struct Problem {
  explicit Problem(Eigen::Index n) : placed_weights(n, 2), placed_gradient(n, 4) {
    for (Eigen::Index i = 0; i < n; ++i) {
      weights[i] = Scalar(1);
      gradient[i] = Scalar(i % 2 == 0 ? 1e-4 : -1e-4);
    }
  }
  PlacedVector<Scalar> placed_weights, placed_gradient;
  Eigen::Map<Eigen::VectorX<Scalar>>& weights = placed_weights.get();
  Eigen::Map<Eigen::VectorX<Scalar>>& gradient = placed_gradient.get();
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
