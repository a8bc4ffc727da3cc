#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "polyak/averagers/averager.hpp"
#include "polyak/detail/options.hpp"

namespace polyak {

struct TailAverageOptions {
  std::uint64_t start = 0;  ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;  ///< ≥ 1: steps from one fold to the next

  static constexpr std::string_view name = "polyak::TailAverage";

  void for_each_option(const auto& visit) const {
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// a_k = 1/k, the arithmetic mean (Polyak & Juditsky 1992).
template <class OptionsType>
struct UniformGain {
  using Options = OptionsType;
  struct State {};
  static constexpr std::string_view name = Options::name;

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept { return 1 / static_cast<double>(k); }
};

/// The arithmetic mean of the θ_t it folds, with every = 1 those of all t ≥ max(start, 1), by the gain 1/k (Ruppert
/// 1988; Polyak & Juditsky 1992). With a start past the transient it reaches the optimal asymptotic variance. Throws
/// std::invalid_argument on every = 0.
template <class Shadow = default_shadow>
struct TailAverage : Averager<UniformGain<TailAverageOptions>, Shadow> {
  TailAverage() : TailAverage(TailAverageOptions{}) {}
  TailAverage(detail::NotOptions);
  explicit TailAverage(TailAverageOptions options) : TailAverage::Averager(std::move(options)) {}
};

}  // namespace polyak
