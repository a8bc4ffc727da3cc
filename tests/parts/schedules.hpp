#pragma once

#include <polyak/averagers/decays.hpp>
#include <polyak/schedules.hpp>

#include <vector>

#include "parts/options.hpp"

namespace polyak::parts {

struct Constant {
  using type = polyak::Constant;
  struct Options {
    double value = 0.1;
  };
  static constexpr const char* name = "Constant";
  static type make(const Options& o) { return type(o.value); }
  static constexpr std::array options{number<&Options::value>("value", nonnegative)};
  static std::vector<Options> variants() { return {{.value = 0.5}}; }
};

struct InverseTime {
  using type = polyak::InverseTime;
  using Options = InverseTimeOptions;
  static constexpr const char* name = "InverseTime";
  static constexpr std::array options{number<&Options::initial>("initial", nonnegative),
                                      number<&Options::timescale>("timescale", positive),
                                      number<&Options::power>("power", nonnegative)};
  static std::vector<Options> variants() { return {{.initial = 0.1}}; }
};

struct BottouDecay {
  using type = polyak::BottouDecay;
  using Options = BottouDecayOptions;
  static constexpr const char* name = "BottouDecay";
  static constexpr std::array options{number<&Options::initial>("initial", nonnegative),
                                      number<&Options::lambda>("lambda", nonnegative)};
  static std::vector<Options> variants() { return {{.initial = 0.1, .lambda = 0.5}}; }
};

struct StepDecay {
  using type = polyak::StepDecay;
  using Options = StepDecayOptions;
  static constexpr const char* name = "StepDecay";
  static Options base() { return {.period = 3}; }
  static constexpr std::array options{number<&Options::initial>("initial", nonnegative),
                                      number<&Options::factor>("factor", nonnegative),
                                      count<&Options::period>("period")};
  static std::vector<Options> variants() { return {{.initial = 0.1, .period = 4}}; }
};

struct Cosine {
  using type = polyak::Cosine;
  using Options = CosineOptions;
  static constexpr const char* name = "Cosine";
  static Options base() { return {.steps = 3}; }
  static constexpr std::array options{number<&Options::initial>("initial", nonnegative),
                                      number<&Options::final>("final", nonnegative), count<&Options::steps>("steps")};
  static std::vector<Options> variants() { return {{.initial = 0.1, .final = 0.01, .steps = 9}}; }
};

struct LinearWarmup {
  using type = polyak::LinearWarmup;
  using Options = LinearWarmupOptions;
  static constexpr const char* name = "LinearWarmup";
  static constexpr std::array options{number<&Options::start_factor>("start_factor", share),
                                      count<&Options::steps>("steps", any),
                                      number<&Options::then>("then", nonnegative)};
  static std::vector<Options> variants() { return {{.steps = 5, .then = Cosine::type(Cosine::variants()[0])}}; }
};

struct Triangular {
  using type = polyak::Triangular;
  using Options = TriangularOptions;
  static constexpr const char* name = "Triangular";
  static Options base() { return {.max = 1e300, .half_period = 3}; }
  static constexpr Range above_min{"must be finite and >= min", {0.001, 1}, {0, 0.0009, -1}};
  static constexpr std::array options{number<&Options::min>("min", nonnegative),
                                      number<&Options::max>("max", above_min),
                                      count<&Options::half_period>("half_period")};
  static std::vector<Options> variants() { return {{.half_period = 4}}; }
};

struct LinearCycle {
  using type = polyak::LinearCycle;
  using Options = LinearCycleOptions;
  static constexpr const char* name = "LinearCycle";
  static Options base() { return {.max = 1e300, .period = 3}; }
  static constexpr Range above_min{"must be finite and >= min", {0.001, 1}, {0, 0.0009, -1}};
  static constexpr std::array options{number<&Options::max>("max", above_min),
                                      number<&Options::min>("min", nonnegative), count<&Options::period>("period")};
  static std::vector<Options> variants() { return {{.period = 5}}; }
};

struct SwaAnneal {
  using type = polyak::SwaAnneal;
  using Options = SwaAnnealOptions;
  static constexpr const char* name = "SwaAnneal";
  static constexpr std::array options{
      number<&Options::before>("before", nonnegative), count<&Options::start>("start", any),
      count<&Options::anneal_steps>("anneal_steps", any), number<&Options::target>("target", nonnegative),
      choice<&Options::shape, AnnealShape::linear, AnnealShape::cosine>("shape", "linear", "cosine")};
  static std::vector<Options> variants() {
    return {{.before = Cosine::type(Cosine::variants()[0]), .start = 3, .anneal_steps = 5},
            {.before = 0.1, .start = 3, .anneal_steps = 5, .shape = AnnealShape::linear}};
  }
};

struct DecayWarmup {
  using type = polyak::DecayWarmup;
  using Options = DecayWarmupOptions;
  static constexpr const char* name = "DecayWarmup";
  static constexpr std::array options{number<&Options::limit>("limit", below_1)};
  static std::vector<Options> variants() { return {{.limit = 0.5}}; }
};

struct InverseGammaDecay {
  using type = polyak::InverseGammaDecay;
  using Options = InverseGammaDecayOptions;
  static constexpr const char* name = "InverseGammaDecay";
  static Options base() { return {.max = 0.5}; }
  static constexpr Range below_max{"must be in [0, max]", {0, 0.25, 0.5}, {-0.5, 0.75}};
  static constexpr std::array options{number<&Options::gamma>("gamma", positive),
                                      number<&Options::power>("power", positive),
                                      number<&Options::min>("min", below_max), number<&Options::max>("max", below_1)};
  static std::vector<Options> variants() { return {{.min = 0.1}}; }
};

struct HalfLife {
  using type = polyak::HalfLife;
  using Options = HalfLifeOptions;
  static constexpr const char* name = "HalfLife";
  static constexpr std::array options{number<&Options::steps>("steps", positive)};
  static std::vector<Options> variants() { return {{.steps = 3}}; }
};

inline constexpr std::tuple<Constant, InverseTime, BottouDecay, StepDecay, Cosine, LinearWarmup, Triangular,
                            LinearCycle, SwaAnneal>
    schedules;
inline constexpr std::tuple<DecayWarmup, InverseGammaDecay, HalfLife> decays;

/// The schedule or decay of a row.
template <class Row>
typename Row::type made(const typename Row::Options& options) {
  if constexpr (requires { Row::make(options); }) {
    return Row::make(options);
  } else {
    return typename Row::type(options);
  }
}

/// Calls check(name, schedule) with every variant of every schedule, or decay, of the list.
template <class List, class Check>
void for_each_schedule(const List& list, const Check& check) {
  for_each(list, [&](auto row) {
    for (const auto& options : row.variants()) check(row.name, made<decltype(row)>(options));
  });
}

}  // namespace polyak::parts
