// Stochastic weight averaging (Izmailov et al. 2018): the learning rate falls within each cycle and jumps back up at
// the next; the weights at the end of every cycle go into the mean.

#include <polyak/polyak.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"
#include "common/table.hpp"

int main() {
  const examples::TrainTest digits = examples::load_digits();
  examples::SoftmaxRegression model(digits.train);
  examples::MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights();

  // Cycles of two epochs. The first two only find the way; from the end of the third on, each end is a snapshot.
  const std::uint64_t cycle = 2 * batches.steps_per_epoch();
  const std::uint64_t first_snapshot = 3 * cycle;
  const polyak::LinearCycle learning_rate{{.max = 2, .min = 0.5, .period = cycle}};
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = learning_rate}},
                       polyak::Swa{{.start = first_snapshot, .period = cycle}}};

  examples::Table table({"cycle", "test loss, mid-cycle", "test loss, end of cycle", "test loss, SWA", "snapshots"});
  for (int k = 1; k <= 12; ++k) {
    std::string mid_cycle;
    for (std::uint64_t i = 1; i <= cycle; ++i) {
      opt.step(theta, model.gradient(theta, batches.next()));
      if (i == cycle / 2) mid_cycle = examples::fixed(evaluate(theta, digits.test).loss, 4);
    }
    const auto loss = [&](const auto& weights) { return examples::fixed(evaluate(weights, digits.test).loss, 4); };
    table.add_row({std::to_string(k), mid_cycle, loss(theta), opt.has_average() ? loss(opt.average()) : "",
                   std::to_string(opt.averager().count())});
  }
  std::cout << table;
}
