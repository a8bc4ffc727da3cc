#pragma once

#include <concepts>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"

// What is done with the options of a part. They are stated once: a struct of options has for_each_option(visit), which
// calls visit(name, value, range) for each, or visit(name, value) where every value will do. From it follow the checks
// at construction, what is saved and compared on loading, and the text that describes a schedule.

namespace polyak::detail {

/// An option that is a number or a function, and says which in words: a NumberOrFunction.
template <class T>
concept GivenAsFunction = requires(const T& option) { option.is_number(); };

[[nodiscard]] inline std::string to_text(bool x) { return x ? "true" : "false"; }
[[nodiscard]] inline std::string to_text(std::string_view x) { return std::string(x); }
[[nodiscard]] std::string to_text(const GivenAsFunction auto& x) { return x.description(); }

/// The finite numbers from low to high, and in which words others are refused.
struct Range {
  std::string_view rule = {};
  double low = {}, high = (std::numeric_limits<double>::max)();
  bool open_low = false, open_high = false;

  [[nodiscard]] constexpr bool holds(double x) const noexcept {
    return is_finite(x) && (open_low ? x > low : x >= low) && (open_high ? x < high : x <= high);
  }
};
inline constexpr Range finite{"must be finite", std::numeric_limits<double>::lowest()};
inline constexpr Range nonnegative{"must be finite and >= 0"};
inline constexpr Range positive{"must be finite and > 0", 0, (std::numeric_limits<double>::max)(), true};
inline constexpr Range at_least_1{"must be >= 1", 1};
inline constexpr Range from_0_to_1{"must be in [0, 1]", 0, 1};
inline constexpr Range above_0_to_1{"must be in (0, 1]", 0, 1, true};
inline constexpr Range from_0_below_1{"must be in [0, 1)", 0, 1, false, true};

/// Throws std::invalid_argument for an option out of its range. Of those that may be functions, numbers are checked
/// here, and what a function gives where it is asked.
struct OptionChecker {
  std::string_view who;

  template <class T>
  void operator()(std::string_view, const T&) const {}
  template <class T>
  void operator()(std::string_view member, const T& value, const Range& range) const {
    if constexpr (GivenAsFunction<T>) {
      if (value.is_number()) (*this)(member, value.number(), range);
    } else {
      if (!range.holds(static_cast<double>(value))) refuse(who, member, range.rule, value);
    }
  }

 private:
  template <class T>
  [[noreturn, gnu::cold, gnu::noinline]] static void refuse(std::string_view who, std::string_view member,
                                                            std::string_view rule, T got) {
    throw_bad_value(who, std::string(member).append(" ").append(rule), got);
  }
};

/// What names itself and lists its options: for_each_option(visit) calls visit(member, value) for each.
template <class T>
concept Described = requires(const T& described, const OptionChecker visit) {
  { T::name } -> std::convertible_to<std::string_view>;
  described.for_each_option(visit);
};

/// "Cosine(initial 0.1, final 0, steps 1000)", of a function that was given as an option. One that does not describe
/// itself is not asked for values instead: it may be defined for the steps of the training alone, and end with them.
template <class T>
[[nodiscard]] std::string describe([[maybe_unused]] const T& function) {
  if constexpr (Described<T>) {
    std::string_view name = T::name;
    constexpr std::string_view ours = "polyak::";
    if (name.starts_with(ours)) name.remove_prefix(ours.size());
    std::string text = std::string(name) + "(";
    function.for_each_option([&text](std::string_view member, const auto& value, const auto&...) {
      if (text.back() != '(') text.append(", ");
      text.append(member).append(" ").append(to_text(value));
    });
    return text + ")";
  } else {
    return "a callable";
  }
}

template <class T>
concept Number = std::is_arithmetic_v<T> && !std::same_as<T, bool>;

/// What is given as a number, or as a function in its place.
template <class... Args>
class NumberOrFunction {
 public:
  [[nodiscard]] bool is_number() const noexcept { return !function_; }
  /// 0 where it is a function.
  [[nodiscard]] double number() const noexcept { return number_; }
  /// What a saved one is told from another by: the number, the function's own options, or "a callable".
  [[nodiscard]] std::string description() const { return is_number() ? to_text(number_) : describe_(function_); }

 protected:
  using Function = std::function<double(Args...)>;

  explicit NumberOrFunction(double number) : number_(number) {}
  NumberOrFunction(Function function, std::string (*describe)(const Function&))
      : function_(std::move(function)), describe_(describe) {}

  double number_ = 0;
  Function function_;

 private:
  std::string (*describe_)(const Function&) = nullptr;
};

}  // namespace polyak::detail
