// The average goes into files that Python reads, in the scalar of the weights.

#include <polyak/io/checkpoint.hpp>
#include <polyak/io/npy.hpp>
#include <polyak/polyak.hpp>

#include <filesystem>
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
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 2}}, polyak::Ema{{.decay = 0.99}}};
  for (int t = 0; t < 1000; ++t) opt.step(theta, model.gradient(theta, batches.next()));

  const Eigen::VectorXf average = opt.average_as<float>();
  polyak::save_npy("average.npy", average);
  polyak::save("average.safetensors", polyak::named("classifier.weight", average));

  Eigen::VectorXf from_npy(average.size()), from_safetensors(average.size());
  polyak::load_npy("average.npy", from_npy);
  polyak::load("average.safetensors", polyak::named("classifier.weight", from_safetensors));
  std::cout << "numpy.load('average.npy'), " << std::filesystem::file_size("average.npy") << " bytes\n"
            << "safetensors.torch.load_file('average.safetensors')['classifier.weight']\n"
            << (from_npy == average && from_safetensors == average ? "read back bit by bit\n" : "read back wrong\n");
}
