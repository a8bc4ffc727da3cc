// The weights and biases of a network are one parameter set; its average is read back layer by layer.

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
  Perceptron<float> network(shape);
  MiniBatches batches(digits.train.samples(), 10, 1);

  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 0.3}}, polyak::Ema{{.decay = 0.99}}};
  for (int t = 0; t < 2000; ++t) {
    const auto& gradient = network.gradient(layers, digits.train, batches.next());
    opt.step(polyak::ParameterSet{layers.W1, layers.b1, layers.W2, layers.b2},
             polyak::ParameterSet{gradient.W1, gradient.b1, gradient.W2, gradient.b2});
  }
  const Eigen::MatrixXd W1 = opt.average_block(0);  // in the shape of layers.W1
  Layers<float> averaged(shape);
  opt.copy_average_to(averaged.parameters());
  std::cout << "average of W1: " << W1.rows() << " x " << W1.cols() << '\n'
            << "test loss, last iterate: " << network.evaluate(layers, digits.test).loss << '\n'
            << "test loss, average:      " << network.evaluate(averaged, digits.test).loss << '\n';
}
