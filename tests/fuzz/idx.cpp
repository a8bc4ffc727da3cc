#include "common/idx.hpp"

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "allocated.hpp"
#include "fuzz.hpp"
#include "gzip.hpp"

// Any bytes as a file of images and as one of labels. What is accepted is, written again, what was read; what is
// refused says so; packed, it is read or refused just the same; and neither takes memory that the bytes do not fill.

namespace {

std::string big_endian(std::uint32_t number) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(number >> shift & 0xff));
  return bytes;
}

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

/// The same file as its reader understood it, or why it was refused.
struct Reading {
  std::string file;
  std::string refusal;
  bool operator==(const Reading&) const = default;
};

template <class Read>
Reading read_within_bounds(const std::string& file, Read read) {
  Reading reading;
  std::istringstream stream(file);
  const std::size_t bytes = fuzz::bytes_allocated_in(
      [&] { reading.refusal = fuzz::refusal_of([&] { reading.file = read(stream, std::string("file")); }); });
  constexpr std::size_t buffers = 1 << 18;
  fuzz::require(bytes <= buffers + 8 * fuzz::most_bytes_in(file),
                [&] { return std::to_string(bytes) + " bytes allocated for " + std::to_string(file.size()); });
  fuzz::require(reading.refusal.empty() || reading.refusal.starts_with("file: expected "),
                [&] { return "a refusal says what was expected of the file, got " + reading.refusal; });
  return reading;
}

Reading read_images(const std::string& file) {
  return read_within_bounds(file, [](std::istream& stream, const std::string& name) {
    const examples::IdxImages images = examples::read_idx_images(stream, name);
    return big_endian(0x803) + big_endian(images.count) + big_endian(images.rows) + big_endian(images.columns) +
           text_of(images.pixels);
  });
}

Reading read_labels(const std::string& file) {
  return read_within_bounds(file, [](std::istream& stream, const std::string& name) {
    const std::vector<std::uint8_t> labels = examples::read_idx_labels(stream, name, 10);
    for (const std::uint8_t label : labels) fuzz::require(label < 10, "labels are below the number of classes");
    return big_endian(0x801) + big_endian(static_cast<std::uint32_t>(labels.size())) + text_of(labels);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  const std::string packed = fuzz::gzip(file);
  for (const auto read : {read_images, read_labels}) {
    const Reading reading = read(file);
    if (!fuzz::is_gzip(file)) {
      fuzz::require(!reading.refusal.empty() || reading.file == file, "what is accepted is what was read");
      fuzz::require(read(packed) == reading, "a file is read packed as it is read plain");
    } else if (reading.refusal.empty()) {
      fuzz::require(read(reading.file) == reading, "a file is read plain as it is read packed");
    }
  }
  return 0;
}
