#pragma once

#include <functional>
#include <stdexcept>
#include <string>

namespace examples {

/// What the reading of a command line throws where help is asked for.
struct Help {
  std::string text;
};

/// What it throws where an option is bad: the option, the rule and the value.
class BadOption : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Runs the body of main(). Returns the exit status: 0, also after help; 2 for a bad option and 1 for any other
/// exception, told in one line on standard error.
[[nodiscard]] int run_program(const std::string& name, const std::function<void()>& body);

}  // namespace examples
