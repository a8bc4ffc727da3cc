#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "catch.hpp"
#include "serialize/resume.hpp"
#include "support.hpp"

/// What loading refuses, of anything that can be saved.

namespace serialize {

/// "name: member must be x as in the saved state, got y".
inline std::string refused(const std::string& name, const std::string& member, const std::string& saved,
                           const std::string& present) {
  return "invalid_argument: polyak::" + name + ": " + member + " must be " + saved + " as in the saved state, got " +
         present;
}

/// The error of loading what `saved` saves into `present`, which must stay as it was; and where there was an error, not
/// the other way about either.
inline std::string error_between(const Saveable& saved, const Saveable& present) {
  const auto error_of_loading = [](const Bytes& bytes, const Saveable& into) {
    return support::error_of([&] { into.load(bytes); });
  };
  const Bytes bytes = saved.saved(), before = present.saved();
  std::string error = error_of_loading(bytes, present);
  if (error != "nothing") {
    CHECK(present.saved() == before);
    CHECK(error_of_loading(before, saved) != "nothing");
  }
  return error;
}

/// An archive that breaks off anywhere throws Truncated.
inline void check_truncated(const std::string& name, const Bytes& whole,
                            const std::function<void(const Bytes&)>& load_into) {
  std::string wrong;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    try {
      load_into(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
      wrong += "nothing was thrown at size " + std::to_string(size) + "\n";
    } catch (const Truncated&) {
    }
  }
  INFO(name);
  CHECK(wrong == "");
}

/// A version other than this one is refused.
inline void check_version(const std::string& name, const Saveable& object) {
  Bytes bytes = object.saved();
  REQUIRE(bytes[0] == 5);
  for (const std::uint8_t other : std::array<std::uint8_t, 3>{0, 4, 6}) {
    bytes[0] = other;
    CHECK(support::error_of([&] { object.load(bytes); }) == "invalid_argument: polyak::" + name +
                                                                ": the saved state has version " +
                                                                std::to_string(other) + ", this polyak reads 5");
  }
}

}  // namespace serialize
