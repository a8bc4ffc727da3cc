#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "polyak/concepts.hpp"

// Scalars as they lie in files: little-endian, a long double in 16 bytes with its padding zeroed.

namespace polyak::detail {

enum class ScalarType : std::uint8_t {
  float64 = 1,
  float32 = 2,
  float16 = 3,
  bfloat16 = 4,
  float80 = 5,
  float128 = 6,
  uint8 = 16,
  uint16 = 17,
  uint32 = 18,
  uint64 = 19,
  int8 = 32,
  int16 = 33,
  int32 = 34,
  int64 = 35,
  boolean = 48,
  text = 49,
  state = 64,  // the numbers of an object that are no arrays
};

/// Bytes of one in a file; 0 for a code that means nothing.
[[nodiscard]] constexpr std::size_t size_of(ScalarType type) noexcept {
  switch (type) {
    case ScalarType::float64:
    case ScalarType::uint64:
    case ScalarType::int64:
      return 8;
    case ScalarType::float32:
    case ScalarType::uint32:
    case ScalarType::int32:
      return 4;
    case ScalarType::float16:
    case ScalarType::bfloat16:
    case ScalarType::uint16:
    case ScalarType::int16:
      return 2;
    case ScalarType::float80:
    case ScalarType::float128:
      return 16;
    case ScalarType::uint8:
    case ScalarType::int8:
    case ScalarType::boolean:
    case ScalarType::text:
    case ScalarType::state:
      return 1;
  }
  return 0;
}

[[nodiscard]] inline std::string to_text(ScalarType type) {
  switch (type) {
    case ScalarType::float64:
      return "float64";
    case ScalarType::float32:
      return "float32";
    case ScalarType::float16:
      return "float16";
    case ScalarType::bfloat16:
      return "bfloat16";
    case ScalarType::float80:
      return "float80";
    case ScalarType::float128:
      return "float128";
    case ScalarType::uint8:
      return "uint8";
    case ScalarType::uint16:
      return "uint16";
    case ScalarType::uint32:
      return "uint32";
    case ScalarType::uint64:
      return "uint64";
    case ScalarType::int8:
      return "int8";
    case ScalarType::int16:
      return "int16";
    case ScalarType::int32:
      return "int32";
    case ScalarType::int64:
      return "int64";
    case ScalarType::boolean:
      return "bool";
    case ScalarType::text:
      return "text";
    case ScalarType::state:
      return "state";
  }
  return "scalar type " + std::to_string(static_cast<unsigned>(type));
}

template <class T>
concept FileScalar = FloatingPoint<T> || (std::integral<T> && sizeof(T) <= 8);

template <FileScalar T>
[[nodiscard]] constexpr ScalarType scalar_type_of() noexcept {
  if constexpr (std::same_as<T, Eigen::half>) {
    return ScalarType::float16;
  } else if constexpr (std::same_as<T, Eigen::bfloat16>) {
    return ScalarType::bfloat16;
  } else if constexpr (std::floating_point<T>) {
    constexpr int digits = std::numeric_limits<T>::digits;
    static_assert(digits == 24 || digits == 53 || digits == 64 || digits == 113);
    return digits == 24   ? ScalarType::float32
           : digits == 53 ? ScalarType::float64
           : digits == 64 ? ScalarType::float80
                          : ScalarType::float128;
  } else if constexpr (std::same_as<T, bool>) {
    return ScalarType::boolean;
  } else {
    const int first = static_cast<int>(std::is_signed_v<T> ? ScalarType::int8 : ScalarType::uint8);
    return static_cast<ScalarType>(first + std::countr_zero(sizeof(T)));
  }
}

/// Bytes of a T that mean something; a long double of 80 bits has padding.
template <FileScalar T>
inline constexpr std::size_t value_bytes = scalar_type_of<T>() == ScalarType::float80 ? 10 : sizeof(T);

/// Memory and file hold the same bytes.
template <FileScalar T>
inline constexpr bool lies_as_in_file =
    (std::endian::native == std::endian::little || sizeof(T) == 1) && value_bytes<T> == size_of(scalar_type_of<T>());

/// n scalars, from memory to the bytes of a file …
template <FileScalar T>
void encode(const T* from, std::size_t n, std::byte* to) noexcept {
  constexpr std::size_t width = size_of(scalar_type_of<T>());
  if constexpr (lies_as_in_file<T>) {
    if (n > 0) std::memcpy(to, from, n * width);
  } else {
    for (std::size_t i = 0; i < n; ++i, to += width) {
      std::array<std::byte, width> bytes{};
      std::memcpy(bytes.data(), from + i, value_bytes<T>);
      if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
      std::memcpy(to, bytes.data(), width);
    }
  }
}

/// … and back.
template <FileScalar T>
void decode(const std::byte* from, std::size_t n, T* to) noexcept {
  constexpr std::size_t width = size_of(scalar_type_of<T>());
  if constexpr (std::same_as<T, bool>) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i] != std::byte{0};
  } else if constexpr (lies_as_in_file<T>) {
    if (n > 0) std::memcpy(static_cast<void*>(to), from, n * width);
  } else {
    for (std::size_t i = 0; i < n; ++i, from += width) {
      std::array<std::byte, width> bytes;
      std::memcpy(bytes.data(), from, width);
      if constexpr (std::endian::native == std::endian::big) std::reverse(bytes.begin(), bytes.end());
      std::memcpy(static_cast<void*>(to + i), bytes.data(), value_bytes<T>);
    }
  }
}

/// Calls f(bytes) with n scalars as they lie in a file, a stretch at a time that stays in the cache; copies none that
/// lie so in memory.
template <FileScalar T, class F>
void encode_in_stretches(const T* from, std::size_t n, F f) {
  if constexpr (lies_as_in_file<T>) {
    constexpr std::size_t stretch = 128 * 1024 / sizeof(T);
    for (std::size_t some; n > 0; from += some, n -= some) {
      some = std::min(n, stretch);
      f(std::as_bytes(std::span(from, some)));
    }
  } else {
    constexpr std::size_t width = size_of(scalar_type_of<T>());
    std::array<std::byte, 256 * width> bytes;
    for (std::size_t some; n > 0; from += some, n -= some) {
      some = std::min<std::size_t>(n, 256);
      encode(from, some, bytes.data());
      f(std::span<const std::byte>(bytes.data(), some * width));
    }
  }
}

template <FileScalar T>
[[nodiscard]] T decode_one(const std::byte* from) noexcept {
  T x{};
  decode(from, 1, &x);
  return x;
}

}  // namespace polyak::detail
