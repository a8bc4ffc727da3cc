#pragma once

#include <polyak/averagers/decays.hpp>
#include <polyak/schedules.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

/// The table of parts: one row for each optimizer, wrapper, averager, schedule and decay of the library. Every test
/// over all of them takes its list from here, and parts.cmake stops the build where a class is missing.
///
/// A row is a struct named like its class, and its place in the list at the end of its file. It has
///
///     type          the class, as a template of the scalar, the shadow or the optimizer inside
///     Options       its options
///     name          what its messages call it, behind "polyak::"
///     base()        where the defaults will not do: options of which each can be set by itself
///     options       each option: its name, its member, what it takes and what it refuses
///     variants()    a few settings that turn everything on between them, the plainest first
///
/// The fuzz tests have a list of their own, since their model of a part is written by hand. Guarded is no row: it wraps
/// an averager and behaves otherwise only where a number is not finite, which its own tests are about. Nor is anything
/// in sparse/: its models are one class, with tests of its own for all that parts have in common.
///
/// The table lives in polyak so that a file may rename it with the library, as fast_math.test.cpp does.

namespace polyak::parts {

/// A few numbers.
class Numbers {
 public:
  constexpr Numbers(std::initializer_list<double> numbers) {
    for (const double x : numbers) numbers_[size_++] = x;
  }
  constexpr const double* begin() const { return numbers_.data(); }
  constexpr const double* end() const { return numbers_.data() + size_; }

 private:
  std::array<double, 6> numbers_{};
  std::size_t size_ = 0;
};

/// Numbers that an option takes and numbers that it refuses by this rule.
struct Range {
  const char* rule;
  Numbers good, bad;
};

inline constexpr Range finite{"must be finite", {-1e300, -2, 0, 1e300}, {}};
inline constexpr Range nonnegative{"must be finite and >= 0", {0, 1e-300, 1, 1e300}, {-1e-300, -1}};
inline constexpr Range positive{"must be finite and > 0", {1e-300, 1, 1e300}, {0, -1e-300, -1}};
inline constexpr Range share{"must be in [0, 1]", {0, 1e-300, 0.5, 1}, {-1e-300, -0.1, 1.0000000000000002, 1.5}};
inline constexpr Range below_1{"must be in [0, 1)", {0, 1e-300, 0.5, 0.9999999999999999}, {-1e-300, -1, 1, 1.5}};
inline constexpr Range above_0{"must be in (0, 1]", {1e-300, 0.5, 1}, {0, -1e-300, -0.5, 1.0000000000000002, 1.5}};
inline constexpr Range at_least_1{"must be >= 1", {1, 7, 1e9}, {0}};
inline constexpr Range any{"", {}, {}};

/// Two examples of an option, numbered 2 i and 2 i + 1, by which objects differ: "<option> must be <saved> as in the
/// saved state, got <present>".
struct Difference {
  const char* saved = nullptr;  ///< null where there are no more
  const char* present = "";
};

/// An option of a part. Its functions take the address of the part's Options, so that what reads the table is compiled
/// once.
struct Option {
  const char* name;
  Range range;
  bool is_real;  ///< refuses NaN and the infinities
  void (*set)(void* options, double);
  void (*set_example)(void* options, int);
  std::array<Difference, 3> differences;
};

inline void set(double& option, double x) { option = x; }
inline void set(std::optional<double>& option, double x) { option = x; }
inline void set(std::uint64_t& option, double x) { option = static_cast<std::uint64_t>(x); }
inline void set(Hyperparameter& option, double x) { option = x; }
inline void set(Decay& option, double x) { option = x; }

template <class T>
void set_example(T& option, int which) {
  set(option, which == 1 ? 0.1 : 0.25);
  if constexpr (std::is_same_v<T, Hyperparameter> || std::is_same_v<T, Decay>) {
    if (which == 2) option = polyak::Constant(0.25);
    if (which == 4) option = [](std::uint64_t) { return 0.25; };
  }
}

template <auto Member>
struct MemberTraits;
template <class O, class T, T O::*Member>
struct MemberTraits<Member> {
  using Type = T;
  static T& in(void* options) { return static_cast<O*>(options)->*Member; }
};

/// A real number, or where the member takes one too, a schedule.
template <auto Member>
constexpr Option number(const char* name, const Range& range) {
  using Of = MemberTraits<Member>;
  Option option{name,
                range,
                true,
                [](void* o, double x) { parts::set(Of::in(o), x); },
                [](void* o, int which) { parts::set_example(Of::in(o), which); },
                {{{"0.25", "0.1"}}}};
  if (std::is_same_v<typename Of::Type, Hyperparameter> || std::is_same_v<typename Of::Type, Decay>) {
    option.differences[1] = {"Constant(value 0.25)", "0.25"};
    option.differences[2] = {"a callable", "0.25"};
  }
  return option;
}

template <auto Member>
constexpr Option flag(const char* name) {
  using Of = MemberTraits<Member>;
  return {name, any, false, nullptr, [](void* o, int which) { Of::in(o) = which == 0; }, {{{"true", "false"}}}};
}

template <auto Member>
constexpr Option count(const char* name, const Range& range = at_least_1) {
  using Of = MemberTraits<Member>;
  return {name,
          range,
          false,
          [](void* o, double x) { parts::set(Of::in(o), x); },
          [](void* o, int which) { Of::in(o) = which == 0 ? 5 : 3; },
          {{{"5", "3"}}}};
}

/// What is no number: one of two values, told apart by these texts.
template <auto Member, auto Saved, auto Present>
constexpr Option choice(const char* name, const char* saved, const char* present) {
  using Of = MemberTraits<Member>;
  return {name,
          any,
          false,
          nullptr,
          [](void* o, int which) {
            if (which == 0) {
              Of::in(o) = Saved;
            } else {
              Of::in(o) = Present;
            }
          },
          {{{saved, present}}}};
}

/// An option that is not saved under its own name.
constexpr Option unsaved(Option option) {
  option.differences = {};
  return option;
}

/// Options of which each can be set by itself.
template <class Row>
typename Row::Options base() {
  if constexpr (requires { Row::base(); }) {
    return Row::base();
  } else {
    return {};
  }
}

/// Calls f with each row of a list.
template <class... Rows, class F>
void for_each(std::tuple<Rows...>, const F& f) {
  (f(Rows()), ...);
}

/// Calls f with every count-th row from `First` on: files that are slow to compile share a list.
template <std::size_t First, std::size_t Count, class... Rows, class F>
void for_each_of(std::tuple<Rows...>, const F& f) {
  [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    const auto each = [&]<std::size_t I>(auto row) {
      if constexpr (I % Count == First) f(row);
    };
    (each.template operator()<Is>(Rows()), ...);
  }(std::index_sequence_for<Rows...>());
}

}  // namespace polyak::parts
