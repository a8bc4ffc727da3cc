#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory>
#include <span>
#include <string>

namespace examples {

/// Reads bytes from a stream, unpacking them on the way where the stream is gzip (as its first two bytes tell), in one
/// member or several, one after the other, with zeros between or behind them. The stream may be a pipe: it is read once
/// and from its start on.
class ByteReader {
 public:
  /// `name` is what error messages call the stream.
  ByteReader(std::istream& stream, std::string name);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Fills `out` and returns how many bytes there were; fewer than asked for only at the end. Throws std::runtime_error
  /// where the stream cannot be read or its gzip is damaged: bad checksum, early end, bytes after the end; and at the
  /// start, in a read of four bytes or more, where it is packed otherwise or in another encoding than ASCII and UTF-8.
  std::size_t read(std::span<std::uint8_t> out);

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Gzip;

  std::size_t read_raw(std::span<std::uint8_t> out);
  std::size_t read_on(std::span<std::uint8_t> out);
  bool refill();       ///< with packed bytes; false where there are no more
  void next_member();  ///< once one has ended: goes on to the next, ends with the file, or throws

  std::istream& stream_;
  std::string name_;
  std::unique_ptr<Gzip> gzip_;
  std::array<std::uint8_t, 2> first_{};  // of the stream, until it is read again
  std::size_t first_count_ = 0, first_read_ = 0;
  bool at_start_ = true;
};

}  // namespace examples
