#include "bits/bits.hpp"
#include "parts/averagers.hpp"

using namespace polyak;

namespace {

using bits::Hash;
using bits::Numbers;

/// A hash of 12 steps, saved and loaded in the middle. step(object, numbers, hash) takes one and adds what there is.
template <class Object, class Step>
Hash run(const Object& fresh, const Step& step) {
  Hash hash;
  Numbers numbers;
  Object object = fresh;
  for (int t = 1; t <= 12; ++t) {
    if (t == 7) bits::save_and_load(object, fresh);
    step(object, numbers, hash);
    bits::describe(hash, object);
  }
  return hash;
}

template <class Model>
Hash run_model(const Model& fresh) {
  return run(fresh, [](Model& model, Numbers& numbers, Hash& hash) {
    std::vector<int> indices;
    std::vector<typename Model::scalar_type> values;
    for (int i = 0; i < 5; ++i) {
      indices.push_back(static_cast<int>(numbers.bits(4)));
      values.push_back(numbers.next<typename Model::scalar_type>());
    }
    std::vector<double> scores(model.outputs());
    for (double& derivative : scores) derivative = numbers.next<double>();
    const SparseRow x{indices, values};
    model.step(x, scores);
    model.predict(x, scores);
    hash.add_all(scores);
    hash.add_all(model.weights());
    hash.add_all(model.intercept());
    if (!model.has_average()) return;
    model.predict_average(x, scores);
    hash.add_all(scores);
    hash.add_all(model.average_intercept());
  });
}

template <class Scalar, class Averager>
Hash run_rows(const Averager& averager) {
  Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> table;
  table.setOnes(8, 3);
  const RowAverage<Averager, Scalar> fresh(table, averager);
  return run(fresh, [&](RowAverage<Averager, Scalar>& average, Numbers& numbers, Hash& hash) {
    const std::vector<std::uint32_t> rows{numbers.bits(3), numbers.bits(3)};
    average.step(table, rows, [&] {
      for (const std::uint32_t row : rows) table(row, 1) += numbers.next<Scalar>();
    });
    hash.add_all(table);
    if (average.has_average()) hash.add_all(average.average(table));
    if (average.steps() == 9) average.detach(table);
  });
}

}  // namespace

/// Sparse models and averages of rows, by every averager that is a sequence of gains.
void bits::add_sparse(Report& report) {
  for_each_scalar([&](auto scalar) {
    using Scalar = decltype(scalar);
    if constexpr (std::same_as<Scalar, float> || std::same_as<Scalar, double>) {
      for_each_variant(parts::averagers, [&](auto row, const std::string& name, const auto& options) {
        using Averager = typename decltype(row)::template type<double>;
        if constexpr (GainAverager<Averager>) {
          report.add_hash<Scalar>("RowAverage by " + name, run_rows<Scalar>(Averager(options)));
        }
      });
      const auto add = [&](const std::string& name, std::size_t outputs, double l2, double l1) {
        SparseSgdOptions sgd{.features = 16, .outputs = outputs, .learning_rate = 0.125, .l2 = l2, .l1 = l1};
        SparseAdagradOptions adagrad{.features = 16, .outputs = outputs, .learning_rate = 0.125, .l2 = l2, .l1 = l1};
        report.add_hash<Scalar>("SparseSgd" + name, run_model(SparseSgd<Ema<>, Scalar>(sgd)));
        report.add_hash<Scalar>("SparseAdagrad" + name, run_model(SparseAdagrad<Ema<>, Scalar>(adagrad)));
      };
      add(" plain", 1, 0, 0);
      add(" with l2 that has all features visited", 1, 4, 0);
      add(" with l1", 1, 0, 0.1);
      add(" with l1 l2 and three outputs", 3, 0.1, 0.1);
    }
  });
}
