#include <polyak/polyak.hpp>

#include <ranges>
#include <vector>

void train(std::vector<std::vector<Eigen::MatrixXd>>& layers) {
  auto weights = layers | std::views::transform([](const auto& layer) { return layer[0]; });
  polyak::Sgd{}.step(weights, weights);
}
