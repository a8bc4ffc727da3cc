#pragma once

#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/rate_weighted_average.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>

#include <cstdint>
#include <vector>

#include "parts/options.hpp"

namespace polyak::parts {

/// The options of an averager behind those that say which steps it folds.
template <class Options, class... Own>
constexpr std::array<Option, 2 + sizeof...(Own)> with_cadence(const Own&... own) {
  return {count<&Options::start>("start", any), count<&Options::every>("every"), own...};
}

inline double halving(std::uint64_t k) { return k == 1 ? 1 : 0.5; }

struct Ema {
  template <class Shadow>
  using type = polyak::Ema<Shadow>;
  using Options = EmaOptions;
  static constexpr const char* name = "Ema";
  static constexpr auto options = with_cadence<Options>(number<&Options::decay>("decay", share),
                                                        flag<&Options::bias_correction>("bias_correction"));
  static std::vector<Options> variants() {
    return {{.decay = 0.75},
            {.decay = polyak::DecayWarmup({.limit = 0.5}), .every = 3},
            {.decay = 0.75, .bias_correction = false, .start = 5, .every = 2}};
  }
};

struct TailAverage {
  template <class Shadow>
  using type = polyak::TailAverage<Shadow>;
  using Options = TailAverageOptions;
  static constexpr const char* name = "TailAverage";
  static constexpr auto options = with_cadence<Options>();
  static std::vector<Options> variants() { return {{}, {.start = 3, .every = 2}}; }
};

struct Swa {
  template <class Shadow>
  using type = polyak::Swa<Shadow>;
  using Options = SwaOptions;
  static constexpr const char* name = "Swa";
  static constexpr std::array options{count<&Options::start>("start", any), count<&Options::period>("period")};
  static std::vector<Options> variants() { return {{}, {.start = 2, .period = 4}}; }
};

struct PolynomialAverage {
  template <class Shadow>
  using type = polyak::PolynomialAverage<Shadow>;
  using Options = PolynomialAverageOptions;
  static constexpr const char* name = "PolynomialAverage";
  static constexpr auto options = with_cadence<Options>(number<&Options::eta>("eta", nonnegative));
  static std::vector<Options> variants() { return {{.eta = 3}, {.eta = 1, .start = 2, .every = 2}}; }
};

struct PowerEma {
  template <class Shadow>
  using type = polyak::PowerEma<Shadow>;
  using Options = PowerEmaOptions;
  static constexpr const char* name = "PowerEma";
  static constexpr Range widths{"must be in (0, 1/sqrt(12)]", {1e-6, 0.2886}, {0, -0.1, 0.289}};
  static constexpr auto options = with_cadence<Options>(
      number<&Options::gamma>("gamma", nonnegative),
      unsaved(number<&Options::relative_width>("relative_width", widths)));  // saved is the gamma that it makes
  static std::vector<Options> variants() { return {{.gamma = 2.5}, {.relative_width = 0.1, .start = 1, .every = 2}}; }
};

struct AnytimeTailAverage {
  template <class Shadow>
  using type = polyak::AnytimeTailAverage<Shadow>;
  using Options = AnytimeTailAverageOptions;
  static constexpr const char* name = "AnytimeTailAverage";
  static constexpr auto options = with_cadence<Options>(number<&Options::fraction>("fraction", above_0));
  static std::vector<Options> variants() { return {{.fraction = 0.5}, {.fraction = 0.25, .start = 2, .every = 2}}; }
};

struct GainAverage {
  template <class Shadow>
  using type = polyak::GainAverage<Shadow>;
  using Options = GainAverageOptions;
  static constexpr const char* name = "GainAverage";
  static Options base() { return {.gain = halving}; }
  static constexpr auto options = with_cadence<Options>();  // the gain is a callable, which is not compared
  static std::vector<Options> variants() { return {{.gain = halving}, {.gain = halving, .every = 2}}; }
};

struct Lawa {
  template <class Shadow>
  using type = polyak::Lawa<Shadow>;
  using Options = LawaOptions;
  static constexpr const char* name = "Lawa";
  static constexpr auto options = with_cadence<Options>(count<&Options::window>("window"));
  static std::vector<Options> variants() {
    return {{.window = 2}, {.window = 3, .start = 2}, {.window = 20, .every = 2}};
  }
};

struct RateWeightedAverage {
  template <class Shadow>
  using type = polyak::RateWeightedAverage<Shadow>;
  using Options = RateWeightedAverageOptions;
  static constexpr const char* name = "RateWeightedAverage";
  static constexpr auto options = with_cadence<Options>(number<&Options::rate_power>("rate_power", nonnegative),
                                                        number<&Options::step_power>("step_power", nonnegative));
  static std::vector<Options> variants() { return {{}, {.rate_power = 1, .step_power = 2, .start = 2, .every = 2}}; }
};

inline constexpr std::tuple<Ema, TailAverage, Swa, PolynomialAverage, PowerEma, AnytimeTailAverage, GainAverage, Lawa,
                            RateWeightedAverage>
    averagers;

/// Calls check(name, averager) with every variant of every averager with this shadow.
template <class Shadow, class Check>
void for_each_averager(const Check& check) {
  for_each(averagers, [&](auto row) {
    for (const auto& options : row.variants()) check(row.name, typename decltype(row)::template type<Shadow>(options));
  });
}

}  // namespace polyak::parts
