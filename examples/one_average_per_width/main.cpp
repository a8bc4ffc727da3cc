// Averages over the last 5, 10 and 20 % of the run, whatever its length, in one pass (Karras et al. 2024).

#include <polyak/polyak.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"
#include "common/table.hpp"

using namespace examples;
using polyak::PowerEma;

int main() {
  const TrainTest digits = load_digits();
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights();
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2}}, PowerEma{{.relative_width = 0.05}},
                       PowerEma{{.relative_width = 0.1}}, PowerEma{{.relative_width = 0.2}}};

  const auto loss = [&](const auto& weights) { return fixed(evaluate(weights, digits.test).loss, 4); };
  Table table({"step", "last iterate", "width 0.05", "width 0.1", "width 0.2"});
  for (int t = 1; t <= 4000; ++t) {
    opt.step(theta, model.gradient(theta, batches.next()));
    if (t % 1000 != 0) continue;
    table.add_row(
        {std::to_string(t), loss(theta), loss(opt.average<0>()), loss(opt.average<1>()), loss(opt.average<2>())});
  }
  std::cout << table;
}
