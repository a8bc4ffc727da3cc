#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_row.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/SparseCore>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "support.hpp"

// The code that the guide shows, on small problems with a known answer.

namespace {

using Eigen::MatrixXd;
using Eigen::SparseVector;

// [sparse model]
/// Logistic regression, one sample at a time; labels are ±1.
template <class Samples>
auto train(const Samples& samples, std::size_t features) {
  polyak::SparseSgd model{{.features = features, .learning_rate = 0.1, .l2 = 1e-6}, polyak::Ema{{.decay = 0.999}}};
  for (const auto& [x, label] : samples) {
    model.step(x, [y = label](double score) { return -y / (1 + std::exp(y * score)); });
  }
  return model;  // model.predict(x) by the weights as trained, model.predict_average(x) by their average
}
// [/sparse model]

// [embedding table]
/// Pulls the vectors of words that stand together towards each other; the table stays yours.
template <class Average>
void attract(MatrixXd& table, Average& average, std::span<const int> words) {
  average.step(table, words, [&] {
    const Eigen::RowVectorXd middle = table(words, Eigen::all).colwise().mean();
    for (const int word : words) table.row(word) += 0.1 * (middle - table.row(word));
  });
}
// [/embedding table]

/// An averager of one's own, in no way the library's, that goes half of the way each time.
class HalfWay {
 public:
  struct Fold {
    [[nodiscard]] double gain() const noexcept { return 0.5; }
    [[nodiscard]] bool due() const noexcept { return true; }
  };
  class Gains {
   public:
    [[nodiscard]] Fold next() const noexcept { return {}; }
    void commit(const Fold&) noexcept { ++count_; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

   private:
    std::uint64_t count_ = 0;
  };
  [[nodiscard]] Gains gains() const noexcept { return {}; }
  [[nodiscard]] bool in_use() const noexcept { return false; }
};

}  // namespace

TEST_CASE("a sparse model as the guide has it learns, and its average too", "[sparse]") {
  support::Random random(1);
  const std::size_t features = 1000;
  std::vector<std::pair<SparseVector<double>, double>> samples;
  for (int i = 0; i < 5000; ++i) {
    SparseVector<double> x(static_cast<Eigen::Index>(features));
    const double label = random.integer(0, 1) == 0 ? 1 : -1;
    for (int j = 0; j < 5; ++j) {  // the first half of the features speaks for +1, the second for −1
      const auto other = static_cast<Eigen::Index>(random.integer(0, features - 1));
      const auto own = static_cast<Eigen::Index>(random.integer(0, features / 2 - 1)) + (label > 0 ? 0 : 500);
      x.coeffRef(random.integer(0, 2) == 0 ? other : own) = 1;
    }
    samples.emplace_back(x, label);
  }
  const auto model = train(samples, features);
  int right = 0;
  int right_by_average = 0;
  for (const auto& [x, label] : samples) {
    right += model.predict(x) * label > 0 ? 1 : 0;
    right_by_average += model.predict_average(x) * label > 0 ? 1 : 0;
  }
  CHECK(right > 4500);
  CHECK(right_by_average > 4500);
}

TEST_CASE("an embedding table as the guide has it has an average", "[sparse]") {
  MatrixXd table = MatrixXd::Identity(4, 4);
  polyak::RowAverage average{table, polyak::TailAverage{}};
  const std::vector<int> pair{0, 2};
  MatrixXd sum = MatrixXd::Zero(4, 4);
  for (int t = 0; t < 100; ++t) {
    attract(table, average, pair);
    sum += table;
  }
  CHECK(std::abs(table(0, 2) - 0.5) < 1e-4);
  CHECK(support::largest(average.average(table) - sum / 100) < 1e-14);
  CHECK(table(1, 1) == 1);
}

TEST_CASE("an averager of one's own will do for a sparse model and for a table", "[sparse]") {
  polyak::SparseSgd model{{.features = 1, .learning_rate = 1, .intercept = false}, HalfWay{}};
  MatrixXd table = MatrixXd::Zero(1, 1);
  polyak::RowAverage average{table, HalfWay{}};
  CHECK(support::error_of([&] { static_cast<void>(model.average()); }) ==
        "logic_error: polyak::SparseSgd: there is no average before the first fold");
  const std::vector<int> index{0};
  const std::vector<double> value{1};
  for (int t = 0; t < 2; ++t) {
    model.step(polyak::SparseRow{index, value}, -1.0);
    average.step(table, index, [&] { table(0, 0) += 1; });
  }
  CHECK(model.average()(0, 0) == 1.25);
  CHECK(average.average(table)(0, 0) == 1.25);
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("no step of a sparse model or of a table allocates", "[sparse]") {
  using allocation_counter::allocations_in;
  const std::vector<int> indices{0, 3, 4};
  const std::vector<double> values{1, -1, 2};
  const polyak::SparseRow<int, double> x{indices, values};
  const auto steps = [&](auto& model) {
    return allocations_in([&] {
      for (int t = 0; t < 1000; ++t) {
        model.step(x, [](std::span<const double> scores, std::span<double> derivatives) {
          for (std::size_t o = 0; o < scores.size(); ++o) derivatives[o] = scores[o] - 1;
        });
      }
    });
  };
  polyak::SparseSgd sgd{{.features = 5, .outputs = 2, .l2 = 50, .l1 = 0.1}, polyak::Ema{{.decay = 0.9}}};
  polyak::SparseAdagrad adagrad{{.features = 5}, polyak::TailAverage{{.start = 10}}};
  CHECK(steps(sgd) == 0);
  CHECK(sgd.sweeps() > 0);
  CHECK(steps(adagrad) == 0);

  Eigen::MatrixXf table = Eigen::MatrixXf::Ones(6, 8);
  polyak::RowAverage average{table, polyak::Ema{{.decay = 0.5}}};
  const auto step = [&] { average.step(table, indices, [&] { table.row(3).array() += 1; }); };
  step();
  CHECK(allocations_in([&] {
          for (int t = 0; t < 1000; ++t) step();
        }) == 0);
  CHECK(average.sweeps() > 0);
}
#endif
