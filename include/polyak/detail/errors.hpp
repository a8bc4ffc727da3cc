#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "polyak/concepts.hpp"

#if !defined(__cpp_exceptions)
#error "polyak reports misuse by exceptions: compile without -fno-exceptions"
#endif

// Every message reads "polyak::Class: member rule, got value". The helpers that build one are cold and out of line, so
// a check costs its caller a compare and a branch.

namespace polyak::detail {

/// The shortest text that reads back as the same number; NaN is "nan" whatever its sign.
[[nodiscard]] inline std::string to_text(double x) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, x).ptr;
  return {text[0] == '-' && text[1] == 'n' ? text + 1 : text, end};
}
[[nodiscard]] inline std::string to_text(std::uint64_t x) { return std::to_string(x); }

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_argument(std::string_view who, std::string_view what) {
  throw std::invalid_argument(std::string(who).append(": ").append(what));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_order(std::string_view who, std::string_view what) {
  throw std::logic_error(std::string(who).append(": ").append(what));
}

/// "who: rule, got value", with `when` behind it.
template <class Value>
[[noreturn, gnu::cold, gnu::noinline]] void throw_bad_value(std::string_view who, std::string_view rule, Value got,
                                                            std::string_view when = {}) {
  throw_bad_argument(who, std::string(rule).append(", got ").append(to_text(got)).append(when));
}

/// "who: rule at fold k, got value".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_fold(std::string_view who, std::string_view rule,
                                                                  double got, std::uint64_t k) {
  throw_bad_value(who, rule, got, " at fold " + std::to_string(k));
}

/// "who: rule expected, got value".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_size(std::string_view who, std::string_view rule,
                                                                  std::size_t expected, std::size_t got) {
  throw_bad_value(who, std::string(rule).append(" ").append(std::to_string(expected)), std::uint64_t{got});
}

/// "who: what[ of block i], got rows x cols", against what was expected.
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_block(std::string_view who, std::string_view what,
                                                                   std::size_t block, std::size_t blocks,
                                                                   BlockShape expected, BlockShape got) {
  const bool by_order = expected.row_major != got.row_major && expected.rows == got.rows && got.is_matrix();
  const auto text = [by_order](const BlockShape& s) {
    const std::string size = std::to_string(s.rows) + "x" + std::to_string(s.cols);
    return by_order ? size + (s.row_major ? " row-major" : " column-major") : size;
  };
  const std::string where = blocks > 1 ? " of block " + std::to_string(block) : "";
  throw_bad_argument(who, std::string(what).append(where) + ", " + text(expected) + ", got " + text(got));
}

/// Refuses NaN as well as what breaks `rule`: `holds` must be written so that only good values pass.
template <class Value>
void require(bool holds, std::string_view who, std::string_view rule, Value got) {
  if (!holds) throw_bad_value(who, rule, got);
}

}  // namespace polyak::detail
