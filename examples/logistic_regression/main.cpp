// What averaging buys on real data: logistic regression by mini-batch SGD, the last iterate beside its averages.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/command_line.hpp"
#include "common/curve_files.hpp"
#include "common/data_sets.hpp"
#include "common/optimum.hpp"
#include "common/output_file.hpp"
#include "common/program.hpp"
#include "common/progress.hpp"
#include "logistic_regression/options.hpp"
#include "logistic_regression/plot.hpp"
#include "logistic_regression/report.hpp"
#include "logistic_regression/timing.hpp"
#include "logistic_regression/training.hpp"

namespace examples {

namespace {

TrainingOptions training_options(const Options& options, const TrainTest& data) {
  require_batch_within(options.batch_size, data.train.samples());
  TrainingOptions training;
  training.epochs = static_cast<std::uint64_t>(options.epochs);
  training.batch_size = options.batch_size;
  training.learning_rate = options.learning_rate;
  training.schedule = options.schedule;
  training.decay = options.decay;
  training.l2 = options.l2;
  return training;
}

std::string describe(const Options& options, const TrainTest& data) {
  std::ostringstream text;
  text << data.name << ": SGD, batch " << options.batch_size << ", " << options.schedule << " learning rate "
       << options.learning_rate;
  return text.str();
}

void draw(OutputFile& plot, const std::filesystem::path& csv, const std::string& title, const std::vector<Run>& runs,
          const Shown& shown) {
  const bool finite = std::any_of(runs.begin(), runs.end(), [](const Run& run) {
    return std::any_of(run.curve.begin(), run.curve.end(),
                       [](const CurvePoint& point) { return std::isfinite(point.test[0].loss); });
  });
  if (!finite) throw std::runtime_error("no curve is drawn, for no test loss is finite");
  const std::string seeds = runs.size() == 1 ? "" : "; " + std::to_string(runs.size()) + " seeds and their mean";
  plot_curves(csv, plot.unfinished(), title + seeds, shown);
  plot.commit();
}

void run(const Options& options) {
  CurveFiles files(options.csv, options.plot);
  const TrainTest data = load_data(options.data);
  const TrainingOptions training = training_options(options, data);
  const TrainingPlan plan = make_plan(training, data.train);
  const Shown shown = shown_weights(options.averager);
  std::cout << describe(options, data) << "; " << plan.steps << " steps, " << data.train.samples()
            << " training images\n\n"
            << std::flush;

  std::vector<Run> runs;
  {
    const auto n_runs = static_cast<std::uint64_t>(options.seeds);
    Progress progress("training " + std::to_string(n_runs) + (n_runs == 1 ? " run" : " runs"), n_runs * plan.steps);
    const std::uint64_t curve_points = files.wanted() ? 120 : 0;
    for (std::uint64_t i = 0; i < n_runs; ++i) {
      runs.push_back(train(data, training, options.seed + i, curve_points, [&] { progress.advance(); }));
    }
  }
  std::filesystem::path curves;
  if (files.wanted()) {
    write_curves(files.csv(), plan, runs, shown);
    curves = files.finish_csv();
  }

  const auto seconds_per_step = time_per_step(data.train, training);
  std::optional<Optimum> optimum;
  if (options.optimum || options.data == "digits") optimum = find_optimum(data.train, options.l2);

  print_report(std::cout, data, options.l2, runs, optimum, seconds_per_step, shown);
  std::cout << '\n';
  if (runs.size() > 1) std::cout << "mean ± standard deviation over " << runs.size() << " seeds\n";
  std::cout << "training loss: cross-entropy + " << options.l2 << "/2 |w|², what SGD minimises; "
            << "test loss: cross-entropy alone\n"
            << "tail average, SWA: the second half of the steps, all or one in " << plan.snapshot_period
            << "; EMA: decay " << options.decay << "\n"
            << "step: median time with its gradient, for SGD alone in the first row, with one averager in the others\n";
  if (!optimum) std::cout << "distance to the optimum: add --optimum, which takes about half a minute to find it\n";

  if (files.plot()) draw(*files.plot(), curves, describe(options, data), runs, shown);
}

}  // namespace

}  // namespace examples

int main(int argc, char** argv) {
  return examples::run_program("logistic_regression", [&] { examples::run(examples::parse_options(argc, argv)); });
}
