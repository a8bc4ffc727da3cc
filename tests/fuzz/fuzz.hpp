#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <typeinfo>

/// What every target needs. A target is one function of bytes that somebody else chose:
///
///     extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
///
/// It checks what holds of all of them, and ends the program where it does not, by which libFuzzer and ctest know.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

[[noreturn, gnu::cold]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "does not hold: %s\n", what.c_str());
  std::abort();
}

/// `text` makes the message, where it is needed.
template <class Text>
void require(bool holds, Text text) {
  if (!holds) fail(text());
}
inline void require(bool holds, const char* what) {
  if (!holds) fail(what);
}

/// What f throws as a std::runtime_error of just that type, or nothing, as text. Ends the program on anything else.
template <class F>
std::string refusal_of(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    if (typeid(error) == typeid(std::runtime_error)) return error.what();
    fail(std::string("refused by a std::runtime_error, got ") + typeid(error).name() + ": " + error.what());
  }
  return {};
}

}  // namespace fuzz
