#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "neural_network/training.hpp"

namespace examples::neural_network {

/// What the command line says.
struct Options {
  std::string data = "digits";
  std::vector<std::string> optimizers = {"sgd", "adamw"};
  TrainingOptions training;
  std::uint64_t seed = 1;
  std::uint64_t seeds = 5;
  std::uint64_t flatness = 5;  ///< draws of a perturbation; 0: not measured
  std::filesystem::path csv;
  std::filesystem::path plot;
};

/// Where nothing is said, epochs, batch size and decay suit the data. Throws Help or BadOption.
[[nodiscard]] Options parse_options(int argc, const char* const* argv);

}  // namespace examples::neural_network
