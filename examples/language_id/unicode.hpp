#pragma once

#include <string>
#include <string_view>

namespace examples::language_id {

/// The code points of UTF-8, into `text`. False, and `text` of no meaning, where the bytes are not UTF-8: overlong
/// forms, surrogates and what lies beyond U+10FFFF included.
bool decode_utf8(std::string_view bytes, std::u32string& text);

/// Every byte is a code point.
void decode_latin1(std::string_view bytes, std::u32string& text);

/// By UTF-8 or, where that fails, by Latin-1. Latin-1 text with letters beyond ASCII is hardly ever UTF-8 as well: that
/// takes a capital A or Ã and the like in front of a control character or a sign.
void decode(std::string_view bytes, std::u32string& text);

void append_utf8(char32_t code_point, std::string& bytes);
[[nodiscard]] std::string encode_utf8(std::u32string_view text);

/// A Latin letter of Unicode's blocks up to Latin Extended-B, which hold those of all languages here.
[[nodiscard]] bool is_latin_letter(char32_t c);

/// The small letter of a capital one of ASCII, Latin-1 and Latin Extended-A, one by one; all else stays.
[[nodiscard]] char32_t lower(char32_t c);
[[nodiscard]] std::u32string lower(std::u32string text);

}  // namespace examples::language_id
