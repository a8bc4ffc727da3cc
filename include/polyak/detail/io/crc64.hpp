#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace polyak::detail {

/// CRC-64/XZ: the reflected polynomial of ECMA-182, 0x42F0E1EBA9EA3693, started at and finished by all ones, as the .xz
/// file format defines it. Finds every change that lies within 64 bits, and misses others once in 2^64. Eight bytes a
/// turn, a table for each (Kounavis & Berry 2005).
class Crc64 {
 public:
  void update(std::span<const std::byte> bytes) noexcept {
    std::uint64_t crc = crc_;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    if constexpr (std::endian::native == std::endian::little) {
      for (; left >= 8; at += 8, left -= 8) {
        std::uint64_t next;
        std::memcpy(&next, at, 8);
        next ^= crc;
        crc = 0;
        for (std::size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(next >> (8 * i)) & 255];
      }
    }
    for (; left > 0; ++at, --left) {
      crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<std::uint64_t>(*at)) & 255];
    }
    crc_ = crc;
  }

  [[nodiscard]] std::uint64_t value() const noexcept { return ~crc_; }

 private:
  using Tables = std::array<std::array<std::uint64_t, 256>, 8>;

  static constexpr Tables make_tables() {
    constexpr std::uint64_t reflected = 0xC96C'5795'D787'0F42;
    Tables result{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::uint64_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? reflected : 0);
      result[0][byte] = crc;
    }
    for (std::size_t i = 1; i < 8; ++i) {
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::uint64_t crc = result[i - 1][byte];
        result[i][byte] = (crc >> 8) ^ result[0][crc & 255];
      }
    }
    return result;
  }
  static const Tables tables;

  std::uint64_t crc_ = ~std::uint64_t{0};
};

inline constexpr Crc64::Tables Crc64::tables = Crc64::make_tables();

}  // namespace polyak::detail
