#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

using namespace examples;

// [quickstart]
#include <polyak/polyak.hpp>

int main() {
  const TrainTest digits = load_digits();
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), /*batch_size=*/10, /*seed=*/1);
  Eigen::VectorXf theta = model.zero_weights();

  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2, .weight_decay = 1e-3}}, polyak::Ema{{.decay = 0.999}}};
  for (int t = 0; t < 4000; ++t) {
    opt.step(theta, model.gradient(theta, batches.next()));  // theta moves, the average follows
  }
  std::cout << "test loss, last iterate: " << evaluate(theta, digits.test).loss << '\n'
            << "test loss, average:      " << evaluate(opt.average(), digits.test).loss << '\n';
}
// [/quickstart]
