#pragma once

#include <stdexcept>
#include <string>
#include <typeinfo>

#include "fuzz.hpp"

namespace fuzz {

/// True if f was not refused. Ends the program where it was by anything but what the readers of the library document: a
/// std::runtime_error for what is wrong with a file, a std::invalid_argument for what does not fit, in the name of one.
template <class F>
bool accepted(F f) {
  try {
    f();
    return true;
  } catch (const std::exception& error) {
    const auto& type = typeid(error);
    require(type == typeid(std::runtime_error) || type == typeid(std::invalid_argument), [&] {
      return std::string("a file is refused by a runtime_error or an invalid_argument, got ") + type.name() + ": " +
             error.what();
    });
    require(std::string(error.what()).starts_with("polyak::"), "a refusal says whose it is");
  }
  return false;
}

}  // namespace fuzz
