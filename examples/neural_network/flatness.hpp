#pragma once

#include <Eigen/Core>

#include <array>
#include <cstdint>

#include "common/dataset.hpp"
#include "neural_network/layers.hpp"

namespace examples::neural_network {

/// Every weight and bias w becomes w (1 + σ ε), with ε standard normal and its own for each: relative, so that weights
/// which compute the same with another scale, as rectifiers allow, are as flat. Each ε goes with −ε, which cancels the
/// slope of the loss and leaves its curvature. These are the σ.
inline constexpr std::array<double, 4> perturbations = {0.1, 0.2, 0.3, 0.5};

struct Flatness {
  double loss = 0;                                ///< unperturbed
  std::array<double, perturbations.size()> rise;  ///< of the loss, the mean over the draws of ε and their opposites
};

/// The draws are the same for all weights that are measured, so that these differ by nothing else.
[[nodiscard]] Flatness measure_flatness(const Layers<float>& layers, const Dataset& data, std::uint64_t draws);

/// So many samples, at equal distances in the order of the data; all where there are no more.
[[nodiscard]] Dataset evenly_spaced(const Dataset& data, Eigen::Index samples);

}  // namespace examples::neural_network
