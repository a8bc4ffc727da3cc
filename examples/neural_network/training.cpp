#include "neural_network/training.hpp"

#include <polyak/polyak.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "common/mini_batches.hpp"
#include "neural_network/perceptron.hpp"

namespace examples::neural_network {

namespace {

polyak::Hyperparameter learning_rate(double rate, const std::string& schedule, std::uint64_t steps) {
  if (schedule == "cosine") return polyak::Cosine{{.initial = rate, .steps = steps}};
  return rate;
}

template <class Optimizer>
Run train_with(const Optimizer& optimizer, const TrainTest& data, const TrainingOptions& options, std::uint64_t seed,
               std::uint64_t curve_points, const std::function<void()>& on_step) {
  const TrainingPlan plan = make_plan(options, data.train);
  const Shape shape{pixels(data.train), options.hidden, data.train.classes};
  Perceptron<float> perceptron(shape);
  MiniBatches batches(data.train.samples(), options.batch_size, seed);
  auto layers = initial_layers<float>(shape, seed);
  polyak::Averaged opt{optimizer, polyak::Ema{{.decay = options.ema_decay}},
                       polyak::Swa{{.start = plan.swa_start, .period = plan.snapshot_period}},
                       polyak::PowerEma{{.relative_width = options.relative_width}}};

  Layers<float> average(shape);
  const auto evaluate_average = [&](const auto& averager) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (!averager.has_average()) return Evaluation{none, none};
    averager.copy_average_to(average.parameters());
    return perceptron.evaluate(average, data.test);
  };
  const auto evaluate_all = [&]() -> std::array<Evaluation, n_weights> {
    return {perceptron.evaluate(layers, data.test), evaluate_average(opt.template averager<0>()),
            evaluate_average(opt.template averager<1>()), evaluate_average(opt.template averager<2>())};
  };

  Run run;
  run.seed = seed;
  const auto points_until = [&](std::uint64_t step) { return step * curve_points / plan.steps; };
  for (std::uint64_t step = 1; step <= plan.steps; ++step) {
    const double rate = opt.optimizer().learning_rate();
    const auto& gradient = perceptron.gradient(layers, data.train, batches.next());
    opt.step(layers.parameters(), gradient.parameters());
    if (points_until(step) > points_until(step - 1)) run.curve.push_back({step, rate, evaluate_all()});
    on_step();
  }
  run.test = evaluate_all();
  run.weights.assign(n_weights, layers);
  opt.template copy_average_to<0>(run.weights[1].parameters());
  opt.template copy_average_to<1>(run.weights[2].parameters());
  opt.template copy_average_to<2>(run.weights[3].parameters());
  return run;
}

}  // namespace

TrainingPlan make_plan(const TrainingOptions& options, const Dataset& train) {
  TrainingPlan plan;
  plan.steps_per_epoch = MiniBatches(train.samples(), options.batch_size, 0).steps_per_epoch();
  plan.steps = options.epochs * plan.steps_per_epoch;
  plan.swa_start = static_cast<std::uint64_t>(options.swa_start * static_cast<double>(plan.steps));
  plan.snapshot_period = std::max<std::uint64_t>(1, plan.steps / 100);
  return plan;
}

Run train(const std::string& optimizer, const TrainTest& data, const TrainingOptions& options, std::uint64_t seed,
          std::uint64_t curve_points, const std::function<void()>& on_step) {
  const std::uint64_t steps = make_plan(options, data.train).steps;
  const polyak::BlockOptions weights, biases{.weight_decay_factor = 0};
  const std::vector<polyak::BlockOptions> blocks = {weights, biases, weights, biases};
  if (optimizer == "sgd") {
    const polyak::Sgd<float> sgd{{.learning_rate = learning_rate(options.sgd_learning_rate, options.schedule, steps),
                                  .momentum = options.momentum,
                                  .weight_decay = options.sgd_weight_decay,
                                  .blocks = blocks}};
    return train_with(sgd, data, options, seed, curve_points, on_step);
  }
  if (optimizer == "adamw") {
    const polyak::AdamW<float> adamw{
        {.learning_rate = learning_rate(options.adamw_learning_rate, options.schedule, steps),
         .weight_decay = options.adamw_weight_decay,
         .blocks = blocks}};
    return train_with(adamw, data, options, seed, curve_points, on_step);
  }
  throw std::invalid_argument("there is no optimizer named " + optimizer);
}

}  // namespace examples::neural_network
