#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "language_id/file_training.hpp"
#include "language_id/languages.hpp"
#include "language_id/training.hpp"

namespace examples::language_id {

/// What the command line says.
struct Options {
  TrainingOptions training;

  std::filesystem::path dictionaries = "/usr/share/dict";
  std::vector<Language> languages = {all_languages.begin(), all_languages.end()};
  std::size_t words_per_language = 200'000;  ///< 0: all
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  bool interactive = false;

  std::filesystem::path train;  ///< an SVMlight file to train on in place of words, where not empty
  std::filesystem::path test;
  FileOptions file;
};

/// Where nothing is said, the learning rate suits words or files. Throws Help or BadOption.
[[nodiscard]] Options parse_options(int argc, const char* const* argv);

}  // namespace examples::language_id
