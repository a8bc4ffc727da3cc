#pragma once

#include <cstdint>

#include "polyak/detail/serialize.hpp"

namespace polyak {

/// Which steps fold: t ≥ max(start, 1) with t − start a multiple of every.
struct Cadence {
  std::uint64_t start = 0;
  std::uint64_t every = 1;

  [[nodiscard]] std::uint64_t first() const noexcept { return start > 0 ? start : every; }
};

namespace detail {

/// As options say it: start, and every or period.
template <class Options>
[[nodiscard]] Cadence cadence_of(const Options& options) noexcept {
  if constexpr (requires { options.period; }) {
    return {options.start, options.period};
  } else {
    return {options.start, options.every};
  }
}

/// How many steps an averager has seen, how many of them it folded, and which is to fold next.
class StepCount {
 public:
  explicit StepCount(Cadence cadence) noexcept : every_(cadence.every), next_(cadence.first()) {}

  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t folds() const noexcept { return folds_; }
  /// Whether the step that is so many steps ahead folds.
  [[nodiscard]] bool due_in(std::uint64_t steps) const noexcept { return steps_ + steps == next_; }

  void count(bool folded) noexcept {
    ++steps_;
    if (!folded) return;
    ++folds_;
    next_ += every_;
  }
  /// Counts a step whose fold was due and is left out.
  void count_missed() noexcept {
    ++steps_;
    next_ += every_;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    for (std::uint64_t* const each : {&steps_, &folds_, &next_}) serialize_value(archive, *each);
  }

 private:
  std::uint64_t steps_ = 0;
  std::uint64_t folds_ = 0;
  std::uint64_t every_;
  std::uint64_t next_;
};

}  // namespace detail
}  // namespace polyak
