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

/// What parse_options throws to end the program: help asked for (status 0), or a bad option (status 2).
struct Exit {
  int status = 0;
  std::string message;
};

[[nodiscard]] Exit bad_option(const std::string& message);

[[nodiscard]] Options parse_options(int argc, const char* const* argv);

}  // namespace examples
