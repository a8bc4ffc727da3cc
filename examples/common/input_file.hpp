#pragma once

#include <filesystem>
#include <fstream>

namespace examples {

/// Opens a file for reading as bytes; throws std::runtime_error that names it where it is missing, not a file or closed
/// to us.
[[nodiscard]] std::ifstream open_input(const std::filesystem::path& file);

/// A file that can be read again and again: itself, or in the place of a pipe a copy of what it holds, in the folder
/// for temporary files, until this is gone. Throws std::runtime_error where the copy cannot be written.
class Rereadable {
 public:
  explicit Rereadable(std::filesystem::path file);
  Rereadable(const Rereadable&) = delete;
  Rereadable& operator=(const Rereadable&) = delete;
  ~Rereadable();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool is_copy_;
};

}  // namespace examples
