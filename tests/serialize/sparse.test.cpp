#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Digest;

namespace {

/// Rows of three features out of eleven, with derivatives of three outputs.
struct Samples {
  std::vector<std::vector<int>> indices;
  std::vector<std::vector<double>> values, derivatives;

  explicit Samples(std::size_t steps) {
    support::Random random(3);
    const auto three = [&](auto next) { return std::vector{next(), next(), next()}; };
    for (std::size_t t = 0; t < steps; ++t) {
      const int first = static_cast<int>(random.integer(0, 4));
      indices.push_back({first, first + 3, first + 6});
      values.push_back(three([&] { return random.normal(); }));
      derivatives.push_back(three([&] { return random.normal(); }));
    }
  }
};

struct Nothing {};

template <class Model>
void check_model(const Model& fresh, std::uint64_t sweeps = 0, std::size_t steps = 12) {
  const Samples samples(steps);
  Model last = fresh;
  check_resuming(
      fresh, Nothing(), steps,
      [&](Model& model, Nothing&, std::size_t t) {
        model.step(SparseRow{samples.indices[t], samples.values[t]},
                   std::span(samples.derivatives[t].data(), model.outputs()));
        if (t + 1 == steps) last = model;
      },
      [](const Model& model, const Nothing&) {
        Digest digest;
        digest.add_object(model);
        return digest;
      });
  CHECK(last.sweeps() >= sweeps);
}

/// A gain of 1 now and then starts the average anew.
double restarting(std::uint64_t k) { return k % 5 == 1 ? 1 : 0.5; }

template <template <class, class> class Model, class Options, class Scalar>
void check_models(Options options) {
  options.features = 11;
  options.learning_rate = InverseTime({.initial = 0.5});
  for (const std::size_t outputs : {std::size_t{1}, std::size_t{3}}) {
    options.outputs = outputs;
    for (const double l1 : {0.0, 0.02}) {
      options.l1 = l1;
      options.l2 = 0.1;
      check_model(Model<Ema<>, Scalar>(options, Ema{{.decay = 0.5, .start = 2}}));
      // Almost all of a weight is lost in each step, or of the average, so that the scales are folded back every few.
      options.l2 = 1;
      options.learning_rate = [](std::uint64_t t) { return t % 2 == 1 ? 0.999999999999 : 0.5; };
      check_model(Model<TailAverage<>, Scalar>(options, TailAverage{}), 2, 30);
      options.learning_rate = InverseTime({.initial = 0.5});
      check_model(Model<Ema<>, Scalar>(options, Ema{{.decay = 1e-12, .bias_correction = false, .every = 2}}), 1, 30);
    }
  }
  check_model(Model<GainAverage<>, Scalar>(options, GainAverage{{.gain = restarting, .start = 2}}), 1);
  check_model(Model<AnytimeTailAverage<>, Scalar>(options, AnytimeTailAverage{}));
}

}  // namespace

TEMPLATE_TEST_CASE("sparse models go on where they were saved", "[serialize]", float, double) {
  check_models<SparseSgd, SparseSgdOptions, TestType>({});
  check_models<SparseAdagrad, SparseAdagradOptions, TestType>({.initial_accumulator = 0.1});
}

TEMPLATE_TEST_CASE("saving a model whose average has not begun leaves its numbers alone", "[serialize]", float,
                   double) {
  const Samples samples(4);
  for (const std::size_t outputs : {std::size_t{1}, std::size_t{3}}) {
    SparseAdagrad<TailAverage<>, TestType> model(
        {.features = 11, .outputs = outputs, .l2 = 0.1, .initial_accumulator = 0.1}, TailAverage{{.start = 100}});
    std::vector<double> before(outputs), after(outputs);
    for (std::size_t t = 0; t < 4; ++t) {
      const SparseRow x{samples.indices[t], samples.values[t]};
      model.step(x, std::span(samples.derivatives[t].data(), outputs));
      if (t < 2) continue;  // before the rows are made longer, which saving does, and after
      model.predict(x, before);
      const Eigen::MatrixXd weights = model.weights();
      static_cast<void>(serialize::save(model));
      model.predict(x, after);
      CHECK(model.weights() == weights);
      CHECK(before == after);
    }
  }
}

namespace {

/// The table is the world; the same rows move in the same step.
template <class Table, class Average>
void check_table(const Average& fresh, std::uint64_t sweeps, bool detaches = false) {
  const Table start = Table::Ones(6, 3);
  Average last = fresh;
  check_resuming(
      fresh, start, 14,
      [&](Average& average, Table& table, std::size_t t) {
        const std::vector<std::size_t> rows{t % 6, (5 * t + 1) % 6};
        if (detaches && t % 5 == 3) {
          average.detach(table);
          table.array() += 1;
        }
        average.step(table, rows, [&] {
          for (const auto row : rows) {
            table.row(static_cast<Eigen::Index>(row)) *= static_cast<typename Table::Scalar>(0.5f);
            table(static_cast<Eigen::Index>(row), 1) -= static_cast<typename Table::Scalar>(0.3f);
          }
        });
        if (t == 13) last = average;
      },
      [](const Average& average, const Table& table) {
        Digest digest;
        digest.add_matrix(table);
        digest.add_number(average.steps());
        digest.add_number(average.count());
        digest.add_number(average.effective_sample_size());
        digest.add_number(average.sweeps());
        if (average.has_average()) digest.add_matrix(average.average(table));
        return digest;
      });
  CHECK(last.sweeps() >= sweeps);
}

}  // namespace

TEST_CASE("the average of a table goes on where it was saved", "[serialize]") {
  const Eigen::MatrixXd table = Eigen::MatrixXd::Ones(6, 3);
  using Floats = Eigen::MatrixXf;
  check_table<Eigen::MatrixXd>(RowAverage{table}, 0);
  check_table<Eigen::MatrixXd>(RowAverage{table, Ema{{.decay = 0.75, .start = 3, .every = 2}}}, 0);
  check_table<Eigen::MatrixXd>(RowAverage{table, Ema{{.decay = 1e-12, .bias_correction = false}}}, 1);
  check_table<Eigen::MatrixXd>(RowAverage{table, GainAverage{{.gain = restarting}}}, 1);
  check_table<Floats>(RowAverage{table, Ema{{.decay = 0.5}}}, 1, true);
  check_table<Floats>(RowAverage<PowerEma<>, float>{table}, 0);
  check_table<Floats>(RowAverage<Swa<>, float>{table, Swa{{.start = 2, .period = 3}}}, 1, true);

  RowAverage average{table};
  Eigen::MatrixXd moving = table;
  average.step(moving, std::vector{1}, [&] {
    CHECK(support::error_of([&] { (void)serialize::save(average); }) ==
          "logic_error: polyak::RowAverage: serialize must not be called while a step moves rows");
  });
}
