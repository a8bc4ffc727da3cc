#pragma once

#include <cstdint>

namespace examples::language_id {

/// A bijection of 64 bits in which each bit of the input moves about half of those of the output: the finaliser of
/// SplitMix64 (Steele, Lea & Flood 2014), by Stafford's constants.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The hash of nothing, which is not 0 as mix leaves that where it is.
inline constexpr std::uint64_t hash_of_nothing = 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio

/// The hash of a sequence of symbols that is longer by one.
[[nodiscard]] constexpr std::uint64_t extend(std::uint64_t hash, std::uint64_t symbol) { return mix(hash + symbol); }

/// One of 2^bits features, 1 ≤ bits ≤ 32, by the upper bits of a hash.
[[nodiscard]] constexpr std::uint32_t feature_of(std::uint64_t hash, unsigned bits) {
  return static_cast<std::uint32_t>(hash >> (64 - bits));
}

}  // namespace examples::language_id
