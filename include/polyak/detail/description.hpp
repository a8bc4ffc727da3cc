#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "polyak/detail/errors.hpp"

// Options as text, by which a saved object is told from one that was made otherwise.

namespace polyak::detail {

[[nodiscard]] inline std::string to_text(bool x) { return x ? "true" : "false"; }
[[nodiscard]] inline std::string to_text(std::string_view x) { return std::string(x); }

/// An option that is a number or a function: what it is, in words, and where they do not say all, as of a callable of
/// the user's, what it answers.
struct FunctionOption {
  std::string description = "a callable";
  bool says_all = false;
  std::function<double(std::uint64_t)> ask = {};
  std::string_view unit = "step";  ///< of what it is asked with
  std::uint64_t first = 0;         ///< what it is asked with first
};

template <class T>
concept GivenAsFunction = std::same_as<T, FunctionOption> || requires(const T& option) {
  { option.as_option() } -> std::same_as<FunctionOption>;
};

template <GivenAsFunction T>
[[nodiscard]] FunctionOption function_option(const T& option) {
  if constexpr (std::same_as<T, FunctionOption>) {
    return option;
  } else {
    return option.as_option();
  }
}

/// Writes "member value, member value" of the options it is called with.
struct Describer {
  FunctionOption& into;

  template <class T>
  void operator()(std::string_view member, const T& value) const {
    if (into.description.back() != '(') into.description.append(", ");
    into.description.append(member).append(" ");
    if constexpr (GivenAsFunction<T>) {
      const FunctionOption inner = function_option(value);
      into.description += inner.description;
      into.says_all = into.says_all && inner.says_all;
    } else {
      into.description += to_text(value);
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
[[nodiscard]] FunctionOption describe(const T& described) {
  std::string_view name = T::name;
  constexpr std::string_view ours = "polyak::";
  if (name.starts_with(ours)) name.remove_prefix(ours.size());
  FunctionOption option{std::string(name) + "(", true};
  described.for_each_option(Describer{option});
  option.description += ")";
  return option;
}

/// Describes the T inside a std::function, if T describes itself.
template <class Function>
using DescribeTarget = FunctionOption (*)(const Function&);

template <class T, class Function>
[[nodiscard]] constexpr DescribeTarget<Function> describe_target() noexcept {
  if constexpr (Described<T>) {
    return [](const Function& function) { return describe(*function.template target<T>()); };
  } else {
    return nullptr;
  }
}

}  // namespace polyak::detail
