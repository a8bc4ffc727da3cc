#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

struct GainAverageOptions {
  std::function<double(std::uint64_t)> gain;  ///< a_k in [0, 1] for k = 1, 2, …
  std::uint64_t start = 0;                    ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;                    ///< ≥ 1: steps from one fold to the next

  /// The gain cannot be compared: a callable is the user's to bring again.
  void for_each_option(const auto& visit) const {
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k from the user's own callable of k.
struct CallableGain {
  using Options = GainAverageOptions;
  struct State {};
  static constexpr std::string_view name = "polyak::GainAverage";

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State&) const { return options.gain(k); }
};

/// An average by the user's own gain sequence. Where a_1 < 1 it is started from the weights before the first fold (used
/// alone: start_from). Throws std::invalid_argument on an empty gain, on every = 0 and, in the step that meets it, on a
/// gain outside [0, 1].
template <class Shadow = default_shadow>
struct GainAverage : Averager<CallableGain, Shadow> {
  GainAverage(detail::NotOptions);
  explicit GainAverage(GainAverageOptions options) : Averager<CallableGain, Shadow>(std::move(options)) {
    if (!this->options().gain) detail::throw_bad_argument(CallableGain::name, "gain must be callable, got none");
  }
};

}  // namespace polyak
