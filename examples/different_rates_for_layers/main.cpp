// Blocks of a set differ in rate and decay, and stand still while they are frozen; averages fold them as they are.

#include <polyak/polyak.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "neural_network/perceptron.hpp"

using namespace examples;
using namespace examples::neural_network;

int main() {
  const TrainTest digits = load_digits();
  const Shape shape{pixels(digits.train), 32, 10};
  Layers<float> layers = initial_layers<float>(shape, 1);
  const Layers<float> start = layers;
  Perceptron<float> network(shape);
  MiniBatches batches(digits.train.samples(), 10, 1);

  // W1, b1, W2, b2: biases do not decay, the first layer moves a tenth as fast, and not before step 500.
  polyak::AdamW<float> adamw{{.learning_rate = 0.003,
                              .weight_decay = 0.01,
                              .blocks = {{.learning_rate_factor = 0.1, .frozen = true},
                                         {.learning_rate_factor = 0.1, .weight_decay_factor = 0, .frozen = true},
                                         {},
                                         {.weight_decay_factor = 0}}}};
  polyak::Averaged opt{adamw, polyak::Ema{{.decay = 0.99}}};
  for (int t = 0; t < 1500; ++t) {
    if (t == 500) {
      std::cout << "W1 moved by " << (layers.W1 - start.W1).norm() << " while frozen, ";
      for (const std::size_t block : {0U, 1U}) opt.optimizer().set_frozen(block, false);
    }
    opt.step(layers.parameters(), network.gradient(layers, digits.train, batches.next()).parameters());
  }
  std::cout << "by " << (layers.W1 - start.W1).norm() << " at the end\n"
            << "test accuracy: " << network.evaluate(layers, digits.test).accuracy << '\n';
}
