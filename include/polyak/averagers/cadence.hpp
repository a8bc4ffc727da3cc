#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak {

/// Which steps fold: t ≥ max(start, 1) with t − start a multiple of every.
struct Cadence {
  std::uint64_t start = 0;  ///< in steps
  std::uint64_t every = 1;  ///< ≥ 1, in steps

  /// The first step that folds.
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

/// After so many steps; where a fold was due by then, it was left out.
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_no_average(std::string_view who, Cadence cadence,
                                                                    std::uint64_t steps) {
  const std::string first = std::to_string(cadence.first()), got = std::to_string(steps) + " steps";
  throw_bad_order(who, steps < cadence.first()
                           ? "there is no average before the first fold, due at step " + first + ", got " + got
                           : "there is no average: all folds of " + got + " were left out");
}

/// How many steps an averager has seen, how many of them it folded, and which is to fold next.
class StepCount {
 public:
  explicit StepCount(Cadence cadence) noexcept : cadence_(cadence), next_(cadence.first()) {}

  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t folds() const noexcept { return folds_; }
  /// Whether the step that is so many steps ahead folds.
  [[nodiscard]] bool due_in(std::uint64_t steps) const noexcept { return steps_ + steps == next_; }

  void count(bool folded) noexcept {
    ++steps_;
    if (!folded) return;
    ++folds_;
    next_ += cadence_.every;
  }
  /// Counts a step whose fold was due and is left out.
  void count_missed() noexcept {
    ++steps_;
    next_ += cadence_.every;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_value(archive, "steps", steps_);
    serialize_value(archive, "folds", folds_);
    serialize_value(archive, "next", next_);
    if constexpr (is_loading<Archive>) {
      if (!keeps_options(archive)) return;  // else the options may be others by now
      const std::uint64_t first = cadence_.first();
      next_ = steps_ < first ? first : steps_ + cadence_.every - (steps_ - first) % cadence_.every;
    }
  }

 private:
  std::uint64_t steps_ = 0;
  std::uint64_t folds_ = 0;
  Cadence cadence_;
  std::uint64_t next_;
};

}  // namespace detail
}  // namespace polyak
