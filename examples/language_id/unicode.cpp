#include "language_id/unicode.hpp"

namespace examples::language_id {

bool decode_utf8(std::string_view bytes, std::u32string& text) {
  text.clear();
  for (std::size_t i = 0; i < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[i++]);
    if (first < 0x80) {
      text.push_back(first);
      continue;
    }
    // 110xxxxx, 1110xxxx and 11110xxx start 2, 3 and 4 bytes.
    const int more = first >> 5 == 0b110 ? 1 : first >> 4 == 0b1110 ? 2 : first >> 3 == 0b11110 ? 3 : 0;
    if (more == 0) return false;
    char32_t c = first & (0x3fu >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if (i == bytes.size() || (bytes[i] & 0xc0) != 0x80) return false;
      c = c << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3fu);
    }
    constexpr char32_t least[] = {0x80, 0x800, 0x10000};
    if (c < least[more - 1] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff) return false;
    text.push_back(c);
  }
  return true;
}

void decode_latin1(std::string_view bytes, std::u32string& text) {
  text.clear();
  for (const char byte : bytes) text.push_back(static_cast<unsigned char>(byte));
}

void decode(std::string_view bytes, std::u32string& text) {
  if (!decode_utf8(bytes, text)) decode_latin1(bytes, text);
}

void append_utf8(char32_t c, std::string& bytes) {
  const auto put = [&bytes](char32_t byte) { bytes.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  const int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr char32_t marks[] = {0, 0xc0, 0xe0, 0xf0};
  put(marks[more] | c >> (6 * more));
  for (int k = more - 1; k >= 0; --k) put(0x80 | (c >> (6 * k) & 0x3f));
}

std::string encode_utf8(std::u32string_view text) {
  std::string bytes;
  for (const char32_t c : text) append_utf8(c, bytes);
  return bytes;
}

bool is_latin_letter(char32_t c) {
  if (c < 0x80) return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
  return c >= 0xc0 && c < 0x250 && c != U'×' && c != U'÷';
}

char32_t lower(char32_t c) {
  if (c < 0x80) return c >= U'A' && c <= U'Z' ? c + 32 : c;
  if (c >= 0xc0 && c <= 0xde) return c == U'×' ? c : c + 32;
  if (c == U'İ') return U'i';
  if (c == U'Ÿ') return U'ÿ';
  // Pairs of a capital and its small letter: even and odd, but odd and even in two stretches.
  if ((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) return c + (c & 1);
  return c;
}

std::u32string lower(std::u32string text) {
  for (char32_t& c : text) c = lower(c);
  return text;
}

}  // namespace examples::language_id
