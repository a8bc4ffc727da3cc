#include <polyak/io/detail/xxh64.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"

using polyak::detail::Xxh64;

namespace {

std::uint64_t hash_of(std::string_view text) {
  Xxh64 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.value();
}

/// The first n of the bytes 11, 48, 85, …
std::string bytes(std::size_t n) {
  std::string result(n, '\0');
  for (std::size_t i = 0; i < n; ++i) result[i] = static_cast<char>((i * 37 + 11) & 255);
  return result;
}

/// What xxhsum -H1 of xxHash 0.8.1 says of the first n of them.
const std::vector<std::pair<std::size_t, std::uint64_t>> published{
    {0, 0xEF46'DB37'51D8'E999},   {1, 0xF592'C0C7'639C'4CB6},   {2, 0x78F1'AE91'E3B0'5E99},
    {3, 0x22C0'8528'601D'4F27},   {4, 0xFB1E'5CF2'F1AE'4D95},   {5, 0x9D21'3ECA'1F68'F273},
    {7, 0x5613'AC51'0496'C04E},   {8, 0x57CB'2B75'21F3'E21A},   {9, 0xC3F1'D097'7525'7B66},
    {12, 0x2F53'B002'6603'9E64},  {15, 0x90A9'714E'B00E'8D29},  {16, 0xC684'3CEF'9972'1174},
    {31, 0xE4A0'E629'E519'A4AE},  {32, 0xCC6B'8AAA'DA79'0B2D},  {33, 0x35EC'4985'0475'A832},
    {36, 0xBEBB'6D8C'24FB'3CFA},  {39, 0x2298'4E41'B53C'1210},  {40, 0x3B21'ED23'EEA8'5C2D},
    {47, 0x16FD'D9CA'2294'2DDA},  {63, 0xBF9F'0BA3'CF95'B28A},  {64, 0x155C'CCE4'BF32'BEFC},
    {65, 0xDA5E'E441'A595'CFB8},  {100, 0x4826'E367'566E'A023}, {255, 0x178E'A4A7'D231'9ABE},
    {256, 0x43C9'2F09'CB3E'28CF}, {1000, 0x128D'A10C'FBDC'59D9}};

}  // namespace

TEST_CASE("The checksum is XXH64", "[io]") {
  CHECK(hash_of("") == 0xEF46'DB37'51D8'E999);
  CHECK(hash_of("123456789") == 0x8CB8'41DB'40E6'AE83);
  for (const auto& [n, expected] : published) {
    INFO(n);
    CHECK(hash_of(bytes(n)) == expected);
  }
}

TEST_CASE("The checksum does not depend on the pieces it is given", "[io]") {
  for (const std::size_t n : {31u, 33u, 64u, 100u, 150u}) {
    const std::string text = bytes(n);
    const std::string_view whole = text;
    for (std::size_t first = 0; first <= n; ++first) {
      for (std::size_t second = first; second <= n; second += 7) {
        Xxh64 hash;
        hash.update(std::as_bytes(std::span(whole.substr(0, first))));
        hash.update(std::as_bytes(std::span(whole.substr(first, second - first))));
        hash.update(std::as_bytes(std::span(whole.substr(second))));
        REQUIRE(hash.value() == hash_of(whole));
      }
    }
  }
}
