// A step on a sparse sample costs what its nonzeros cost, and so does the average, whatever the number of features.

#include <polyak/polyak.hpp>

#include <Eigen/SparseCore>

#include <cmath>
#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"

using namespace examples;

int main() {
  const TrainTest digits = load_digits();
  const auto row = [](const Dataset& data, Eigen::Index i) -> Eigen::SparseVector<float> {
    return data.inputs.col(i).sparseView();  // the pixels that are not white
  };
  const auto sign = [](const Dataset& data, Eigen::Index i) { return data.labels[std::size_t(i)] % 2 == 0 ? -1 : 1; };

  polyak::SparseSgd model{{.features = 65, .learning_rate = 1, .l2 = 1e-4}, polyak::TailAverage{{.start = 10'000}}};
  MiniBatches samples(digits.train.samples(), 1, 1);
  for (int t = 0; t < 40'000; ++t) {  // odd digits from even ones, by logistic regression
    const Eigen::Index i = samples.next()[0];
    const int y = sign(digits.train, i);
    model.step(row(digits.train, i), [y](double score) { return -y / (1 + std::exp(y * score)); });
  }
  int last = 0, average = 0;
  for (Eigen::Index i = 0; i < digits.test.samples(); ++i) {
    const auto x = row(digits.test, i);
    last += model.predict(x) * sign(digits.test, i) < 0;
    average += model.predict_average(x) * sign(digits.test, i) < 0;
  }
  std::cout << "wrong of " << digits.test.samples() << ", last iterate: " << last << "\naverage: " << average << '\n';
}
