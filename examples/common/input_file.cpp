#include "common/input_file.hpp"

#include <stdexcept>

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

}  // namespace examples
