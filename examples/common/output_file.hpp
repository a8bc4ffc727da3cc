#pragma once

#include <filesystem>
#include <fstream>

namespace examples {

/// A file that appears whole or not at all: written beside its place, moved there by commit(). Until then a file of
/// that name stays as it is. Everything throws std::runtime_error that names the file.
class OutputFile {
 public:
  /// Throws where the place cannot be written to or is taken by anything but a regular file (a link included, which a
  /// move would replace), so that this is known before hours of work.
  explicit OutputFile(const std::filesystem::path& file);
  ~OutputFile();  ///< without commit(), removes what was written
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] std::ostream& stream() { return stream_; }
  /// The file being written, for a program that writes it by name.
  [[nodiscard]] const std::filesystem::path& unfinished() const { return unfinished_; }

  /// Ends the writing without moving the file; throws when not all of it could be written. Returns unfinished().
  const std::filesystem::path& finish();
  /// Moves the file to its place; throws, and leaves what was there, when not all of it could be written. Returns the
  /// place.
  const std::filesystem::path& commit();

 private:
  std::filesystem::path file_;
  std::filesystem::path unfinished_;
  std::ofstream stream_;
};

}  // namespace examples
