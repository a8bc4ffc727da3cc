#include <polyak/io/npy.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

#include "arrays.hpp"

// Any bytes as an array of NumPy.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto path = fuzz::directory() / "input";
  files::write(path, {reinterpret_cast<const char*>(data), size});
  std::size_t numbers = 1;
  const bool has_header = fuzz::accepted_within(size, [&] {
    for (const std::size_t n : polyak::npy_info(path).shape) numbers *= n;
  });
  bool some = false;
  fuzz::check_arrays(
      path, size,
      [&](const auto& from, auto& array) {
        polyak::load_npy(from, array);
        some = true;
        fuzz::require(from != path || numbers == static_cast<std::size_t>(array.size()), "all numbers are loaded");
      },
      [](const auto& to, const auto& array) { polyak::save_npy(to, array); });
  fuzz::require(has_header || !some, "what is loaded has a header");
  return 0;
}
