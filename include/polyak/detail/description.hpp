#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "polyak/detail/errors.hpp"

// Options as text, by which a saved object is told from one that was made otherwise.

namespace polyak::detail {

[[nodiscard]] inline std::string to_text(bool x) { return x ? "true" : "false"; }
[[nodiscard]] inline std::string to_text(std::string_view x) { return std::string(x); }

/// An option that is given as a number or a function says what it is in words.
template <class T>
concept GivenAsFunction = requires(const T& option) {
  { option.description() } -> std::same_as<std::string>;
};

/// Writes "member value, member value" of the options it is called with.
struct Describer {
  std::string& into;

  template <class T>
  void operator()(std::string_view member, const T& value) const {
    if (into.back() != '(') into.append(", ");
    into.append(member).append(" ");
    if constexpr (GivenAsFunction<T>) {
      into += value.description();
    } else {
      into += to_text(value);
    }
  }
};

struct AnyOption {
  template <class T>
  void operator()(std::string_view, const T&) const {}
};

/// What names itself and lists its options: for_each_option(visit) calls visit(member, value) for each.
template <class T>
concept Described = requires(const T& described, const AnyOption visit) {
  { T::name } -> std::convertible_to<std::string_view>;
  described.for_each_option(visit);
};

/// "Cosine(initial 0.1, final 0, steps 1000)".
template <Described T>
[[nodiscard]] std::string describe(const T& described) {
  std::string_view name = T::name;
  constexpr std::string_view ours = "polyak::";
  if (name.starts_with(ours)) name.remove_prefix(ours.size());
  std::string text = std::string(name) + "(";
  described.for_each_option(Describer{text});
  return text + ")";
}

/// Of a function that was given as an option. One that does not describe itself is not asked for values instead: it may
/// be defined for the steps of the training alone, and end with them.
template <class T>
[[nodiscard]] std::string describe_function([[maybe_unused]] const T* function) {
  if constexpr (Described<T>) {
    return describe(*function);
  } else {
    return "a callable";
  }
}

}  // namespace polyak::detail
