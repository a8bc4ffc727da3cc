#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace examples {

/// What the command line says. Where it says nothing, epochs and learning rate suit the data.
struct Options {
  std::string data = "digits";
  std::int64_t epochs = 0;  ///< 0: 30 for digits, else 1
  std::int64_t batch_size = 10;
  double learning_rate = 0;  ///< 0: 1 for digits, else 0.1
  std::string schedule = "constant";
  double decay = 0.999;
  double l2 = 1e-3;
  std::string averager = "all";
  std::uint64_t seed = 1;
  std::int64_t seeds = 5;
  bool optimum = false;
  std::filesystem::path csv;
  std::filesystem::path plot;
};

/// Throws Help or BadOption.
[[nodiscard]] Options parse_options(int argc, const char* const* argv);

}  // namespace examples
