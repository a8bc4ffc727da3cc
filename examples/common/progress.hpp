#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace examples {

/// How far a long run has come, on standard error: a bar where that is a terminal, else a plain line now and then.
class Progress {
 public:
  Progress(std::string what, std::uint64_t total);
  ~Progress();  ///< wipes the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap enough to be called every step.
  void advance() {
    if (++done_ >= next_shown_) show();
  }

 private:
  void show();

  std::string what_;
  std::uint64_t total_;
  bool terminal_;
  std::uint64_t portion_;  ///< steps from one showing to the next
  std::uint64_t next_shown_;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace examples
