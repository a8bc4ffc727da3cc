#pragma once

#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <vector>

#include "parts/options.hpp"

namespace polyak::parts {

struct ClipNorm {
  template <class Optimizer>
  using type = polyak::ClipNorm<Optimizer>;
  using Options = ClipNormOptions;
  static constexpr const char* name = "ClipNorm";
  static constexpr std::array options{number<&Options::max_norm>("max_norm", positive)};
  static std::vector<Options> variants() { return {{.max_norm = 5.5}, {.max_norm = 0.1}}; }
};

struct ClipValue {
  template <class Optimizer>
  using type = polyak::ClipValue<Optimizer>;
  using Options = ClipValueOptions;
  static constexpr const char* name = "ClipValue";
  static constexpr std::array options{number<&Options::max_value>("max_value", positive)};
  static std::vector<Options> variants() { return {{.max_value = 0.5}}; }
};

struct SkipNonFinite {
  template <class Optimizer>
  using type = polyak::SkipNonFinite<Optimizer>;
  using Options = SkipNonFiniteOptions;
  static constexpr const char* name = "SkipNonFinite";
  static constexpr std::array<Option, 0> options{};
  static std::vector<Options> variants() { return {{}}; }
};

struct Accumulate {
  template <class Optimizer>
  using type = polyak::Accumulate<Optimizer>;
  using Options = AccumulateOptions;
  static constexpr const char* name = "Accumulate";
  static constexpr std::array options{count<&Options::micro_batches>("micro_batches")};
  static std::vector<Options> variants() { return {{.micro_batches = 2}, {.micro_batches = 1}, {.micro_batches = 5}}; }
};

struct Lookahead {
  template <class Optimizer>
  using type = polyak::Lookahead<Optimizer>;
  using Options = LookaheadOptions;
  static constexpr const char* name = "Lookahead";
  static constexpr std::array options{count<&Options::every>("every"), number<&Options::alpha>("alpha", above_0)};
  static std::vector<Options> variants() { return {{.every = 2}, {.every = 1}, {.every = 4, .alpha = 0.25}}; }
};

inline constexpr std::tuple<ClipNorm, ClipValue, SkipNonFinite, Accumulate, Lookahead> wrappers;

/// An optimizer in the wrapper of a row.
template <class Row, class Optimizer>
auto wrapped(const Optimizer& optimizer, const typename Row::Options& options) {
  using Wrapper = typename Row::template type<Optimizer>;
  if constexpr (std::is_constructible_v<Wrapper, Optimizer, typename Row::Options>) {
    return Wrapper(optimizer, options);
  } else {
    return Wrapper(optimizer);
  }
}

/// Calls check(name, wrapper) with the optimizer in every variant of every wrapper.
template <class Optimizer, class Check>
void for_each_wrapper(const Optimizer& optimizer, const Check& check) {
  for_each(wrappers, [&](auto row) {
    for (const auto& options : row.variants()) check(row.name, wrapped<decltype(row)>(optimizer, options));
  });
}

}  // namespace polyak::parts
