#pragma once

#include <cstdint>
#include <string_view>

namespace polyak {

/// a_k = 1/k, the arithmetic mean (Polyak & Juditsky 1992).
template <class OptionsType>
struct UniformGain {
  using Options = OptionsType;
  struct State {};
  static constexpr std::string_view name = Options::name;

  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State&) const noexcept { return 1 / static_cast<double>(k); }
};

}  // namespace polyak
