#pragma once

#include "polyak/cpp20.hpp"

#include <string_view>

namespace polyak {

/// What becomes of a fold that would bring NaN or infinity into an average, or of a row that would bring them into a
/// sparse model.
enum class NonFinite {
  propagate,  ///< it is taken, as if nothing were guarded
  skip,       ///< it is left out, and counted
  raise,      ///< it is left out, and counted, and the step throws std::runtime_error
};

namespace detail {

/// As it is saved.
[[nodiscard]] constexpr std::string_view name_of(NonFinite rule) noexcept {
  return rule == NonFinite::skip ? "skip" : rule == NonFinite::raise ? "raise" : "propagate";
}

}  // namespace detail
}  // namespace polyak
