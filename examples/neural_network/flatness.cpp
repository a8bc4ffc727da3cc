#include "neural_network/flatness.hpp"

#include <algorithm>

#include "neural_network/gaussian.hpp"
#include "neural_network/perceptron.hpp"

namespace examples::neural_network {

namespace {

Layers<float> perturbed(Layers<float> layers, double sigma, std::uint64_t draw) {
  Gaussian gaussian(draw, 1);
  layers.for_each_weight([&](float& weight) { weight *= static_cast<float>(1 + sigma * gaussian()); });
  return layers;
}

}  // namespace

Flatness measure_flatness(const Layers<float>& layers, const Dataset& data, std::uint64_t draws) {
  Perceptron<float> perceptron(layers.shape());
  Flatness flatness{perceptron.evaluate(layers, data).loss, {}};
  for (std::size_t i = 0; i < perturbations.size(); ++i) {
    double sum = 0;
    for (std::uint64_t draw = 0; draw < draws; ++draw) {
      for (const double sigma : {perturbations[i], -perturbations[i]}) {
        sum += perceptron.evaluate(perturbed(layers, sigma, draw), data).loss;
      }
    }
    flatness.rise[i] = sum / static_cast<double>(2 * draws) - flatness.loss;
  }
  return flatness;
}

Dataset evenly_spaced(const Dataset& data, Eigen::Index samples) {
  const Eigen::Index n = std::min(samples, data.samples());
  Dataset some{Eigen::MatrixXf(data.inputs.rows(), n), {}, data.classes};
  for (Eigen::Index i = 0; i < n; ++i) {
    const Eigen::Index sample = i * data.samples() / n;
    some.inputs.col(i) = data.inputs.col(sample);
    some.labels.push_back(data.labels[static_cast<std::size_t>(sample)]);
  }
  return some;
}

}  // namespace examples::neural_network
