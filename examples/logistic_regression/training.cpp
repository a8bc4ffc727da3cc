#include "logistic_regression/training.hpp"

#include <polyak/polyak.hpp>

#include <algorithm>
#include <limits>

#include "common/mini_batches.hpp"
#include "logistic_regression/schedules.hpp"

namespace examples {

TrainingPlan make_plan(const TrainingOptions& options, const Dataset& train) {
  TrainingPlan plan;
  plan.steps_per_epoch = MiniBatches(train.samples(), options.batch_size, 0).steps_per_epoch();
  plan.steps = options.epochs * plan.steps_per_epoch;
  plan.averaging_start = plan.steps / 2;
  plan.snapshot_period = std::max<std::uint64_t>(1, plan.steps / 100);
  return plan;
}

Run train(const TrainTest& data, const TrainingOptions& options, std::uint64_t seed, std::uint64_t curve_points,
          const std::function<void()>& on_step) {
  const TrainingPlan plan = make_plan(options, data.train);
  const auto learning_rate =
      make_schedule(options.schedule, {options.learning_rate, options.l2, plan.steps, plan.snapshot_period});

  SoftmaxRegression model(data.train);
  MiniBatches batches(data.train.samples(), options.batch_size, seed);
  Eigen::VectorXf weights = model.zero_weights();
  const polyak::Sgd<float> sgd{{.learning_rate = learning_rate, .weight_decay = options.l2}};
  polyak::Averaged opt{sgd, polyak::TailAverage{{.start = plan.averaging_start}}, polyak::Ema{{.decay = options.decay}},
                       polyak::Swa{{.start = plan.averaging_start, .period = plan.snapshot_period}}};

  const auto evaluate_average = [&](const auto& averager) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return averager.has_average() ? evaluate(averager.average(), data.test) : Evaluation{none, none};
  };

  Run run;
  run.seed = seed;
  const std::uint64_t interval = curve_points == 0 ? 0 : std::max<std::uint64_t>(1, plan.steps / curve_points);
  for (std::uint64_t step = 1; step <= plan.steps; ++step) {
    const double rate = opt.optimizer().learning_rate();
    opt.step(weights, model.gradient(weights, batches.next()));
    if (interval != 0 && (step % interval == 0 || step == plan.steps)) {
      run.curve.push_back({step,
                           rate,
                           {evaluate(weights, data.test), evaluate_average(opt.averager<0>()),
                            evaluate_average(opt.averager<1>()), evaluate_average(opt.averager<2>())}});
    }
    on_step();
  }
  run.weights = {weights.cast<double>(), opt.average<0>(), opt.average<1>(), opt.average<2>()};
  return run;
}

}  // namespace examples
