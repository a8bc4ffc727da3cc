#include "common/input_file.hpp"

#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace examples {

std::ifstream open_input(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) throw std::runtime_error(file.string() + ": no such file");
  if (std::filesystem::is_directory(file, ignored)) {
    throw std::runtime_error(file.string() + ": expected a file, found a directory");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error(file.string() + ": cannot be opened for reading");
  return stream;
}

Rereadable::Rereadable(std::filesystem::path file) : path_(std::move(file)), is_copy_(std::filesystem::is_fifo(path_)) {
  if (!is_copy_) return;
  const auto copy =
      std::filesystem::temp_directory_path() / ("polyak_copy_of_pipe_" + std::to_string(std::random_device{}()));
  std::ifstream pipe = open_input(std::exchange(path_, copy));
  std::ofstream out(copy, std::ios::binary);
  if (pipe.peek() != std::ifstream::traits_type::eof()) out << pipe.rdbuf();
  out.close();
  if (out) return;
  std::filesystem::remove(copy);
  throw std::runtime_error(copy.string() + ": cannot be written there");
}

Rereadable::~Rereadable() {
  std::error_code ignored;
  if (is_copy_) std::filesystem::remove(path_, ignored);
}

}  // namespace examples
