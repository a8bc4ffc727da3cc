#include "logistic_regression/training.hpp"

#include <polyak/polyak.hpp>

#include <cmath>
#include <sstream>
#include <string>

#include "catch.hpp"
#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/optimum.hpp"
#include "common/statistics.hpp"
#include "logistic_regression/report.hpp"
#include "logistic_regression/schedules.hpp"
#include "logistic_regression/timing.hpp"

using namespace examples;

namespace {

constexpr std::size_t last = 0, tail = 1, ema = 2, swa = 3;

TrainingOptions digits_options() {
  TrainingOptions options;
  options.epochs = 30;
  options.learning_rate = 1;
  return options;
}

void nothing() {}

}  // namespace

TEST_CASE("on the digits every average is closer to the optimum than the last iterate, in every run") {
  const TrainTest data = load_digits();
  const TrainingOptions options = digits_options();
  const Optimum optimum = find_optimum(data.train, options.l2);
  const auto excess = [&](const Eigen::VectorXd& weights) {
    return evaluate(weights, data.train).loss + options.l2 / 2 * weights.squaredNorm() - optimum.objective;
  };
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const Run run = train(data, options, seed, 0, nothing);
    for (const std::size_t average : {tail, ema, swa}) {
      INFO(weights_names[average] << ", seed " << seed);
      CHECK(excess(run.weights[average]) > 0);
      CHECK(excess(run.weights[average]) < 0.2 * excess(run.weights[last]));
      CHECK((run.weights[average] - optimum.weights).norm() < 0.9 * (run.weights[last] - optimum.weights).norm());
      CHECK(evaluate(run.weights[average], data.test).loss < evaluate(run.weights[last], data.test).loss);
    }
  }
}

TEST_CASE("the averages watch a training and change nothing in it") {
  const TrainTest data = load_digits();
  TrainingOptions options = digits_options();
  options.epochs = 2;
  const Run run = train(data, options, 5, 10, nothing);

  SoftmaxRegression model(data.train);
  MiniBatches batches(data.train.samples(), options.batch_size, 5);
  Eigen::VectorXf weights = model.zero_weights();
  polyak::Sgd<float> sgd{{.learning_rate = options.learning_rate, .weight_decay = options.l2}};
  for (int i = 0; i < 288; ++i) sgd.step(weights, model.gradient(weights, batches.next()));
  CHECK(run.weights[last] == weights.cast<double>());
}

TEST_CASE("the plan follows from the options") {
  const Dataset train = load_digits().train;
  TrainingOptions options = digits_options();
  TrainingPlan plan = make_plan(options, train);
  CHECK(plan.steps_per_epoch == 144);
  CHECK(plan.steps == 4320);
  CHECK(plan.averaging_start == 2160);
  CHECK(plan.snapshot_period == 43);

  options.epochs = 1;
  options.batch_size = train.samples();
  plan = make_plan(options, train);
  CHECK(plan.steps == 1);
  CHECK(plan.snapshot_period == 1);
  const Run run = examples::train({"one step", train, train}, options, 1, 10, nothing);
  for (const std::size_t average : {tail, ema, swa}) CHECK(run.weights[average] == run.weights[last]);
}

TEST_CASE("the curves hold every weight at every point, empty where there is no average yet") {
  const TrainTest data = load_digits();
  TrainingOptions options = digits_options();
  options.epochs = 1;
  const std::vector<Run> runs = {train(data, options, 3, 4, nothing)};
  std::ostringstream all, one;
  write_curves(all, make_plan(options, data.train), runs, shown_weights("all"));
  write_curves(one, make_plan(options, data.train), runs, shown_weights("ema"));

  std::istringstream lines(all.str());
  std::string line;
  std::getline(lines, line);
  CHECK(line ==
        "seed,step,epoch,learning_rate,last_test_loss,last_test_accuracy,tail_test_loss,tail_test_accuracy,"
        "ema_test_loss,ema_test_accuracy,swa_test_loss,swa_test_accuracy");
  std::getline(lines, line);
  CHECK(line.substr(0, 12) == "3,36,0.25,1,");
  CHECK(line.find(",,,") != std::string::npos);  // no tail average before half the training
  int count = 1;
  while (std::getline(lines, line)) {
    ++count;
    CHECK(line.find(",,") == std::string::npos);
    CHECK(std::count(line.begin(), line.end(), ',') == 11);
  }
  CHECK(count == 4);
  CHECK(one.str().substr(0, one.str().find('\n')) ==
        "seed,step,epoch,learning_rate,last_test_loss,last_test_accuracy,ema_test_loss,ema_test_accuracy");
}

TEST_CASE("every schedule has a name, starts within bounds and stays there") {
  const auto names = schedule_names();
  CHECK(names.size() == 9);
  for (const auto& name : names) {
    INFO(name);
    CHECK(describe_schedules().find("  " + name + " ") != std::string::npos);
    const auto schedule = make_schedule(name, {.rate = 0.5, .l2 = 1e-3, .steps = 1000, .snapshot = 10});
    for (std::uint64_t t = 0; t < 1000; ++t) {
      CHECK(schedule(t) >= 0);
      CHECK(schedule(t) <= 0.5);
    }
  }
  CHECK_THROWS_WITH(make_schedule("fast", {}), "there is no schedule named fast");
}

TEST_CASE("a step takes some time") {
  const TrainTest data = load_digits();
  for (const double seconds : time_per_step(data.train, digits_options())) {
    CHECK(seconds > 1e-8);
    CHECK(seconds < 1);
  }
}

TEST_CASE("mean, standard deviation and median") {
  CHECK(mean({1, 2, 6}) == 3);
  CHECK(standard_deviation({1, 2, 6}) == Approx(std::sqrt(7.0)));
  CHECK(std::isnan(standard_deviation({1})));
  CHECK(median({9, 1, 2}) == 2);
  CHECK(median({9, 1, 2, 4}) == 3);
}
