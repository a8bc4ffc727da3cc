// Run it twice: the first run dies in step 437, the second goes on from the last checkpoint and ends with the bits of a
// run that nothing stopped.

#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "common/data_sets.hpp"
#include "common/softmax_regression.hpp"

using polyak::named;

Eigen::VectorXf train(const examples::Dataset& data, const std::filesystem::path& file, int crash_at = -1) {
  examples::SoftmaxRegression model(data);
  Eigen::VectorXf theta = model.zero_weights();
  polyak::Averaged opt{polyak::AdamW<float>{}, polyak::Ema{{.decay = 0.99}}};
  int step = 0;
  if (exists(file)) polyak::load(file, named("weights", theta), named("opt", opt), named("step", step));
  std::cout << "from step " << step << " on" << std::endl;
  while (step < 1000) {
    if (step == crash_at) std::cerr << "the power is gone\n", std::_Exit(3);  // nothing is flushed or destroyed
    opt.step(theta, model.gradient(theta, std::vector<Eigen::Index>{step % data.samples()}));
    if (++step % 100 == 0) polyak::save(file, named("weights", theta), named("opt", opt), named("step", step));
  }
  return opt.average_as<float>();
}

int main() {
  const examples::TrainTest digits = examples::load_digits();
  const bool first_run = !std::filesystem::exists("run.safetensors");
  const Eigen::VectorXf resumed = train(digits.train, "run.safetensors", first_run ? 437 : -1);
  const Eigen::VectorXf unbroken = train(digits.train, "unbroken.safetensors");
  std::filesystem::remove("run.safetensors"), std::filesystem::remove("unbroken.safetensors");
  std::cout << (resumed == unbroken ? "the same bits as without a crash\n" : "other bits than without a crash\n");
}
