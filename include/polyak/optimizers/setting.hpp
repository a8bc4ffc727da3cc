#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/schedules.hpp"

namespace polyak::detail {

/// A hyperparameter in [0, ∞) that can be read and set while training: its name, and whether a number was set in the
/// place of what the optimizer was made with. The number or schedule itself stays among the options, where users read
/// it, and is handed to each of these functions.
class Setting {
 public:
  constexpr explicit Setting(std::string_view name) noexcept : name_(name) {}

  /// What it is in the step after t others. Throws std::invalid_argument where that is out of range.
  [[nodiscard]] double ask(const Hyperparameter& option, std::uint64_t t, std::string_view who) const {
    const double x = option(t);
    if (!nonnegative.holds(x)) throw_out_of_range(x, who);
    return x;
  }
  /// A number is checked when it is given, a schedule in the step that asks it.
  void check(const Hyperparameter& given, std::string_view who) const {
    if (given.is_number()) static_cast<void>(ask(given, 0, who));
  }

  /// Takes `given` as the option. Where it is out of range, or check_options() throws, nothing has changed.
  template <class CheckOptions>
  void set(Hyperparameter& option, Hyperparameter given, std::string_view who, const CheckOptions& check_options) {
    check(given, who);
    Hyperparameter before = std::move(option);
    option = std::move(given);
    try {
      check_options();
    } catch (...) {
      option = std::move(before);
      throw;
    }
    is_set_ = option.is_number();
  }

  /// Saves or loads it. A number that was set, or is to replace one that was set here, is state. All else is an option,
  /// and compared with the saved one: no schedule is loaded.
  template <class Archive>
  void serialize(Archive& archive, Hyperparameter& option, std::string_view who) {
    [[maybe_unused]] const bool was_set = is_set_;
    bool is_number = option.is_number();
    double number = is_number ? option(0) : 0;
    serialize_value(archive, is_number);
    serialize_value(archive, is_set_);
    if (!is_number) return serialize_option(archive, who, name_, option);
    serialize_value(archive, number);
    if constexpr (is_loading<Archive>) {
      const Hyperparameter saved = number;
      check(saved, who);
      const std::string expected = saved.description(), got = option.description();
      if (!is_set_ && !was_set && expected != got) throw_other_option(who, name_, expected, got);
      option = saved;
    }
  }

 private:
  [[noreturn, gnu::cold, gnu::noinline]] void throw_out_of_range(double x, std::string_view who) const {
    throw_bad_value(who, std::string(name_).append(" ").append(nonnegative.rule), x);
  }

  std::string_view name_;
  bool is_set_ = false;
};

}  // namespace polyak::detail
