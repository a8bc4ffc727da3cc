#include "common/program.hpp"

#include <exception>
#include <iostream>

namespace examples {

int run_program(const std::string& name, const std::function<void()>& body) {
  try {
    body();
    return 0;
  } catch (const Help& help) {
    std::cout << help.text;
    return 0;
  } catch (const BadOption& error) {
    std::cerr << name << ": " << error.what() << " (--help lists the options)\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace examples
