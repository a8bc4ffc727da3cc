#include <polyak/polyak.hpp>

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <iomanip>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

// polyak_threads [EXPONENT...]: the time of a step on 2^EXPONENT weights by 1 thread and by as many as OpenMP has, in
// one process and in random turns, as a table in Markdown. Medians, by the clock on the wall.

namespace {

using polyak::AdamW;
using polyak::Averaged;
using polyak::Ema;
using polyak::Sgd;

using Clock = std::chrono::steady_clock;

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

struct Times {
  double one, all;  // microseconds
};

/// Weights of order one that drift up and down in turn, as in steps.hpp.
template <class Scalar, class Optimizer>
Times time_of_step(Eigen::Index n, Optimizer optimizer) {
  Eigen::VectorX<Scalar> weights = Eigen::VectorX<Scalar>::Ones(n);
  Eigen::VectorX<Scalar> gradient(n);
  for (Eigen::Index i = 0; i < n; ++i) gradient[i] = Scalar(i % 2 == 0 ? 1e-4 : -1e-4);
  const int threads = omp_get_max_threads();
  const auto seconds = [&](int of, int steps) {
    omp_set_num_threads(of);
    optimizer.step(weights, gradient);  // wakes the threads
    const auto start = Clock::now();
    for (int i = 0; i < steps; ++i) optimizer.step(weights, gradient);
    return std::chrono::duration<double>(Clock::now() - start).count() / steps;
  };
  const int steps = static_cast<int>(std::clamp(4e-3 / seconds(1, 2), 2.0, 1000.0));
  std::vector<double> one, all;
  std::vector<int> turns(51, 1);
  turns.insert(turns.end(), turns.size(), threads);
  std::shuffle(turns.begin(), turns.end(), std::mt19937(1));
  bool first = true;
  for (const int of : turns) {
    // With one thread to compare with itself, turns go to one and the other.
    auto& times = of != 1 || (threads == 1 && (first = !first)) ? all : one;
    times.push_back(seconds(of, steps));
  }
  omp_set_num_threads(threads);
  return {1e6 * median(one), 1e6 * median(all)};
}

template <class Scalar>
Sgd<Scalar> sgd() {
  return Sgd<Scalar>{{.learning_rate = 0.01}};
}

struct Row {
  std::string_view name;
  std::function<Times(Eigen::Index)> time;
};

const std::vector<Row> rows{
    {"`Sgd<float>`", [](Eigen::Index n) { return time_of_step<float>(n, sgd<float>()); }},
    {"`Averaged<Sgd<float>, Ema<float>>`",
     [](Eigen::Index n) {
       return time_of_step<float>(n, Averaged{sgd<float>(), Ema<float>{}});
     }},
    {"`Averaged<Sgd<double>, Ema<double>>`",
     [](Eigen::Index n) {
       return time_of_step<double>(n, Averaged{sgd<double>(), Ema<double>{}});
     }},
    {"`Averaged<AdamW<float>, Ema<float>>`",
     [](Eigen::Index n) {
       return time_of_step<float>(n, Averaged{AdamW<float>{}, Ema<float>{}});
     }},
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> exponents;
  for (int i = 1; i < argc; ++i) {
    const int exponent = std::atoi(argv[i]);
    if (exponent < 4 || exponent > 30) {
      std::cerr << "usage: polyak_threads [EXPONENT from 4 to 30...]\n";
      return 2;
    }
    exponents.push_back(exponent);
  }
  if (exponents.empty()) exponents = {16, 18, 20, 22, 24};
  const int threads = omp_get_max_threads();
  std::cout << "Step on 2^k weights: µs by 1 thread, by " << threads << " threads, ratio\n\n| |";
  for (const int exponent : exponents) std::cout << " k = " << exponent << " |";
  std::cout << "\n|---|";
  for (std::size_t i = 0; i < exponents.size(); ++i) std::cout << "---|";
  std::cout << std::fixed << '\n';
  for (const Row& row : rows) {
    std::cout << "| " << row.name << " |";
    for (const int exponent : exponents) {
      const Times times = row.time(Eigen::Index{1} << exponent);
      std::cout << std::setprecision(0) << ' ' << times.one << ", " << times.all << ", " << std::setprecision(2)
                << times.one / times.all << " |" << std::flush;
    }
    std::cout << '\n';
  }
}
