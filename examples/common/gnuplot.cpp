#include "common/gnuplot.hpp"

#include <stdexcept>
#include <vector>

#ifndef _WIN32
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;
#endif

namespace examples {

namespace {

/// Runs a program found on the PATH with no shell between, so that file names need no quoting. Returns its exit status;
/// throws std::runtime_error where it cannot be started.
int run(const std::vector<std::string>& command) {
#ifdef _WIN32
  throw std::runtime_error(command.front() + " cannot be started from here on Windows; write --csv and run it by hand");
#else
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
    throw std::runtime_error(command.front() + " was not found; on Debian and Ubuntu: apt-get install gnuplot-nox");
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
#endif
}

}  // namespace

void require_gnuplot() {
  if (run({"gnuplot", "-e", "exit"}) != 0) throw std::runtime_error("gnuplot was found, but does not run");
}

void run_gnuplot(const std::filesystem::path& script, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"gnuplot", POLYAK_EXAMPLES_PLOT_STYLE, "-c", script.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const int status = run(command);
  if (status != 0) throw std::runtime_error("gnuplot failed with status " + std::to_string(status));
}

}  // namespace examples
