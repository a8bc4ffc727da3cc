#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "polyak/io/detail/scalar_type.hpp"

namespace polyak::detail {

/// XXH64 with seed 0, by its specification (Collet, xxHash, version 0.1.1): 32 bytes a turn in four lanes, as fast as
/// memory is read. Every step is a bijection of a lane, so a change within 8 bytes never gets lost in one; of other
/// changes one in 2^64 is missed.
class Xxh64 {
 public:
  void update(std::span<const std::byte> bytes) noexcept {
    if (bytes.empty()) return;
    length_ += bytes.size();
    if (held_ > 0) {
      const std::size_t n = std::min(stripe - held_, bytes.size());
      std::memcpy(rest_.data() + held_, bytes.data(), n);
      held_ += n;
      bytes = bytes.subspan(n);
      if (held_ < stripe) return;
      take(rest_.data(), 1);
    }
    const std::size_t stripes = bytes.size() / stripe;
    take(bytes.data(), stripes);
    bytes = bytes.subspan(stripes * stripe);
    held_ = bytes.size();
    if (held_ > 0) std::memcpy(rest_.data(), bytes.data(), held_);
  }

  [[nodiscard]] std::uint64_t value() const noexcept {
    std::uint64_t hash = prime_5;
    if (length_ >= stripe) {
      hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
      for (const std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * prime_1 + prime_4;
    }
    hash += length_;
    const std::byte* at = rest_.data();
    std::size_t left = held_;
    for (; left >= 8; at += 8, left -= 8) {
      hash = std::rotl(hash ^ round(0, decode_one<std::uint64_t>(at)), 27) * prime_1 + prime_4;
    }
    if (left >= 4) {
      hash = std::rotl(hash ^ (decode_one<std::uint32_t>(at) * prime_1), 23) * prime_2 + prime_3;
      at += 4, left -= 4;
    }
    for (; left > 0; ++at, --left)
      hash = std::rotl(hash ^ (std::to_integer<std::uint64_t>(*at) * prime_5), 11) * prime_1;
    hash = (hash ^ (hash >> 33)) * prime_2;
    hash = (hash ^ (hash >> 29)) * prime_3;
    return hash ^ (hash >> 32);
  }

 private:
  static constexpr std::size_t stripe = 32;
  static constexpr std::uint64_t prime_1 = 0x9E37'79B1'85EB'CA87;
  static constexpr std::uint64_t prime_2 = 0xC2B2'AE3D'27D4'EB4F;
  static constexpr std::uint64_t prime_3 = 0x1656'67B1'9E37'79F9;
  static constexpr std::uint64_t prime_4 = 0x85EB'CA77'C2B2'AE63;
  static constexpr std::uint64_t prime_5 = 0x27D4'EB2F'1656'67C5;

  [[nodiscard]] static std::uint64_t round(std::uint64_t lane, std::uint64_t input) noexcept {
    return std::rotl(lane + input * prime_2, 31) * prime_1;
  }
  void take(const std::byte* at, std::size_t stripes) noexcept {
    auto [a, b, c, d] = lanes_;
    for (; stripes > 0; --stripes, at += stripe) {
      a = round(a, decode_one<std::uint64_t>(at));
      b = round(b, decode_one<std::uint64_t>(at + 8));
      c = round(c, decode_one<std::uint64_t>(at + 16));
      d = round(d, decode_one<std::uint64_t>(at + 24));
    }
    lanes_ = {a, b, c, d};
  }

  std::array<std::uint64_t, 4> lanes_{prime_1 + prime_2, prime_2, 0, 0 - prime_1};
  std::uint64_t length_ = 0;
  std::array<std::byte, stripe> rest_{};
  std::size_t held_ = 0;
};

}  // namespace polyak::detail
