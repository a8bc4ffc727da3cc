// What averaging buys a neural network on real data: the weights that SGD and AdamW train, beside their averages.

#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/command_line.hpp"
#include "common/curve_files.hpp"
#include "common/data_sets.hpp"
#include "common/gnuplot.hpp"
#include "common/program.hpp"
#include "common/progress.hpp"
#include "neural_network/flatness.hpp"
#include "neural_network/options.hpp"
#include "neural_network/perceptron.hpp"
#include "neural_network/report.hpp"
#include "neural_network/training.hpp"

namespace examples::neural_network {

namespace {

std::string describe(const Options& options, const TrainTest& data) {
  std::ostringstream text;
  text << data.name << ": " << pixels(data.train) << "-" << options.training.hidden << "-" << data.train.classes
       << " perceptron, batch " << options.training.batch_size << ", " << options.training.schedule
       << " learning rates";
  return text.str();
}

std::string describe(const std::string& optimizer, const TrainingOptions& options) {
  std::ostringstream text;
  text << title(optimizer) << ", learning rate ";
  if (optimizer == "sgd") {
    text << options.sgd_learning_rate << ", momentum " << options.momentum << ", weight decay "
         << options.sgd_weight_decay;
  } else {
    text << options.adamw_learning_rate << ", weight decay " << options.adamw_weight_decay;
  }
  return text.str();
}

std::vector<Training> train_all(const Options& options, const TrainTest& data, std::uint64_t curve_points) {
  const std::uint64_t runs = options.optimizers.size() * options.seeds;
  Progress progress("training " + std::to_string(runs) + (runs == 1 ? " run" : " runs"),
                    runs * make_plan(options.training, data.train).steps);
  std::vector<Training> trainings;
  for (const std::string& optimizer : options.optimizers) {
    Training training{optimizer, {}};
    for (std::uint64_t i = 0; i < options.seeds; ++i) {
      training.runs.push_back(
          train(optimizer, data, options.training, options.seed + i, curve_points, [&] { progress.advance(); }));
    }
    trainings.push_back(std::move(training));
  }
  return trainings;
}

void print_legend(const Options& options, const TrainingPlan& plan, Eigen::Index sample) {
  if (options.seeds > 1) std::cout << "mean ± standard deviation over " << options.seeds << " seeds\n";
  std::cout << "EMA: decay " << options.training.ema_decay << "; SWA: one step in " << plan.snapshot_period
            << " from step " << plan.swa_start << " on; power EMA: relative width " << options.training.relative_width
            << '\n'
            << "gain: in points of accuracy, run by run\n";
  if (options.flatness == 0) return;
  std::cout << "training loss: on " << sample << " training images; rise: of this loss as every weight and bias is\n"
            << "multiplied by 1 + σN(0, 1), the mean over " << options.flatness
            << " draws and their opposites; flatter: by how much less it rises than that of the\n"
            << "last iterate, the mean over σ, run by run\n";
}

void run(const Options& options) {
  CurveFiles files(options.csv, options.plot);
  const TrainTest data = load_data(options.data);
  require_batch_within(options.training.batch_size, data.train.samples());
  const TrainingPlan plan = make_plan(options.training, data.train);
  std::cout << describe(options, data) << "; " << options.training.epochs << " epochs, " << plan.steps << " steps\n"
            << std::flush;

  const std::vector<Training> trainings = train_all(options, data, files.wanted() ? 25 : 0);
  std::filesystem::path curves;
  if (files.wanted()) {
    write_curves(files.csv(), plan, trainings);
    curves = files.finish_csv();
  }

  const Dataset sample = evenly_spaced(data.train, 1000);
  for (const Training& training : trainings) {
    std::cout << '\n' << describe(training.optimizer, options.training) << '\n';
    print_accuracy(std::cout, training.runs);
    if (options.flatness > 0) {
      std::cout << '\n';
      print_flatness(std::cout, training.runs, sample, options.flatness);
    }
  }
  std::cout << '\n';
  print_legend(options, plan, sample.samples());

  if (auto& plot = files.plot()) {
    std::string panels;
    for (const std::string& optimizer : options.optimizers) panels += (panels.empty() ? "" : " ") + optimizer;
    const std::string seeds = options.seeds == 1 ? "" : "; " + std::to_string(options.seeds) + " seeds and their mean";
    run_gnuplot(POLYAK_EXAMPLES_PLOT_SCRIPT,
                {curves.string(), plot->unfinished().string(), describe(options, data) + seeds, panels});
    plot->commit();
  }
}

}  // namespace

}  // namespace examples::neural_network

int main(int argc, char** argv) {
  using namespace examples;
  return run_program("neural_network", [&] { neural_network::run(neural_network::parse_options(argc, argv)); });
}
