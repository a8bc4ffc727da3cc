#include "neural_network/perceptron.hpp"

#include <polyak/polyak.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "neural_network/flatness.hpp"
#include "neural_network/gaussian.hpp"
#include "neural_network/layers.hpp"
#include "neural_network/report.hpp"
#include "neural_network/training.hpp"

using namespace examples;
using namespace examples::neural_network;

namespace {

constexpr std::size_t last = 0, ema = 1, swa = 2, power = 3;
constexpr Shape small{64, 12, 10};

TrainingOptions digits_options() {
  TrainingOptions options;
  options.epochs = 3;
  options.batch_size = 32;
  options.hidden = 12;
  return options;
}

template <class Scalar>
std::vector<Scalar> flat(Layers<Scalar> layers) {
  std::vector<Scalar> weights;
  layers.for_each_weight([&](Scalar weight) { weights.push_back(weight); });
  return weights;
}

/// Layers with biases too, so that none of them is missed where it stands.
Layers<double> some_layers() {
  auto layers = initial_layers<double>(small, 3);
  Gaussian gaussian(3, 7);
  for (double& bias : layers.b1) bias = 0.1 * gaussian();
  for (double& bias : layers.b2) bias = 0.1 * gaussian();
  return layers;
}

void nothing() {}

}  // namespace

TEST_CASE("the network computes what its formula says") {
  const Dataset data = evenly_spaced(load_digits().test, 2);
  const Layers<double> layers = some_layers();
  double loss = 0;
  for (Eigen::Index i = 0; i < 2; ++i) {
    const Eigen::VectorXd x = data.inputs.col(i).head(64).cast<double>();
    Eigen::VectorXd hidden = layers.W1 * x + layers.b1;
    for (double& unit : hidden) unit = std::max(unit, 0.0);
    const Eigen::VectorXd odds = (layers.W2 * hidden + layers.b2).array().exp();
    loss -= std::log(odds(data.labels[static_cast<std::size_t>(i)]) / odds.sum()) / 2;
  }
  CHECK(Perceptron<double>(small).evaluate(layers, data).loss == Approx(loss).epsilon(1e-12));
}

TEST_CASE("back-propagation finds the gradient of the loss, in every coordinate of every block") {
  const Dataset data = load_digits().train;
  const std::vector<Eigen::Index> batch = {3, 700, 701, 1436, 20};
  Dataset samples{Eigen::MatrixXf(data.inputs.rows(), 5), {}, data.classes};
  for (std::size_t i = 0; i < batch.size(); ++i) {
    samples.inputs.col(static_cast<Eigen::Index>(i)) = data.inputs.col(batch[i]);
    samples.labels.push_back(data.labels[static_cast<std::size_t>(batch[i])]);
  }

  Perceptron<double> perceptron(small);
  Layers<double> layers = some_layers();
  const std::vector<double> gradient = flat(perceptron.gradient(layers, data, batch));
  REQUIRE(gradient.size() == 64 * 12 + 12 + 12 * 10 + 10);
  std::size_t i = 0;
  double largest_error = 0, largest_slope = 0;
  layers.for_each_weight([&](double& weight) {
    constexpr double h = 1e-5;
    const double before = weight;
    weight = before + h;
    const double above = perceptron.evaluate(layers, samples).loss;
    weight = before - h;
    const double below = perceptron.evaluate(layers, samples).loss;
    weight = before;
    const double slope = (above - below) / (2 * h);
    largest_error = std::max(largest_error, std::abs(gradient[i++] - slope));
    largest_slope = std::max(largest_slope, std::abs(slope));
  });
  CHECK(largest_error < 1e-9);
  CHECK(largest_slope > 0.1);
}

TEST_CASE("batches of any size, in float as in double") {
  const Dataset data = load_digits().train;
  const Layers<double> wide = some_layers();
  Layers<float> layers(small);
  layers.W1 = wide.W1.cast<float>();
  layers.b1 = wide.b1.cast<float>();
  layers.W2 = wide.W2.cast<float>();
  layers.b2 = wide.b2.cast<float>();
  Perceptron<float> perceptron(small);
  Perceptron<double> reference(small);
  const std::vector<Eigen::Index> all = {0, 11, 22, 33, 44, 55};
  for (const std::size_t size : {6u, 1u, 4u}) {
    const std::span batch(all.data(), size);
    const std::vector<float> gradient = flat(perceptron.gradient(layers, data, batch));
    const std::vector<double> expected = flat(reference.gradient(wide, data, batch));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      REQUIRE(static_cast<double>(gradient[i]) == Approx(expected[i]).margin(2e-6));
    }
  }
}

TEST_CASE("huge weights overflow nothing in the network") {
  const Dataset data = load_digits().test;
  Layers<float> layers = initial_layers<float>(small, 1);
  layers.for_each_weight([](float& weight) { weight *= 1e6f; });
  Perceptron<float> perceptron(small);
  CHECK(std::isfinite(perceptron.evaluate(layers, data).loss));
  const std::vector<Eigen::Index> batch = {0, 1, 2};
  for (const float slope : flat(perceptron.gradient(layers, data, batch))) REQUIRE(std::isfinite(slope));
}

TEST_CASE("the first weights have the spread that suits a rectifier, and a seed of their own") {
  const auto layers = initial_layers<double>({400, 100, 10}, 1);
  CHECK(layers.W1.mean() == Approx(0).margin(3 * std::sqrt(2.0 / 400) / 200));
  CHECK(layers.W1.squaredNorm() / 40000 == Approx(2.0 / 400).epsilon(0.03));
  CHECK(layers.W2.squaredNorm() / 1000 == Approx(2.0 / 100).epsilon(0.2));
  CHECK(layers.b1.isZero(0));
  CHECK(layers.b2.isZero(0));
  CHECK(layers.W1 == initial_layers<double>({400, 100, 10}, 1).W1);
  CHECK(layers.W1 != initial_layers<double>({400, 100, 10}, 2).W1);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  Gaussian gaussian(5, 0), other(5, 1);
  constexpr int n = 200000;
  double sum = 0, squares = 0, fourths = 0, products = 0;
  for (int i = 0; i < n; ++i) {
    const double x = gaussian();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    products += x * other();
  }
  // Five standard errors of each.
  const double unit = 5 / std::sqrt(n);
  CHECK(std::abs(sum / n) < unit);
  CHECK(std::abs(squares / n - 1) < unit * std::sqrt(2.0));
  CHECK(std::abs(fourths / n - 3) < unit * std::sqrt(96.0));
  CHECK(std::abs(products / n) < unit);
}

TEST_CASE("the averages watch the training of a network and change nothing in it") {
  const TrainTest data = load_digits();
  const TrainingOptions options = digits_options();
  const Run run = train("sgd", data, options, 5, 10, nothing);

  Perceptron<float> perceptron(small);
  MiniBatches batches(data.train.samples(), options.batch_size, 5);
  auto layers = initial_layers<float>(small, 5);
  Layers<float> velocity(small);
  polyak::Sgd<float> sgd{{.learning_rate = options.sgd_learning_rate,
                          .momentum = options.momentum,
                          .weight_decay = options.sgd_weight_decay,
                          .blocks = {{}, {.weight_decay_factor = 0}, {}, {.weight_decay_factor = 0}}}};
  polyak::Ema ema_alone{{.decay = options.ema_decay}};
  for (int i = 0; i < 135; ++i) {
    sgd.step(layers.parameters(), perceptron.gradient(layers, data.train, batches.next()).parameters());
    ema_alone.update(layers.parameters());
  }
  CHECK(flat(run.weights[last]) == flat(layers));
  Layers<float> average(small);
  ema_alone.copy_average_to(average.parameters());
  CHECK(flat(run.weights[ema]) == flat(average));
  for (std::size_t k = 0; k < n_weights; ++k) {
    const Evaluation test = perceptron.evaluate(run.weights[k], data.test);
    CHECK(run.test[k].loss == test.loss);
    CHECK(run.test[k].accuracy == test.accuracy);
  }
}

TEST_CASE("biases do not decay, weights do") {
  TrainTest data = load_digits();
  data.train.inputs.setZero();  // so that W1 has no gradient, and decays alone
  TrainingOptions options = digits_options();
  options.epochs = 1;
  options.sgd_weight_decay = options.adamw_weight_decay = 0.5;
  options.momentum = 0;
  const auto start = initial_layers<float>(small, 1);
  const Run sgd = train("sgd", data, options, 1, 0, nothing);
  const Run adamw = train("adamw", data, options, 1, 0, nothing);
  CHECK(sgd.weights[last].W1.isApprox(start.W1 * std::pow(1 - 0.03f * 0.5f, 45.0f), 1e-5f));
  CHECK(adamw.weights[last].W1.isApprox(start.W1 * std::pow(1 - 1e-3f * 0.5f, 45.0f), 1e-5f));

  // No sample reaches a hidden unit, so b2 has learnt the frequencies of the labels as if nothing decayed.
  TrainingOptions free = options;
  free.sgd_weight_decay = free.adamw_weight_decay = 0;
  CHECK(sgd.weights[last].b2 == train("sgd", data, free, 1, 0, nothing).weights[last].b2);
  CHECK(sgd.weights[last].b2.norm() > 0);
  CHECK(adamw.weights[last].b2 == train("adamw", data, free, 1, 0, nothing).weights[last].b2);
}

TEST_CASE("both optimizers learn the digits, and a cosine leaves nothing to average") {
  const TrainTest data = load_digits();
  TrainingOptions options = digits_options();
  options.epochs = 20;
  options.ema_decay = 0.99;
  for (const std::string optimizer : {"sgd", "adamw"}) {
    INFO(optimizer);
    const Run run = train(optimizer, data, options, 1, 0, nothing);
    for (std::size_t k = 0; k < n_weights; ++k) CHECK(run.test[k].accuracy > (k == last ? 0.85 : 0.8));

    options.schedule = "cosine";
    const Run annealed = train(optimizer, data, options, 1, 4, nothing);
    CHECK(annealed.curve.front().learning_rate > annealed.curve.back().learning_rate);
    CHECK(annealed.curve.back().learning_rate < 1e-4);
    options.schedule = "constant";
  }
  CHECK_THROWS_WITH(train("adam", data, options, 1, 0, nothing), "there is no optimizer named adam");
}

TEST_CASE("the plan of a training follows from the options") {
  const Dataset train_set = load_digits().train;
  TrainingOptions options = digits_options();
  options.epochs = 10;
  TrainingPlan plan = make_plan(options, train_set);
  CHECK(plan.steps_per_epoch == 45);
  CHECK(plan.steps == 450);
  CHECK(plan.swa_start == 337);
  CHECK(plan.snapshot_period == 4);

  options.epochs = 1;
  options.batch_size = train_set.samples();
  plan = make_plan(options, train_set);
  CHECK(plan.steps == 1);
  CHECK(plan.snapshot_period == 1);
  const Run run = examples::neural_network::train("adamw", {"one step", train_set, train_set}, options, 1, 10, nothing);
  for (const std::size_t average : {ema, swa, power}) CHECK(flat(run.weights[average]) == flat(run.weights[last]));
  CHECK(run.curve.size() == 1);
}

TEST_CASE("flatness is what it says: nothing rises at a flat place, and the same draws meet all weights") {
  const Dataset data = evenly_spaced(load_digits().train, 100);
  Layers<float> layers = initial_layers<float>(small, 1);
  const Flatness flatness = measure_flatness(layers, data, 3);
  CHECK(flatness.loss == Perceptron<float>(small).evaluate(layers, data).loss);
  const Flatness again = measure_flatness(layers, data, 3);
  CHECK(flatness.rise == again.rise);
  CHECK(flatness.rise != measure_flatness(layers, data, 2).rise);

  // Rectifiers let a unit scale its way in up and its way out down: the network is the same, and so is its flatness.
  Layers<float> scaled = layers;
  scaled.W1 *= 4;
  scaled.b1 *= 4;
  scaled.W2 /= 4;
  const Flatness same = measure_flatness(scaled, data, 3);
  for (std::size_t i = 0; i < perturbations.size(); ++i) CHECK(same.rise[i] == Approx(flatness.rise[i]).margin(1e-5));

  layers.for_each_weight([](float& weight) { weight = 0; });
  for (const double rise : measure_flatness(layers, data, 3).rise) CHECK(std::abs(rise) < 1e-12);
}

TEST_CASE("evenly spaced samples are spread over the data") {
  const Dataset data = load_digits().train;
  const Dataset some = evenly_spaced(data, 479);
  CHECK(some.samples() == 479);
  for (const Eigen::Index i : {0, 1, 478}) {
    CHECK(some.inputs.col(i) == data.inputs.col(3 * i));
    CHECK(some.labels[static_cast<std::size_t>(i)] == data.labels[static_cast<std::size_t>(3 * i)]);
  }
  CHECK(evenly_spaced(data, 5000).inputs == data.inputs);
}

TEST_CASE("the curves of both optimizers hold every weight at every point") {
  const TrainTest data = load_digits();
  TrainingOptions options = digits_options();
  options.epochs = 1;
  std::vector<Training> trainings;
  for (const std::string optimizer : {"sgd", "adamw"}) {
    trainings.push_back({optimizer, {train(optimizer, data, options, 3, 5, nothing)}});
  }
  std::ostringstream csv;
  neural_network::write_curves(csv, make_plan(options, data.train), trainings);
  std::istringstream lines(csv.str());
  std::string line;
  std::getline(lines, line);
  CHECK(line ==
        "optimizer,seed,step,epoch,learning_rate,last_test_loss,last_test_accuracy,ema_test_loss,ema_test_accuracy,"
        "swa_test_loss,swa_test_accuracy,power_test_loss,power_test_accuracy");
  std::vector<std::string> rows;
  while (std::getline(lines, line)) rows.push_back(line);
  REQUIRE(rows.size() == 10);
  CHECK(rows[0].substr(0, 17) == "sgd,3,9,0.2,0.03,");
  CHECK(rows[0].find(",,,") != std::string::npos);  // no SWA before three quarters of the training
  CHECK(rows[4].substr(0, 14) == "sgd,3,45,1,0.0");
  CHECK(rows[4].find(",,") == std::string::npos);
  CHECK(rows[9].substr(0, 17) == "adamw,3,45,1,0.00");
  for (const std::string& row : rows) CHECK(std::count(row.begin(), row.end(), ',') == 12);
}
