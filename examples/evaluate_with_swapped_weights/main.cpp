// Code that knows only the trained weights evaluates the average: it takes their place for a while.

#include <polyak/polyak.hpp>

#include <iostream>

#include "common/data_sets.hpp"
#include "common/mini_batches.hpp"
#include "common/softmax_regression.hpp"

using namespace examples;

int main() {
  const TrainTest digits = load_digits();
  SoftmaxRegression model(digits.train);
  MiniBatches batches(digits.train.samples(), 10, 1);
  Eigen::VectorXf theta = model.zero_weights();
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2}}, polyak::TailAverage{{.start = 1000}}};
  for (int t = 0; t < 3000; ++t) opt.step(theta, model.gradient(theta, batches.next()));

  const auto show_test_loss = [&] { std::cout << evaluate(theta, digits.test).loss << '\n'; };
  const Eigen::VectorXf trained = theta;
  std::cout << "trained: ";
  show_test_loss();
  {
    const auto guard = opt.swap_in(theta);
    std::cout << "swapped in: ";
    show_test_loss();
  }  // also where an exception leaves the scope
  std::cout << (theta == trained ? "the trained weights are back, bit by bit\n" : "the trained weights are lost\n");
}
