#include <polyak/io/npy.hpp>

#include "arrays.hpp"

// Any bytes as an array of NumPy.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_arrays(
      data, size, [](const auto& path, auto& array) { polyak::load_npy(path, array); },
      [](const auto& path, const auto& array) { polyak::save_npy(path, array); });
  return 0;
}
