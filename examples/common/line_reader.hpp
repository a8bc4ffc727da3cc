#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <string>

#include "common/byte_reader.hpp"

namespace examples {

/// Reads a text line by line, plain or gzip, in the memory of its longest line. The last one may lack its newline.
class LineReader {
 public:
  /// `name` is what error messages call the stream, which must outlive this.
  LineReader(std::istream& stream, std::string name) : bytes_(stream, std::move(name)) {}
  explicit LineReader(const std::filesystem::path& file);

  /// The next line, without the newline; false at the end. Throws std::runtime_error as ByteReader does.
  bool next(std::string& line);

  /// Of the line read last, from 1 on.
  [[nodiscard]] std::uint64_t line_number() const { return line_number_; }
  [[nodiscard]] const std::string& name() const { return bytes_.name(); }

  /// Throws std::runtime_error("<name>:<line>: expected …, found …").
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;

 private:
  std::ifstream file_;  // before bytes_, which reads from it
  ByteReader bytes_;
  std::array<std::uint8_t, 1 << 16> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what is left in the buffer
  std::uint64_t line_number_ = 0;
};

}  // namespace examples
