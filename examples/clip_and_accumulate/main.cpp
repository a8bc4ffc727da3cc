// Five micro-batches make a step, whose gradient is clipped; what an epoch leaves over is a step too.

#include <polyak/polyak.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

using namespace examples;
using polyak::Accumulate, polyak::Averaged, polyak::ClipNorm, polyak::Sgd;

int main() {
  const TrainTest digits = load_digits();
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), 5, 1);
  Eigen::VectorXf theta = model.zero_weights();

  Averaged opt{Accumulate{ClipNorm{Sgd<float>{{.learning_rate = 2}}, {.max_norm = 0.5}}, {.micro_batches = 5}},
               polyak::Ema{{.decay = 0.99}}};
  int steps = 0, flushed = 0;
  for (int epoch = 0; epoch < 20; ++epoch) {
    for (std::uint64_t i = 0; i < batches.steps_per_epoch(); ++i) {
      const auto batch = batches.next();
      steps += opt.step(theta, model.gradient(theta, batch), static_cast<double>(batch.size()));  // weighed by samples
    }
    flushed += opt.flush(theta);
  }
  std::cout << "micro-batches: " << 20 * batches.steps_per_epoch() << ", steps: " << steps << " and " << flushed
            << " at ends of epochs, clipped: " << opt.optimizer().optimizer().clipped() << '\n'
            << "test loss, last iterate: " << evaluate(theta, digits.test).loss << '\n'
            << "test loss, average:      " << evaluate(opt.average(), digits.test).loss << '\n';
}
