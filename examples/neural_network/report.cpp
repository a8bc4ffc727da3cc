#include "neural_network/report.hpp"

#include <sstream>
#include <utility>

#include "common/csv.hpp"
#include "common/table.hpp"

namespace examples::neural_network {

std::string title(const std::string& optimizer) { return optimizer == "sgd" ? "SGD" : "AdamW"; }

void print_accuracy(std::ostream& out, const std::vector<Run>& runs) {
  Table table({"", "test loss", "test accuracy %", "gain on last iterate"});
  for (std::size_t k = 0; k < n_weights; ++k) {
    std::vector<double> loss, accuracy, gain;
    for (const Run& run : runs) {
      loss.push_back(run.test[k].loss);
      accuracy.push_back(100 * run.test[k].accuracy);
      gain.push_back(100 * (run.test[k].accuracy - run.test[0].accuracy));
    }
    table.add_row(
        {weights_names[k], with_spread(loss, 4), with_spread(accuracy, 2), k == 0 ? "" : with_spread(gain, 2)});
  }
  out << table;
}

void print_flatness(std::ostream& out, const std::vector<Run>& runs, const Dataset& data, std::uint64_t draws) {
  std::vector<std::string> header = {"", "training loss"};
  for (const double sigma : perturbations) {
    std::ostringstream cell;
    cell << "rise at σ = " << sigma;
    header.push_back(cell.str());
  }
  header.push_back("flatter by %");
  Table table(std::move(header));
  std::vector<Flatness> of_last;
  for (std::size_t k = 0; k < n_weights; ++k) {
    std::vector<double> loss, gain;
    std::array<std::vector<double>, perturbations.size()> rise;
    for (std::size_t r = 0; r < runs.size(); ++r) {
      const Flatness flatness = measure_flatness(runs[r].weights[k], data, draws);
      if (k == 0) of_last.push_back(flatness);
      loss.push_back(flatness.loss);
      double ratios = 0;
      for (std::size_t i = 0; i < rise.size(); ++i) {
        rise[i].push_back(flatness.rise[i]);
        ratios += flatness.rise[i] / of_last[r].rise[i];
      }
      gain.push_back(100 * (1 - ratios / static_cast<double>(rise.size())));
    }
    std::vector<std::string> cells = {weights_names[k], with_spread(loss, 4)};
    for (const auto& values : rise) cells.push_back(with_spread(values, 4));
    cells.push_back(k == 0 ? "" : with_spread(gain, 1));
    table.add_row(std::move(cells));
  }
  out << table;
}

void write_curves(std::ostream& out, const TrainingPlan& plan, const std::vector<Training>& trainings) {
  out << "optimizer,seed,step,epoch,learning_rate";
  for (const char* const key : weights_keys) out << ',' << key << "_test_loss," << key << "_test_accuracy";
  out << '\n';
  for (const Training& training : trainings) {
    for (const Run& run : training.runs) {
      for (const CurvePoint& point : run.curve) {
        const double epoch = static_cast<double>(point.step) / static_cast<double>(plan.steps_per_epoch);
        out << training.optimizer << ',' << run.seed << ',' << point.step << ',' << epoch << ',' << point.learning_rate;
        for (const Evaluation& test : point.test) out << ',' << CsvNumber{test.loss} << ',' << CsvNumber{test.accuracy};
        out << '\n';
      }
    }
  }
}

}  // namespace examples::neural_network
