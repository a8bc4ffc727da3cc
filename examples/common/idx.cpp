#include "common/idx.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <span>
#include <sstream>
#include <stdexcept>

#include "common/byte_reader.hpp"
#include "common/input_file.hpp"

namespace examples {

namespace {

constexpr std::uint32_t labels_magic = 0x00000801;  // unsigned bytes, one dimension
constexpr std::uint32_t images_magic = 0x00000803;  // unsigned bytes, three dimensions
constexpr std::uint64_t max_bytes = std::uint64_t{1} << 30;

[[noreturn]] void fail(const ByteReader& reader, const std::string& expected, const std::string& found) {
  throw std::runtime_error(reader.name() + ": expected " + expected + ", found " + found);
}

std::string describe_magic(std::uint32_t magic) {
  std::ostringstream text;
  text << "0x" << std::hex << std::setw(8) << std::setfill('0') << magic;
  if (magic == labels_magic) text << " (a file of labels)";
  if (magic == images_magic) text << " (a file of images)";
  return text.str();
}

std::uint32_t read_number(ByteReader& reader, const std::string& what) {
  std::array<std::uint8_t, 4> bytes{};
  const std::size_t n = reader.read(bytes);
  if (n < bytes.size()) fail(reader, what + " in 4 bytes", "the end after " + std::to_string(n));
  std::uint32_t number = 0;
  for (const std::uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

void read_magic(ByteReader& reader, std::uint32_t expected) {
  const std::uint32_t magic = read_number(reader, "the IDX magic number");
  if (magic != expected) fail(reader, "the IDX magic number " + describe_magic(expected), describe_magic(magic));
}

/// A size from the header, such that the whole payload stays within bounds: `unit` bytes for each.
std::uint32_t read_size(ByteReader& reader, const std::string& what, std::uint64_t unit = 1) {
  const std::uint32_t size = read_number(reader, "the " + what);
  const std::uint64_t most = max_bytes / unit;
  if (size < 1 || size > most) {
    fail(reader, "the " + what + " to be from 1 to " + std::to_string(most), std::to_string(size));
  }
  return size;
}

/// Exactly `size` bytes and then the end. Grows by doubling what was found, whatever the header promised.
std::vector<std::uint8_t> read_payload(ByteReader& reader, std::uint64_t size) {
  constexpr std::uint64_t first_portion = 1 << 16;
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < size) {
    const std::uint64_t done = bytes.size();
    const std::uint64_t portion = std::min(size - done, std::max(done, first_portion));
    bytes.resize(done + portion);
    const std::size_t n = reader.read(std::span(bytes).subspan(done));
    if (n < portion) {
      fail(reader, std::to_string(size) + " bytes after the header", "only " + std::to_string(done + n));
    }
  }
  std::array<std::uint8_t, 1> beyond{};
  if (reader.read(beyond) > 0) fail(reader, std::to_string(size) + " bytes after the header", "more");
  return bytes;
}

}  // namespace

IdxImages read_idx_images(std::istream& stream, const std::string& name) {
  ByteReader reader(stream, name);
  read_magic(reader, images_magic);
  IdxImages images;

  images.count = read_size(reader, "number of images");
  images.rows = read_size(reader, "number of rows", images.count);
  images.columns = read_size(reader, "number of columns", std::uint64_t{images.count} * images.rows);
  images.pixels = read_payload(reader, std::uint64_t{images.count} * images.rows * images.columns);
  return images;
}

IdxImages read_idx_images(const std::filesystem::path& file) {
  auto stream = open_input(file);
  return read_idx_images(stream, file.string());
}

std::vector<std::uint8_t> read_idx_labels(std::istream& stream, const std::string& name, int classes) {
  ByteReader reader(stream, name);
  read_magic(reader, labels_magic);
  auto labels = read_payload(reader, read_size(reader, "number of labels"));
  const auto bad =
      std::find_if(labels.begin(), labels.end(), [classes](std::uint8_t label) { return label >= classes; });
  if (bad != labels.end()) {
    fail(reader, "labels from 0 to " + std::to_string(classes - 1),
         std::to_string(*bad) + " as label number " + std::to_string(bad - labels.begin()));
  }
  return labels;
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& file, int classes) {
  auto stream = open_input(file);
  return read_idx_labels(stream, file.string(), classes);
}

}  // namespace examples
