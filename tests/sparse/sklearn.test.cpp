#include <polyak/averagers/tail_average.hpp>
#include <polyak/schedules.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/SparseCore>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"
#include "fixtures.hpp"

// What scikit-learn learnt of sparse samples, one run after the other: fixtures/sklearn_fixtures.py says how.

namespace {

using fixtures::Row;

struct Samples {
  Eigen::SparseMatrix<double, Eigen::RowMajor> x;
  std::vector<double> labels;
};

Samples read_samples(Eigen::Index features) {
  const auto table = fixtures::read("sparse_words.csv");
  std::vector<Eigen::Triplet<double>> counts;
  Samples samples;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto sample = table[i].integer("sample");
    if (sample == samples.labels.size()) samples.labels.push_back(table[i].number("label"));
    REQUIRE(sample + 1 == samples.labels.size());
    counts.emplace_back(static_cast<int>(sample), static_cast<int>(table[i].integer("feature")),
                        table[i].number("count"));
  }
  samples.x.resize(static_cast<Eigen::Index>(samples.labels.size()), features);
  samples.x.setFromTriplets(counts.begin(), counts.end());
  return samples;
}

double derivative(const std::string& loss, double score, double label) {
  if (loss == "log_loss") return -label / (1 + std::exp(label * score));
  REQUIRE(loss == "hinge");
  return label * score <= 1 ? -label : 0;
}

polyak::Hyperparameter learning_rate(const Row& run) {
  const double initial = run.number("initial");
  if (run.text("rate") == "constant") return initial;
  if (run.text("rate") == "optimal") return polyak::BottouDecay{{.initial = initial, .lambda = run.number("l2")}};
  REQUIRE(run.text("rate") == "invscaling");
  return polyak::InverseTime{{.initial = initial, .timescale = 1, .power = run.number("power")}};
}

}  // namespace

TEST_CASE("SparseSgd learns what scikit-learn's SGDClassifier does, and averages as it does", "[sparse][fixtures]") {
  constexpr double tolerance = 1e-9;
  const auto table = fixtures::read("sklearn_sgd.csv");
  const auto runs = table.runs({"loss", "rate", "l1", "start"});
  REQUIRE(runs.size() == 20);
  for (const auto& run : runs) {
    const Row& first = run.front();
    INFO(first.text("loss") << ", " << first.text("rate") << ", L1 " << first.text("l1") << ", average from step "
                            << first.text("start"));
    const std::size_t features = run.size() - 1;
    const Samples samples = read_samples(static_cast<Eigen::Index>(features));
    const std::uint64_t start = first.integer("start");
    polyak::SparseSgd model{{.features = features,
                             .learning_rate = learning_rate(first),
                             .l2 = first.number("l2"),
                             .l1 = first.number("l1"),
                             .intercept_rate = first.number("intercept_rate")},
                            polyak::TailAverage{{.start = std::max<std::uint64_t>(start, 1)}}};
    for (std::uint64_t epoch = 0; epoch < first.integer("epochs"); ++epoch) {
      for (std::size_t i = 0; i < samples.labels.size(); ++i) {
        model.step(samples.x.row(static_cast<Eigen::Index>(i)),
                   [&](double score) { return derivative(first.text("loss"), score, samples.labels[i]); });
      }
    }

    const Eigen::VectorXd weights = model.weights();
    const Eigen::VectorXd averages = model.average();
    const double scale = weights.cwiseAbs().maxCoeff();
    REQUIRE(scale > 0.1);
    const auto check = [&](const Row& row, const char* column, double actual) {
      if (row.text(column).empty()) return;  // no average, or an intercept that scikit-learn does not keep beside it
      INFO("feature " << row.text("feature") << ", " << column);
      CHECK(std::abs(actual - row.number(column)) <= tolerance * scale);
    };
    REQUIRE(run.back().text("average").empty() == (start == 0));
    for (const Row& row : run) {
      const bool intercept = row.text("feature") == "intercept";
      const auto j = intercept ? 0 : static_cast<Eigen::Index>(row.integer("feature"));
      check(row, "weight", intercept ? model.intercept()[0] : weights[j]);
      check(row, "average", intercept ? model.average_intercept()[0] : averages[j]);
    }
  }
}
