// Training that is interrupted at any step goes on from its last checkpoint, and ends with the same bits.

#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "common/data_sets.hpp"
#include "common/softmax_regression.hpp"

using polyak::named;

Eigen::VectorXf train(const examples::Dataset& data, const std::filesystem::path& file, int crash_at = -1) {
  examples::SoftmaxRegression model(data);
  Eigen::VectorXf theta = model.zero_weights();
  polyak::Averaged opt{polyak::AdamW<float>{}, polyak::Ema{{.decay = 0.99}}};
  int step = 0;
  if (exists(file)) polyak::load(file, named("weights", theta), named("opt", opt), named("step", step));
  std::cout << "from step " << step << " on\n";
  while (step < 1000) {
    if (step == crash_at) throw std::runtime_error("the power is gone");
    opt.step(theta, model.gradient(theta, std::vector<Eigen::Index>{step % data.samples()}));
    if (++step % 100 == 0) polyak::save(file, named("weights", theta), named("opt", opt), named("step", step));
  }
  return opt.average_as<float>();
}

int main() {
  const examples::TrainTest digits = examples::load_digits();
  std::filesystem::remove("unbroken.safetensors"), std::filesystem::remove("run.safetensors");
  const Eigen::VectorXf unbroken = train(digits.train, "unbroken.safetensors");
  try {
    train(digits.train, "run.safetensors", 437);
  } catch (const std::runtime_error&) {
  }
  const bool same = train(digits.train, "run.safetensors") == unbroken;
  std::cout << (same ? "the same bits as without a crash\n" : "other bits than without a crash\n");
}
