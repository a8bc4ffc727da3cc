#include "common/softmax_regression.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "catch.hpp"
#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/optimum.hpp"

using namespace examples;

namespace {

/// The first samples alone.
Dataset head(const Dataset& data, Eigen::Index samples) {
  return {data.inputs.leftCols(samples), {data.labels.begin(), data.labels.begin() + samples}, data.classes};
}

std::vector<Eigen::Index> all_samples(const Dataset& data) {
  std::vector<Eigen::Index> indices(static_cast<std::size_t>(data.samples()));
  std::iota(indices.begin(), indices.end(), Eigen::Index{0});
  return indices;
}

Eigen::VectorXf some_weights(Eigen::Index size) {
  std::mt19937 random(1);
  return Eigen::VectorXf::NullaryExpr(size, [&] { return static_cast<float>(random() % 2001) / 1000.0f - 1; });
}

}  // namespace

TEST_CASE("equal scores cost log 10 and give every class its turn") {
  const Dataset data = load_digits().test;
  const Evaluation zero = evaluate(SoftmaxRegression(data).zero_weights(), data);
  CHECK(zero.loss == Approx(std::log(10.0)));
  CHECK(zero.accuracy == Approx(35.0 / 360));  // the first of equals is class 0
}

TEST_CASE("the gradient is that of the loss") {
  const Dataset data = head(load_digits().train, 20);
  SoftmaxRegression model(data);
  const Eigen::VectorXf weights = some_weights(model.zero_weights().size());
  const Eigen::VectorXf gradient = model.gradient(weights, all_samples(data));
  for (Eigen::Index i = 0; i < weights.size(); i += 7) {
    constexpr float h = 1e-2f;
    const Eigen::VectorXf step = h * Eigen::VectorXf::Unit(weights.size(), i);
    const double slope = (evaluate(weights + step, data).loss - evaluate(weights - step, data).loss) / (2 * h);
    CHECK(static_cast<double>(gradient[i]) == Approx(slope).margin(2e-4));
  }
}

TEST_CASE("the gradient of a batch is the mean over its samples") {
  const Dataset data = load_digits().train;
  SoftmaxRegression model(data);
  const Eigen::VectorXf weights = some_weights(model.zero_weights().size());
  const std::vector<Eigen::Index> batch = {3, 700, 1436};
  Eigen::VectorXf mean = Eigen::VectorXf::Zero(weights.size());
  for (const Eigen::Index& sample : batch) mean += model.gradient(weights, std::span(&sample, 1)) / 3;
  CHECK(mean.isApprox(model.gradient(weights, batch), 1e-5f));
}

TEST_CASE("huge scores overflow nothing") {
  const Dataset data = load_digits().test;
  SoftmaxRegression model(data);
  const Eigen::VectorXf weights = 1e6f * some_weights(model.zero_weights().size());
  CHECK(std::isfinite(evaluate(weights, data).loss));
  CHECK(model.gradient(weights, all_samples(data)).allFinite());
}

TEST_CASE("an epoch of mini-batches holds every sample once, in an order the seed alone decides") {
  MiniBatches batches(23, 5, 7), same(23, 5, 7), other(23, 5, 8);
  CHECK(batches.steps_per_epoch() == 5);
  std::vector<Eigen::Index> previous;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<Eigen::Index> seen, seen_same, seen_other;
    for (int step = 0; step < 5; ++step) {
      const auto batch = batches.next();
      CHECK(batch.size() == (step < 4 ? 5 : 3));
      seen.insert(seen.end(), batch.begin(), batch.end());
      const auto batch_same = same.next();
      seen_same.insert(seen_same.end(), batch_same.begin(), batch_same.end());
      const auto batch_other = other.next();
      seen_other.insert(seen_other.end(), batch_other.begin(), batch_other.end());
    }
    CHECK(seen == seen_same);
    CHECK(seen != seen_other);
    CHECK(seen != previous);
    previous = seen;
    std::sort(seen.begin(), seen.end());
    for (Eigen::Index i = 0; i < 23; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("the optimum is one") {
  const Dataset data = load_digits().train;
  const double l2 = 1e-3;
  const Optimum optimum = find_optimum(data, l2);
  const auto objective = [&](const Eigen::VectorXd& weights) {
    return evaluate(weights, data).loss + l2 / 2 * weights.squaredNorm();
  };
  CHECK(optimum.gradient_norm <= 0.01 * l2);
  CHECK(optimum.objective == Approx(objective(optimum.weights)).epsilon(1e-6));

  SoftmaxRegression model(data);
  const Eigen::VectorXf weights = optimum.weights.cast<float>();
  CHECK((model.gradient(weights, all_samples(data)) + static_cast<float>(l2) * weights).norm() < 1e-4f);

  const Eigen::VectorXd direction = some_weights(optimum.weights.size()).cast<double>().normalized();
  for (const double step : {-3.0, -1.0, 1.0, 3.0}) {
    // Strong convexity: the objective rises by at least l2/2 of the squared distance.
    CHECK(objective(optimum.weights + step * direction) >= optimum.objective + l2 / 2 * step * step - 1e-5);
  }
}
