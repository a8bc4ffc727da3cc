#include <polyak/io/safetensors.hpp>

#include "arrays.hpp"

// Any bytes as a file of safetensors, of which one, "w", is loaded.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_arrays(
      data, size, [](const auto& path, auto& array) { polyak::load_safetensors(path, polyak::named("w", array)); },
      [](const auto& path, const auto& array) { polyak::save_safetensors(path, polyak::named("w", array)); });
  return 0;
}
