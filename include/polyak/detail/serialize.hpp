#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"

// How the classes of the library save and load themselves: by members serialize(archive, version) as cereal and
// Boost.Serialization call them, which ask of an archive no more than `archive & x` for unsigned integers and for
// classes with such members, and Archive::is_loading. Floating-point numbers go as the integers that hold their bits,
// so they survive text. An archive that offers
//
//     array(name, data, n), array_size(name, n)    is given each array as a whole; on loading, array_size throws where
//                                                  there are fewer elements
//     enter(name), leave()                         is told of the parts that an object is made of
//     value(name, x), option(who, name, text),     is given everything else under its name too; on loading, option and
//     type(who, name), differs(who, name, …)       type compare what they are given with what was saved
//
// A class writes its version, its name and its options, which must be those of the object that loads, and then its
// state. It loads into locals and takes them over last, so that a state that breaks off leaves it as it was. The
// version that those libraries pass is for classes of the user's: with a number of their own, states are alike in all
// archives. One long file, since all that a saved state is made of is here.

namespace polyak::detail {

template <class Archive>
inline constexpr bool is_loading = bool(Archive::is_loading::value);

/// A template, since a cast that is useless on this machine may be needed on another.
template <std::unsigned_integral N>
[[nodiscard]] constexpr std::size_t to_size(N n) noexcept {
  return static_cast<std::size_t>(n);
}

/// "who: the saved state is damaged: what".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_damaged(std::string_view who, std::string_view what) {
  throw_bad_argument(who, std::string("the saved state is damaged: ").append(what));
}
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_damaged_size(std::string_view who, std::string_view name,
                                                                      std::uint64_t expected, std::uint64_t got) {
  throw_damaged(who, std::string(name) + " must have size " + to_text(expected) + ", got " + to_text(got));
}

/// To the archive, or from it.
template <class Archive, class T>
void transfer(Archive& archive, T& x) {
  static_cast<void>(archive & x);
}

/// An archive that keeps everything under its name.
template <class Archive>
concept TakesNames = requires(Archive& archive, std::string_view name, std::uint64_t& x) { archive.value(name, x); };

/// Calls f within a part of that name.
template <class Archive, class F>
void in_part([[maybe_unused]] Archive& archive, [[maybe_unused]] std::string_view name, const F& f) {
  constexpr bool nests = requires {
    archive.enter(name);
    archive.leave();
  };
  if constexpr (nests) archive.enter(name);
  f();
  if constexpr (nests) archive.leave();
}

/// A bool, an integer, or a floating-point number, as bits.
template <class Archive, class T>
void serialize_bits(Archive& archive, T& x) {
  if constexpr (std::same_as<T, bool>) {
    std::uint8_t byte = x ? 1 : 0;
    transfer(archive, byte);
    if constexpr (is_loading<Archive>) x = byte != 0;
  } else if constexpr (FloatingPoint<T>) {
    // x87 has 10 bytes of value, the rest of the 16 is whatever was there.
    constexpr std::size_t size = std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T);
    using Word = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
    std::array<Word, std::same_as<T, long double> ? 2 : 1> words{};
    static_assert(size <= sizeof words);
    if constexpr (!is_loading<Archive>) std::memcpy(words.data(), &x, size);
    for (auto& word : words) transfer(archive, word);
    if constexpr (is_loading<Archive>) std::memcpy(static_cast<void*>(&x), words.data(), size);
  } else if constexpr (std::signed_integral<T>) {
    auto bits = static_cast<std::make_unsigned_t<T>>(x);
    transfer(archive, bits);
    if constexpr (is_loading<Archive>) x = static_cast<T>(bits);
  } else {
    static_assert(std::unsigned_integral<T>);
    transfer(archive, x);
  }
}

/// The same with its name, for an archive that keeps it.
template <class Archive, class T>
void serialize_value(Archive& archive, [[maybe_unused]] std::string_view name, T& x) {
  if constexpr (TakesNames<Archive>) {
    archive.value(name, x);
  } else {
    serialize_bits(archive, x);
  }
}

template <class Archive>
void serialize_text(Archive& archive, std::string& text) {
  std::uint64_t count = text.size();
  transfer(archive, count);
  if constexpr (is_loading<Archive>) text.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    if constexpr (is_loading<Archive>) text.push_back(' ');
    auto letter = static_cast<std::uint8_t>(text[i]);
    transfer(archive, letter);
    if constexpr (is_loading<Archive>) text[i] = letter < ' ' ? '?' : static_cast<char>(letter);
  }
}

/// Of all that is saved here. One number for all classes: they are nested in each other, and a state is read by the
/// polyak that has it or not at all.
inline constexpr std::uint32_t state_version = 5;

/// Writes the version and the name of the class, or refuses others. An archive that keeps names keeps that of the class
/// under `as`.
template <class Archive>
void serialize_version(Archive& archive, std::string_view who, [[maybe_unused]] std::string_view as = "class") {
  if constexpr (TakesNames<Archive>) return archive.type(who, as);
  std::uint32_t version = state_version;
  transfer(archive, version);
  if (version != state_version) {
    throw_bad_argument(who, "the saved state has version " + std::to_string(version) + ", this polyak reads " +
                                std::to_string(state_version));
  }
  std::string name(who);
  serialize_text(archive, name);
  if (name != who) throw_bad_argument(who, "the saved state is of " + name);
}

/// "who: member must be x as in the saved state, got y".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_other_option(std::string_view who, std::string_view member,
                                                                      std::string_view saved,
                                                                      std::string_view present) {
  throw_bad_argument(
      who,
      std::string(member).append(" must be ").append(saved).append(" as in the saved state, got ").append(present));
}

/// Whether an archive is told to go on with options other than those saved.
template <class Archive>
[[nodiscard]] bool keeps_options([[maybe_unused]] const Archive& archive) noexcept {
  if constexpr (requires { archive.keeps_options(); }) return archive.keeps_options();
  return false;
}

/// Saves an option, or compares it with the saved one. Throws std::invalid_argument where they differ. A number or a
/// function is told from another by its description; no function is asked anything.
template <class Archive, class T>
void serialize_option(Archive& archive, std::string_view who, std::string_view member, const T& value) {
  if constexpr (GivenAsFunction<T>) {
    serialize_option(archive, who, member, value.description());
  } else if constexpr (TakesNames<Archive>) {
    archive.option(who, member, to_text(value));
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    std::string saved(value);
    serialize_text(archive, saved);
    if (saved != value) throw_other_option(who, member, saved, value);
  } else {
    T saved = value;
    serialize_bits(archive, saved);
    if (std::memcmp(&saved, &value, sizeof value) != 0) {
      throw_other_option(who, member, to_text(saved), to_text(value));
    }
  }
}

/// What for_each_option of a class calls, to save its options or to compare them.
template <class Archive>
struct OptionSerializer {
  Archive& archive;
  std::string_view who;

  template <class T>
  void operator()(std::string_view member, const T& value, const Range& = {}) const {
    serialize_option(archive, who, member, value);
  }
};

/// For what is a struct of options and a formula, with no state: Derived has a static name.
template <class Derived, class OptionsType>
class FromOptions {
 public:
  using Options = OptionsType;

  explicit FromOptions(Options options) : options_(std::move(options)) {
    options_.for_each_option(OptionChecker{Derived::name});
  }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  void for_each_option(const auto& visit) const { options_.for_each_option(visit); }
  /// Saves the options, or throws std::invalid_argument, saying which, where they are not those that were saved.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Derived::name);
    options_.for_each_option(OptionSerializer<Archive>{archive, Derived::name});
  }

 protected:
  Options options_;
};

template <FloatingPoint T>
inline constexpr std::string_view scalar_name = std::same_as<T, float>         ? "float"
                                                : std::same_as<T, double>      ? "double"
                                                : std::same_as<T, long double> ? "long double"
                                                : std::same_as<T, Eigen::half> ? "half"
                                                                               : "bfloat16";

template <class Archive, class T>
concept TakesArrays = requires(Archive& archive, std::string_view name, T* data, std::size_t n, std::uint64_t& count) {
  archive.array_size(name, count);
  archive.array(name, data, n);
};

/// Memory grows as elements arrive, so that a count that is wrong claims no more than about twice what there is.
inline constexpr std::uint64_t trusted_count = 65536;

/// A vector of numbers, Eigen's or std::vector, which must have `expected` elements. On loading, one that was not there
/// before: what it held is lost.
template <class Archive, class Array>
void serialize_array(Archive& archive, std::string_view who, std::string_view name, Array& array,
                     std::uint64_t expected) {
  using T = std::remove_cvref_t<decltype(*array.data())>;
  using Size = decltype(array.size());
  auto count = static_cast<std::uint64_t>(array.size());
  if constexpr (TakesArrays<Archive, T>) {
    if constexpr (is_loading<Archive>) count = expected;  // where the archive may say nothing
    archive.array_size(name, count);
  } else {
    transfer(archive, count);
  }
  if constexpr (is_loading<Archive>) {
    if (count != expected) throw_damaged_size(who, name, expected, count);
    array.resize(TakesArrays<Archive, T> ? static_cast<Size>(count) : 0);
  }
  if constexpr (TakesArrays<Archive, T>) {
    archive.array(name, array.data(), to_size(count));
  } else {
    auto room = static_cast<std::uint64_t>(array.size());
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i == room) {
        room = (std::min)(count, (std::max)(trusted_count, 2 * room));
        if constexpr (requires { array.conservativeResize(0); }) {
          array.conservativeResize(static_cast<Size>(room));
        } else {
          array.resize(static_cast<Size>(room));
        }
      }
      serialize_bits(archive, array.data()[i]);
    }
  }
}

/// One member of a state: a vector of n numbers, a number, or an object with serialize(archive, version).
template <class Archive, class T>
void serialize_member(Archive& archive, std::string_view who, std::string_view name, T& member, std::uint64_t n) {
  if constexpr (requires { member.data(); }) {
    serialize_array(archive, who, name, member, n);
  } else if constexpr (requires { member.serialize(archive, 0u); }) {
    in_part(archive, name, [&] { member.serialize(archive, 0u); });
  } else {
    serialize_value(archive, name, member);
  }
}

/// Calls f with the members on saving; on loading with new ones, which take their place once f has returned.
template <class Archive, class F, class... Members>
void serialize_members(const F& f, Members&... members) {
  if constexpr (is_loading<Archive>) {
    std::tuple<Members...> loaded;
    std::apply(f, loaded);
    std::tie(members...) = std::move(loaded);
  } else {
    f(members...);
  }
}

/// A part of an object that may be of the user's own type.
template <class Archive, class Part>
void serialize_part(Archive& archive, std::string_view name, Part& part) {
  in_part(archive, name, [&] {
    if constexpr (requires { part.serialize(archive, 0u); }) {
      transfer(archive, part);  // so that the archive sees to a version number of the user's
    } else if constexpr (requires { part.serialize(archive); }) {
      part.serialize(archive);
    } else {
      static_assert(
          std::is_empty_v<Part> || (std::is_pointer_v<Part> && std::is_function_v<std::remove_pointer_t<Part>>),
          "polyak: what is to be saved has serialize(archive, version) or serialize(archive), or holds nothing; "
          "of an Averaged around an optimizer that has not, save averager() alone");
    }
  });
}

}  // namespace polyak::detail
