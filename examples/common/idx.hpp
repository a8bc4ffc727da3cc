#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <string>
#include <vector>

/// The IDX files of MNIST and its kin: big-endian magic number and sizes, then one byte a pixel or label. Plain or
/// gzip.
///
/// Every function throws std::runtime_error("<name>: expected …, found …") on a file that is not exactly what its
/// header says. Memory grows with the bytes that were really there, at most twofold, never with what a header claims.

namespace examples {

struct IdxImages {
  std::uint32_t count = 0;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::vector<std::uint8_t> pixels;  ///< image by image, row by row
};

/// At least one image of at least one pixel, and no more than 1 GiB of pixels: the largest of EMNIST has 0.55.
[[nodiscard]] IdxImages read_idx_images(std::istream& stream, const std::string& name);
[[nodiscard]] IdxImages read_idx_images(const std::filesystem::path& file);

/// At least one label, each in [0, classes).
[[nodiscard]] std::vector<std::uint8_t> read_idx_labels(std::istream& stream, const std::string& name, int classes);
[[nodiscard]] std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& file, int classes);

}  // namespace examples
