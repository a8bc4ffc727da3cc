#include <polyak/detail/io/crc64.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "catch.hpp"

using polyak::detail::Crc64;

namespace {

std::uint64_t crc_of(std::string_view text) {
  Crc64 crc;
  crc.update(std::as_bytes(std::span(text)));
  return crc.value();
}

/// By the definition, bit by bit.
std::uint64_t slowly(std::string_view text) {
  std::uint64_t crc = ~std::uint64_t{0};
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xC96C'5795'D787'0F42 : 0);
  }
  return ~crc;
}

}  // namespace

TEST_CASE("The checksum has the published check value of CRC-64/XZ", "[io]") {
  CHECK(crc_of("123456789") == 0x995D'C9BB'DF19'39FA);
  CHECK(crc_of("") == 0);
}

TEST_CASE("The checksum does not depend on the pieces it is given", "[io]") {
  std::string text;
  for (int i = 0; i < 70; ++i) text.push_back(static_cast<char>(i * 37));
  for (std::size_t n = 0; n <= text.size(); ++n) {
    const std::string_view whole(text.data(), n);
    REQUIRE(crc_of(whole) == slowly(whole));
    for (std::size_t cut = 0; cut <= n; ++cut) {
      Crc64 crc;
      crc.update(std::as_bytes(std::span(whole.substr(0, cut))));
      crc.update(std::as_bytes(std::span(whole.substr(cut))));
      REQUIRE(crc.value() == slowly(whole));
    }
  }
}
