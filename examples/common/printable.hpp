#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace examples {

/// The first 40 bytes of a text for a message: whatever is not printable ASCII as \xNN, "nothing" if there are none.
[[nodiscard]] inline std::string printable(std::string_view text) {
  if (text.empty()) return "nothing";
  constexpr std::string_view digits = "0123456789abcdef";
  std::string shown;
  for (const char c : text.substr(0, 40)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte <= '~') {
      shown += c;
    } else {
      shown.append("\\x").append({digits[byte / 16u], digits[byte % 16u]});
    }
  }
  return shown;
}

}  // namespace examples
