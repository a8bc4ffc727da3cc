// Several decays in one pass over the weights; held-out images tell which to take. An EMA looks back over 1/(1−β)
// steps.

#include <polyak/polyak.hpp>

#include <iostream>
#include <utility>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"
#include "common/table.hpp"

using namespace examples;
using polyak::Ema;

int main() {
  const TrainTest digits = load_digits();
  const Eigen::Index training = digits.train.samples() - 300;  // the last 300 are held out
  const Dataset held_out{digits.train.inputs.rightCols(300),
                         {digits.train.labels.begin() + training, digits.train.labels.end()}};
  SoftmaxRegression model(digits.train);
  MiniBatches batches(training, 10, 1);
  Eigen::VectorXf theta = model.zero_weights();

  const double decays[] = {0.9, 0.99, 0.999, 0.9999};
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2, .weight_decay = 1e-3}}, Ema{{.decay = decays[0]}},
                       Ema{{.decay = decays[1]}}, Ema{{.decay = decays[2]}}, Ema{{.decay = decays[3]}}};
  for (int t = 0; t < 4000; ++t) opt.step(theta, model.gradient(theta, batches.next()));

  Table table({"decay", "held-out loss", "test loss"});
  const auto add = [&](const std::string& what, const auto& weights) {
    table.add_row({what, fixed(evaluate(weights, held_out).loss, 4), fixed(evaluate(weights, digits.test).loss, 4)});
  };
  add("last iterate", theta);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (add(fixed(decays[I], 4), opt.average<I>()), ...);
  }(std::make_index_sequence<4>());
  std::cout << table;
}
