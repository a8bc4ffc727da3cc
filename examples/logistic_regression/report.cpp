#include "logistic_regression/report.hpp"

#include "common/csv.hpp"
#include "common/table.hpp"

namespace examples {

Shown shown_weights(const std::string& averager) {
  Shown shown{};
  for (std::size_t k = 0; k < n_weights; ++k) shown[k] = k == 0 || averager == "all" || averager == weights_keys[k];
  return shown;
}

void print_report(std::ostream& out, const TrainTest& data, double l2, const std::vector<Run>& runs,
                  const std::optional<Optimum>& optimum, const std::array<double, n_weights>& seconds_per_step,
                  const Shown& shown) {
  const bool with_distance = optimum.has_value();
  const auto row = [&](const std::string& name, const std::string& training_loss, const std::string& test_loss,
                       const std::string& accuracy, const std::string& distance, const std::string& time) {
    std::vector<std::string> cells = {name, training_loss, test_loss, accuracy};
    if (with_distance) cells.push_back(distance);
    cells.push_back(time);
    return cells;
  };

  Table table(row("", "training loss", "test loss", "test accuracy %", "distance to optimum", "step, µs"));
  for (std::size_t k = 0; k < n_weights; ++k) {
    if (!shown[k]) continue;
    std::vector<double> training_loss, test_loss, accuracy, distance;
    for (const Run& run : runs) {
      const Eigen::VectorXd& weights = run.weights[k];
      const Evaluation test = evaluate(weights, data.test);
      training_loss.push_back(evaluate(weights, data.train).loss + l2 / 2 * weights.squaredNorm());
      test_loss.push_back(test.loss);
      accuracy.push_back(100 * test.accuracy);
      distance.push_back(with_distance ? (weights - optimum->weights).norm() : 0);
    }
    table.add_row(row(weights_names[k], with_spread(training_loss, 4), with_spread(test_loss, 4),
                      with_spread(accuracy, 2), with_spread(distance, 3), fixed(1e6 * seconds_per_step[k], 2)));
  }
  if (optimum) {
    const Evaluation test = evaluate(optimum->weights, data.test);
    table.add_row(
        row("optimum", fixed(optimum->objective, 4), fixed(test.loss, 4), fixed(100 * test.accuracy, 2), "0", ""));
  }
  out << table;
}

void write_curves(std::ostream& out, const TrainingPlan& plan, const std::vector<Run>& runs, const Shown& shown) {
  out << "seed,step,epoch,learning_rate";
  for (std::size_t k = 0; k < n_weights; ++k) {
    if (shown[k]) out << ',' << weights_keys[k] << "_test_loss," << weights_keys[k] << "_test_accuracy";
  }
  out << '\n';
  for (const Run& run : runs) {
    for (const CurvePoint& point : run.curve) {
      out << run.seed << ',' << point.step << ','
          << static_cast<double>(point.step) / static_cast<double>(plan.steps_per_epoch) << ',' << point.learning_rate;
      for (std::size_t k = 0; k < n_weights; ++k) {
        if (!shown[k]) continue;
        out << ',' << CsvNumber{point.test[k].loss} << ',' << CsvNumber{point.test[k].accuracy};
      }
      out << '\n';
    }
  }
}

}  // namespace examples
