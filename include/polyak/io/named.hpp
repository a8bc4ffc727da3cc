#pragma once

#include "polyak/cpp20.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace polyak {

/// What is saved or loaded, and under which name.
template <class T>
struct Named {
  std::string name;  ///< in the file
  T object;          ///< a reference, or what was handed over as a temporary
};

/// named("weights", theta): refers to theta, which must outlive the call it is made for.
template <class T>
[[nodiscard]] Named<T> named(std::string_view name, T&& object) {
  return {std::string(name), std::forward<T>(object)};
}

namespace detail {

template <class T>
inline constexpr bool is_named = false;
template <class T>
inline constexpr bool is_named<Named<T>> = true;

}  // namespace detail
}  // namespace polyak
