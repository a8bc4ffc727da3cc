#pragma once

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

// Messages about files read "polyak::load: run.polyak: rule, got value at byte n".

namespace polyak::detail {

/// Who works on which file, for messages.
struct FileName {
  std::string_view who;
  std::string path;

  [[nodiscard]] std::string text(std::string_view what) const {
    return std::string(who).append(": ").append(path).append(": ").append(what);
  }
  /// The file is not what it should be.
  [[noreturn, gnu::cold, gnu::noinline]] void fail(std::string_view what) const {
    throw std::runtime_error(text(what));
  }
  [[noreturn, gnu::cold, gnu::noinline]] void fail_at(std::uint64_t offset, std::string_view what) const {
    throw std::runtime_error(text(what) + " at byte " + std::to_string(offset));
  }
  /// The file is good, but does not fit what it is read into.
  [[noreturn, gnu::cold, gnu::noinline]] void misfit(std::string_view what) const {
    throw std::invalid_argument(text(what));
  }
  /// The system refused: std::system_error with the text of errno.
  [[noreturn, gnu::cold, gnu::noinline]] void fail_system(std::string_view what, int error = errno) const {
    throw std::system_error(error, std::generic_category(), text(what));
  }
};

}  // namespace polyak::detail
