#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "benchmarks.hpp"
#include "sparse_data.hpp"

// A whole step of logistic regression on one sparse sample: score, loss, weights, average.

namespace {

using polyak::Ema;
using polyak::SparseSgd;
using polyak::TailAverage;

constexpr double rate = 0.1;
constexpr double l2 = 1e-5;

/// The same rows for all that is compared: a new size replaces the data of the last.
const sparse::Data& data(std::size_t features) {
  static std::unique_ptr<sparse::Data> last;
  if (!last || last->features() != features) {
    last.reset();
    last = std::make_unique<sparse::Data>(features, 8192);
  }
  return *last;
}

/// Sparse SGD as one writes it by hand: L2 by a scale, and no average.
class Plain {
 public:
  explicit Plain(std::size_t features) : weights_(Eigen::VectorXd::Zero(static_cast<Eigen::Index>(features))) {}

  void step(const polyak::SparseRow<std::uint32_t, double>& x, double label) {
    const std::size_t n = x.indices.size();
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += x.values[i] * weights_[x.indices[i]];
    const double derivative = sparse::logistic_derivative(scale_ * sum + intercept_, label);
    scale_ *= 1 - rate * l2;
    if (scale_ < 1e-9) {
      weights_ *= scale_;
      scale_ = 1;
    }
    const double factor = -rate * derivative / scale_;
    for (std::size_t i = 0; i < n; ++i) weights_[x.indices[i]] += factor * x.values[i];
    intercept_ -= rate * derivative;
  }
  [[nodiscard]] auto weights() const { return scale_ * weights_; }

 private:
  Eigen::VectorXd weights_;
  double scale_ = 1;
  double intercept_ = 0;
};

/// Its average as one writes it by hand.
class DenselyAveraged {
 public:
  explicit DenselyAveraged(std::size_t features)
      : plain_(features), average_(Eigen::VectorXd::Zero(static_cast<Eigen::Index>(features))) {}

  void step(const polyak::SparseRow<std::uint32_t, double>& x, double label) {
    plain_.step(x, label);
    average_ += 0.001 * (plain_.weights() - average_);
  }

 private:
  Plain plain_;
  Eigen::VectorXd average_;
};

template <class Averager>
class Lagged {
 public:
  Lagged(std::size_t features, Averager averager)
      : model_({.features = features, .learning_rate = rate, .l2 = l2}, std::move(averager)) {}

  void step(const polyak::SparseRow<std::uint32_t, double>& x, double label) {
    model_.step(x, [label](double score) { return sparse::logistic_derivative(score, label); });
  }

 private:
  SparseSgd<Averager> model_;
};

template <class Model>
void time_samples(benchmark::State& state, Model model) {
  const sparse::Data& samples = data(static_cast<std::size_t>(state.range(0)));
  std::size_t next = 0;
  const auto take = [&](std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      model.step(samples.row(next), samples.label(next));
      if (++next == samples.rows()) next = 0;
      benchmark::ClobberMemory();
    }
  };
  const bool dense = std::is_same_v<Model, DenselyAveraged>;
  const std::size_t turn = dense ? 10 : 1000;
  take(dense ? 10 : samples.rows());
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(turn))) take(turn);
}

template <class Averager>
void time_averager(benchmark::State& state, Averager averager) {
  time_samples(state, Lagged<Averager>(static_cast<std::size_t>(state.range(0)), std::move(averager)));
}

}  // namespace

void register_sparse_steps() {
  const auto add = [](const std::string& family, auto run) {
    auto* registered = benchmark::RegisterBenchmark((family + "<double>").c_str(), run);
    for (const std::int64_t features : {1 << 14, 47'236, 1 << 18, 1 << 20, 1 << 22, 1 << 24}) registered->Arg(features);
  };
  const auto features = [](const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); };
  add("sparse_plain", [=](benchmark::State& state) { time_samples(state, Plain(features(state))); });
  add("sparse_never", [](benchmark::State& state) {
    time_averager(state, TailAverage{{.start = std::numeric_limits<std::uint64_t>::max()}});
  });
  add("sparse_uniform", [](benchmark::State& state) { time_averager(state, TailAverage{}); });
  add("sparse_ema", [](benchmark::State& state) { time_averager(state, Ema{{.decay = 0.999}}); });
  add("sparse_dense_ema", [=](benchmark::State& state) { time_samples(state, DenselyAveraged(features(state))); });
}
