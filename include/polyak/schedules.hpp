#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>
#include <string_view>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"

/// Functions of the step. Each is asked with t, the number of steps already taken, so the first step asks for t = 0;
/// each is O(1), holds its options by value and throws std::invalid_argument when they are out of range. Any copyable
/// callable of t serves as well. Long because there are many: each is its options and one formula.

namespace polyak {

/// A number or a schedule: what learning rates, weight decays and momenta are given as. A schedule is asked in each
/// step, with the number of steps already taken; what it gives is checked before anything is written.
class Hyperparameter : public detail::NumberOrFunction<std::uint64_t> {
 public:
  /// The same in every step.
  template <detail::Number T>
  Hyperparameter(T number) : NumberOrFunction(static_cast<double>(number)) {}

  /// Throws std::invalid_argument on a std::function that holds none.
  template <class F>
    requires(!std::same_as<F, Hyperparameter> && Schedule<F>)
  Hyperparameter(F schedule)
      : NumberOrFunction(std::move(schedule), [](const Function& f) {
          if constexpr (detail::Described<F>) return detail::describe(*f.template target<F>());
          return detail::describe(f);  // also where F is a std::function, and so not the target of another
        }) {
    if (is_number()) detail::throw_bad_argument("polyak::Hyperparameter", "a schedule must be callable, got none");
  }

  [[nodiscard]] double operator()(std::uint64_t t) const { return is_number() ? number_ : function_(t); }
};

struct ConstantOptions {
  double value;  ///< η in [0, ∞)

  void for_each_option(const auto& visit) const { visit("value", value, detail::nonnegative); }
};

/// η_t = η.
struct Constant : detail::FromOptions<Constant, ConstantOptions> {
  static constexpr std::string_view name = "polyak::Constant";

  /// Throws std::invalid_argument on a value out of its range.
  explicit Constant(double value) : FromOptions(ConstantOptions{value}) {}
  [[nodiscard]] double operator()(std::uint64_t) const noexcept { return options_.value; }
};

struct InverseTimeOptions {
  double initial = 0.01;  ///< η₀ in [0, ∞)
  double timescale = 1;   ///< τ > 0, in steps
  double power = 1;       ///< α ≥ 0; averaging is at its best for α in (1/2, 1) (Polyak & Juditsky 1992)

  void for_each_option(const auto& visit) const {
    visit("initial", initial, detail::nonnegative);
    visit("timescale", timescale, detail::positive);
    visit("power", power, detail::nonnegative);
  }
};

/// η_t = η₀ (1 + t/τ)^−α (Robbins & Monro 1951).
struct InverseTime : detail::FromOptions<InverseTime, InverseTimeOptions> {
  static constexpr std::string_view name = "polyak::InverseTime";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    return options_.initial * std::pow(1 + static_cast<double>(t) / options_.timescale, -options_.power);
  }
};

struct BottouDecayOptions {
  double initial = 0.01;  ///< η₀ in [0, ∞)
  double lambda = 1e-4;   ///< λ in [0, ∞): the strength of the L2 penalty

  void for_each_option(const auto& visit) const {
    visit("initial", initial, detail::nonnegative);
    visit("lambda", lambda, detail::nonnegative);
  }
};

/// η_t = η₀ / (1 + λ η₀ t) (Bottou 2012, "Stochastic Gradient Descent Tricks").
struct BottouDecay : detail::FromOptions<BottouDecay, BottouDecayOptions> {
  static constexpr std::string_view name = "polyak::BottouDecay";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    return options_.initial / (1 + options_.lambda * options_.initial * static_cast<double>(t));
  }
};

struct StepDecayOptions {
  double initial = 0.01;     ///< η₀ in [0, ∞)
  double factor = 0.1;       ///< in [0, ∞)
  std::uint64_t period = 0;  ///< ≥ 1, in steps; must be given

  void for_each_option(const auto& visit) const {
    visit("initial", initial, detail::nonnegative);
    visit("factor", factor, detail::nonnegative);
    visit("period", period, detail::at_least_1);
  }
};

/// η_t = η₀ factor^⌊t/period⌋.
struct StepDecay : detail::FromOptions<StepDecay, StepDecayOptions> {
  static constexpr std::string_view name = "polyak::StepDecay";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    const std::uint64_t drops = t / options_.period;
    return options_.initial * std::pow(options_.factor, static_cast<double>(drops));
  }
};

struct CosineOptions {
  double initial = 0.01;    ///< η₀ in [0, ∞)
  double final = 0;         ///< in [0, ∞), kept once `steps` are over
  std::uint64_t steps = 0;  ///< T ≥ 1; must be given

  void for_each_option(const auto& visit) const {
    visit("initial", initial, detail::nonnegative);
    visit("final", final, detail::nonnegative);
    visit("steps", steps, detail::at_least_1);
  }
};

/// η_t = final + (η₀ − final) (1 + cos(π t/T)) / 2 for t < T, then final (Loshchilov & Hutter 2017, one period).
struct Cosine : detail::FromOptions<Cosine, CosineOptions> {
  static constexpr std::string_view name = "polyak::Cosine";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    if (t >= options_.steps) return options_.final;
    const double phase = static_cast<double>(t) / static_cast<double>(options_.steps);
    return options_.final + (options_.initial - options_.final) * (1 + std::cos(std::numbers::pi * phase)) / 2;
  }
};

struct LinearWarmupOptions {
  double start_factor = 1.0 / 3;  ///< in [0, 1]: the first step's share of the full rate
  std::uint64_t steps = 0;        ///< W: the length of the warm-up
  Hyperparameter then = 0.01;     ///< what follows; its own t = 0 is the end of the warm-up

  void for_each_option(const auto& visit) const {
    visit("start_factor", start_factor, detail::from_0_to_1);
    visit("steps", steps);
    visit("then", then, detail::nonnegative);
  }
};

/// η_t = then(0) (f + (1 − f) t/W) for t < W, with f the start factor; afterwards then(t − W) (Goyal et al. 2017).
struct LinearWarmup : detail::FromOptions<LinearWarmup, LinearWarmupOptions> {
  static constexpr std::string_view name = "polyak::LinearWarmup";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const {
    if (t >= options_.steps) return options_.then(t - options_.steps);
    const double progress = static_cast<double>(t) / static_cast<double>(options_.steps);
    return options_.then(0) * (options_.start_factor + (1 - options_.start_factor) * progress);
  }
};

struct TriangularOptions {
  double min = 0.001;             ///< in [0, ∞)
  double max = 0.01;              ///< in [min, ∞)
  std::uint64_t half_period = 0;  ///< ≥ 1, must be given: steps from min up to max, and as many back

  void for_each_option(const auto& visit) const {
    visit("min", min, detail::nonnegative);
    visit("max", max, detail::Range{"must be finite and >= min", min});
    visit("half_period", half_period, detail::at_least_1);
  }
};

/// Rises linearly from min to max in half a period and falls back in the other (Smith 2017).
struct Triangular : detail::FromOptions<Triangular, TriangularOptions> {
  static constexpr std::string_view name = "polyak::Triangular";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    const std::uint64_t half = options_.half_period;
    const std::uint64_t within = t % half;
    const bool rising = (t / half) % 2 == 0;
    const double height = static_cast<double>(rising ? within : half - within) / static_cast<double>(half);
    return options_.min + (options_.max - options_.min) * height;
  }
};

struct LinearCycleOptions {
  double max = 0.01;         ///< in [min, ∞)
  double min = 0.001;        ///< in [0, ∞)
  std::uint64_t period = 0;  ///< c ≥ 1, in steps; must be given

  void for_each_option(const auto& visit) const {
    visit("min", min, detail::nonnegative);
    visit("max", max, detail::Range{"must be finite and >= min", min});
    visit("period", period, detail::at_least_1);
  }
};

/// η_t = (1 − f) max + f min with f = ((t mod c) + 1)/c: falls within each cycle and is at min in the cycle's last
/// step, after which Swa{{.start = c, .period = c}} takes its snapshot (Izmailov et al. 2018).
struct LinearCycle : detail::FromOptions<LinearCycle, LinearCycleOptions> {
  static constexpr std::string_view name = "polyak::LinearCycle";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    const double f = static_cast<double>(t % options_.period + 1) / static_cast<double>(options_.period);
    return (1 - f) * options_.max + f * options_.min;
  }
};

/// How the rate goes from the one value to the other.
enum class AnnealShape { cosine, linear };

struct SwaAnnealOptions {
  Hyperparameter before = 0.01;             ///< the rate up to `start`
  std::uint64_t start = 0;                  ///< the step at which annealing begins
  std::uint64_t anneal_steps = 0;           ///< A: 0 jumps to the target
  double target = 0.05;                     ///< η_swa in [0, ∞), kept once annealing is over
  AnnealShape shape = AnnealShape::cosine;  ///< of the way to the target

  void for_each_option(const auto& visit) const {
    visit("before", before, detail::nonnegative);
    visit("start", start);
    visit("anneal_steps", anneal_steps);
    visit("target", target, detail::nonnegative);
    visit("shape", std::string_view(shape == AnnealShape::linear ? "linear" : "cosine"));
  }
};

/// before(t) for t < start; then from before(start) to the target along α = x or (1 − cos πx)/2, x = (t − start)/A, as
/// η_t = (1 − α) before(start) + α target; then the target for good (Izmailov et al. 2018).
struct SwaAnneal : detail::FromOptions<SwaAnneal, SwaAnnealOptions> {
  static constexpr std::string_view name = "polyak::SwaAnneal";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const {
    if (t < options_.start) return options_.before(t);
    const std::uint64_t since = t - options_.start;
    if (since >= options_.anneal_steps) return options_.target;
    const double x = static_cast<double>(since) / static_cast<double>(options_.anneal_steps);
    const double alpha = options_.shape == AnnealShape::linear ? x : (1 - std::cos(std::numbers::pi * x)) / 2;
    return (1 - alpha) * options_.before(options_.start) + alpha * options_.target;
  }
};

}  // namespace polyak
