// A training loop that knows nothing of polyak. Two lines add the average, and one asks for it.

#include <polyak/averagers/ema.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

using namespace examples;

int main() {
  const TrainTest digits = load_digits();
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights(), velocity = theta;
  polyak::Ema ema{{.decay = 0.995}};  // polyak

  for (int t = 0; t < 3000; ++t) {  // SGD with momentum, as anyone might have written it
    velocity = 0.9f * velocity + model.gradient(theta, batches.next());
    theta -= 0.1f * velocity;
    ema.update(theta);  // polyak
  }
  std::cout << "test loss, last iterate: " << evaluate(theta, digits.test).loss << '\n'
            << "test loss, average:      " << evaluate(ema.average(), digits.test).loss << '\n';  // polyak
}
