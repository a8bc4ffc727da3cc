#include "common/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

namespace examples {

namespace {

bool stderr_is_terminal() {
#ifdef _WIN32
  return _isatty(_fileno(stderr)) != 0;
#else
  return isatty(STDERR_FILENO) != 0;
#endif
}

}  // namespace

Progress::Progress(std::string what, std::uint64_t total)
    : what_(std::move(what)),
      total_(std::max<std::uint64_t>(total, 1)),
      terminal_(stderr_is_terminal()),
      portion_(std::max<std::uint64_t>(1, total_ / (terminal_ ? 100 : 5))),
      next_shown_(portion_) {}

Progress::~Progress() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::show() {
  next_shown_ = done_ + portion_;
  const int percent = static_cast<int>(100 * done_ / total_);
  if (terminal_) {
    constexpr int width = 40;
    const std::string bar(static_cast<std::size_t>(std::min(percent, 100) * width / 100), '#');
    std::fprintf(stderr, "\r%s [%-*s] %3d %%", what_.c_str(), width, bar.c_str(), percent);
    std::fflush(stderr);
  } else {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
    std::fprintf(stderr, "%s: %3d %%, %.1f s\n", what_.c_str(), percent, elapsed.count());
  }
}

}  // namespace examples
