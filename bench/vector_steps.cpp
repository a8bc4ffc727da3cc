#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>

#include "benchmarks.hpp"
#include "packets.hpp"
#include "steps.hpp"

// One optimizer step on n weights whose gradient is at hand: by polyak, by Eigen's packets, which is the limit, and by
// the Eigen statements that one would write. The time an iteration is that of a step.

namespace {

using namespace steps;
using namespace polyak;

/// Of momenta and first moments. What is left of them halves quickly, so that the dead are soon dead.
constexpr double beta = 0.6;
constexpr double beta2 = 0.999;
constexpr double weight_decay = 0.01;
constexpr std::array decays{0.9, 0.99, 0.999, 0.9999};

// By polyak.

template <class Scalar>
Sgd<Scalar> sgd() {
  return Sgd<Scalar>{{.learning_rate = rate}};
}
template <class Scalar>
Sgd<Scalar> momentum() {
  return Sgd<Scalar>{{.learning_rate = rate, .momentum = beta}};
}
template <class Scalar>
AdamW<Scalar> adamw() {
  return AdamW<Scalar>{{.learning_rate = rate, .beta1 = beta, .beta2 = beta2, .weight_decay = weight_decay}};
}
template <class Scalar>
auto four_emas() {
  const auto ema = [](std::size_t i) { return Ema<Scalar>{{.decay = decays[i]}}; };
  return Averaged{sgd<Scalar>(), ema(0), ema(1), ema(2), ema(3)};
}

/// The same four by a step and four updates, each of which passes over the weights again.
template <class Scalar>
void four_separate_emas(benchmark::State& state) {
  Problem<Scalar> problem(state.range(0));
  auto optimizer = sgd<Scalar>();
  std::tuple emas{Ema<Scalar>{{.decay = 0.9}}, Ema<Scalar>{{.decay = 0.99}}, Ema<Scalar>{{.decay = 0.999}},
                  Ema<Scalar>{{.decay = 0.9999}}};
  escape(problem);
  escape(optimizer);
  escape(emas);
  time_steps(state, 1, [&] {
    optimizer.step(problem.weights, problem.gradient);
    std::apply([&](auto&... each) { (each.update(problem.weights), ...); }, emas);
  });
}

/// An update alone, after a step that is not timed because it does not happen.
template <class Scalar, class Averager>
void time_update(benchmark::State& state, Averager averager) {
  Problem<Scalar> problem(state.range(0));
  escape(problem);
  escape(averager);
  time_steps(state, 1, [&] { averager.update(problem.weights); });
}

/// One coordinate in ten has had a gradient of 0 for so long that its momentum, its moments and, its weight being 0,
/// its average have decayed until nothing is left but the subnormal numbers that round to themselves.
template <class Scalar, class Optimizer>
void time_dead(benchmark::State& state, Optimizer optimizer) {
  using Limits = std::numeric_limits<Scalar>;
  Problem<Scalar> problem(state.range(0));
  const auto set_dead = [](auto& x, Scalar value) {
    for (Eigen::Index i = 0; i < x.size(); i += 10) x[i] = value;
  };
  const auto take = [&](int steps) {
    for (int i = 0; i < steps; ++i) optimizer.step(problem.weights, problem.gradient);
  };
  set_dead(problem.gradient, std::sqrt(Limits::min()));  // a second moment is subnormal at once, the first by and by
  take(1);
  set_dead(problem.gradient, 0);
  take(64 - Limits::min_exponent);
  optimizer.averager().reset();
  set_dead(problem.weights, Limits::min());  // is taken over by the average
  take(1);
  set_dead(problem.weights, 0);
  take(64);
  escape(problem);
  escape(optimizer);
  time_steps(state, 1, [&] { take(1); });
}

// By hand. A step is a function of the weights, their gradient and its factors, and returns its last average.

struct Factors {
  explicit Factors(double t) {
    const auto correction = [t](double decay) { return -std::expm1(t * std::log(decay)); };  // 1 − β^t
    const double root = std::sqrt(correction(beta2));  // η / (√v/ρ + ε) is ηρ / (√v + ρε)
    descent = rate * root / correction(beta);
    epsilon = 1e-8 * root;
    for (std::size_t i = 0; i < decays.size(); ++i) gains[i] = (1 - decays[i]) / correction(decays[i]);
  }
  double gain() const { return gains[2]; }
  double descent, epsilon;
  std::array<double, decays.size()> gains;
};

template <class Scalar>
packets::Sgd<Scalar> sgd_of(Problem<Scalar>& x) {
  return {x.weights.data(), x.gradient.data(), Scalar(rate)};
}

template <class Scalar>
auto two_statements(Eigen::Index n) {
  return [shadow = PlacedVector<Scalar>(n, 0)](Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    x.weights -= Scalar(rate) * x.gradient;
    shadow.get() += Scalar(factors.gain()) * (x.weights - shadow.get());
    return shadow.get();
  };
}

template <class Scalar>
auto four_statements(Eigen::Index n) {
  return [m = PlacedVector<Scalar>(n, 0), v = PlacedVector<Scalar>(n, 1), s = PlacedVector<Scalar>(n, 3)](
             Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    m.get() = Scalar(beta) * m.get() + Scalar(1 - beta) * x.gradient;
    v.get() = Scalar(beta2) * v.get() + Scalar(1 - beta2) * x.gradient.cwiseAbs2();
    x.weights =
        Scalar(1 - rate * weight_decay) * x.weights -
        (Scalar(factors.descent) * m.get().array() / (v.get().array().sqrt() + Scalar(factors.epsilon))).matrix();
    s.get() += Scalar(factors.gain()) * (x.weights - s.get());
    return s.get();
  };
}

template <class Scalar>
auto ema_by_packets(Eigen::Index n) {
  return [s = PlacedVector<Scalar>(n, 0)](Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    packets::step(x.weights.size(), sgd_of(x), packets::Ema<Scalar>{s.data(), Scalar(factors.gain())});
    return s.get();
  };
}

template <class Scalar>
auto wide_ema_by_packets(Eigen::Index n) {
  return [s = PlacedVector<double>(n, 0)](Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    packets::step(x.weights.size(), sgd_of(x),
                  packets::WideEma<Scalar, double>{x.weights.data(), s.data(), factors.gain()});
    return s.get();
  };
}

template <class Scalar>
auto compensated_ema_by_packets(Eigen::Index n) {
  return [s = PlacedVector<Scalar>(n, 0), r = PlacedVector<std::int16_t>(n, 1)](
             Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    packets::step(x.weights.size(), sgd_of(x),
                  packets::CompensatedEma<Scalar>{s.data(), r.data(), Scalar(factors.gain())});
    return s.get();
  };
}

template <class Scalar>
auto four_emas_by_packets(Eigen::Index n) {
  return [s = std::array{PlacedVector<Scalar>(n, 0), PlacedVector<Scalar>(n, 1), PlacedVector<Scalar>(n, 3),
                         PlacedVector<Scalar>(n, 5)}](Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    const auto ema = [&](std::size_t i) { return packets::Ema<Scalar>{s[i].data(), Scalar(factors.gains[i])}; };
    packets::step(x.weights.size(), sgd_of(x), ema(0), ema(1), ema(2), ema(3));
    return s[3].get();
  };
}

template <class Scalar>
auto momentum_by_packets(Eigen::Index n) {
  return [v = PlacedVector<Scalar>(n, 0), s = PlacedVector<Scalar>(n, 1)](Problem<Scalar>& x,
                                                                          const Factors& factors) mutable -> auto& {
    packets::step(x.weights.size(),
                  packets::Momentum<Scalar>{.weights = x.weights.data(),
                                            .gradient = x.gradient.data(),
                                            .velocity = v.data(),
                                            .rate = Scalar(rate),
                                            .momentum = Scalar(beta)},
                  packets::Ema<Scalar>{s.data(), Scalar(factors.gain())});
    return s.get();
  };
}

template <class Scalar>
auto adamw_by_packets(Eigen::Index n) {
  return [m = PlacedVector<Scalar>(n, 0), v = PlacedVector<Scalar>(n, 1), s = PlacedVector<Scalar>(n, 3)](
             Problem<Scalar>& x, const Factors& factors) mutable -> auto& {
    packets::step(x.weights.size(),
                  packets::AdamW<Scalar>{.weights = x.weights.data(),
                                         .gradient = x.gradient.data(),
                                         .moment = m.data(),
                                         .square = v.data(),
                                         .rate = Scalar(factors.descent),
                                         .keep = Scalar(1 - rate * weight_decay),
                                         .beta1 = Scalar(beta),
                                         .beta2 = Scalar(beta2),
                                         .intake1 = Scalar(1 - beta),
                                         .intake2 = Scalar(1 - beta2),
                                         .epsilon = Scalar(factors.epsilon)},
                  packets::Ema<Scalar>{s.data(), Scalar(factors.gain())});
    return s.get();
  };
}

/// By how many epsilons the weights, of order one, and the last average differ after some steps.
template <class Scalar, class By, class Optimizer, class... Averagers>
double difference(By step, Averaged<Optimizer, Averagers...> optimizer) {
  Problem<Scalar> by_hand(192), by_polyak(192);
  by_hand.gradient.setLinSpaced(-1, 1);
  by_polyak.gradient = by_hand.gradient;
  double largest = 0;
  for (int t = 1; t <= 50; ++t) {
    const auto average = step(by_hand, Factors(t)).template cast<double>();
    optimizer.step(by_polyak.weights, by_polyak.gradient);
    const auto& expected = optimizer.template average<sizeof...(Averagers) - 1>();
    largest = std::max({largest, (average - expected.template cast<double>()).cwiseAbs().maxCoeff(),
                        double{(by_hand.weights - by_polyak.weights).cwiseAbs().maxCoeff()}});
  }
  return largest / std::numeric_limits<Scalar>::epsilon();
}

/// Times steps by hand, and fails where they are not those of the optimizer.
template <class Scalar, class MakeStep, class Optimizer>
void time_by_hand(benchmark::State& state, MakeStep make_step, Optimizer optimizer) {
  if (const double epsilons = difference<Scalar>(make_step(192), optimizer); !(epsilons < 100)) {
    return state.SkipWithError(("is " + std::to_string(epsilons) + " epsilons from polyak").c_str());
  }
  Problem<Scalar> problem(state.range(0));
  auto step = make_step(state.range(0));
  Factors factors(1e6);
  escape(problem);
  escape(step);
  escape(factors);
  time_steps(state, 1, [&] { step(problem, factors); });
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, auto function) {
    return benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function)
        ->RangeMultiplier(4)
        ->Range(1 << 6, 1 << 22);
  };
  const auto by_polyak = [&](const std::string& family, auto optimizer, benchmark::IterationCount period = 1) {
    add(family, [=](benchmark::State& state) { time_optimizer<Scalar>(state, optimizer, period); });
  };
  const auto by_hand = [&](const std::string& family, auto make_step, auto optimizer) {
    add(family, [=](benchmark::State& state) { time_by_hand<Scalar>(state, make_step, optimizer); });
  };
  const auto with_limit = [&](const std::string& family, auto optimizer, auto make_step) {
    by_polyak(family, optimizer);
    by_hand("packets_" + family, make_step, optimizer);
  };
  const auto dead = [&](const std::string& family, auto optimizer) {
    add(family + "_dead", [=](benchmark::State& state) { time_dead<Scalar>(state, optimizer); });
  };
  const Averaged ema{sgd<Scalar>(), Ema{}};
  const Averaged ema_same_width{sgd<Scalar>(), Ema<Scalar>{}};
  const Averaged momentum_ema{momentum<Scalar>(), Ema<Scalar>{}};
  const Averaged adamw_ema{adamw<Scalar>(), Ema<Scalar>{}};

  by_polyak("bare", sgd<Scalar>());
  by_polyak("adamw", adamw<Scalar>());
  with_limit("ema", ema, wide_ema_by_packets<Scalar>);
  with_limit("ema_same_width", ema_same_width, ema_by_packets<Scalar>);
  with_limit("ema_compensated", Averaged{sgd<Scalar>(), Ema<Compensated<Scalar>>{}},
             compensated_ema_by_packets<Scalar>);
  with_limit("four_emas", four_emas<Scalar>(), four_emas_by_packets<Scalar>);
  with_limit("momentum_ema_same_width", momentum_ema, momentum_by_packets<Scalar>);
  with_limit("adamw_ema_same_width", adamw_ema, adamw_by_packets<Scalar>);
  by_hand("two_eigen", two_statements<Scalar>, ema_same_width);
  by_hand("adamw_four_eigen", four_statements<Scalar>, adamw_ema);
  dead("ema_same_width", ema_same_width);
  dead("momentum_ema_same_width", momentum_ema);
  dead("adamw_ema_same_width", adamw_ema);
  by_polyak("tail_average", Averaged{sgd<Scalar>(), TailAverage{}});
  // Started at once, so that the warm-up takes the first snapshot; then every hundred steps hold one.
  by_polyak("swa_100", Averaged{sgd<Scalar>(), Swa{{.start = 1, .period = 100}}}, 100);
  by_polyak("swa_100_same_width", Averaged{sgd<Scalar>(), Swa<Scalar>{{.start = 1, .period = 100}}}, 100);
  by_polyak("two_emas", Averaged{sgd<Scalar>(), Ema<Scalar>{{.decay = 0.9}}, Ema<Scalar>{{.decay = 0.99}}});
  add("four_separate_emas", four_separate_emas<Scalar>);
  // Guarded against NaN and infinity, all being finite.
  by_polyak("guarded_ema", Averaged{sgd<Scalar>(), Guarded{Ema{}}});
  by_polyak("guarded_ema_same_width", Averaged{sgd<Scalar>(), Guarded{Ema<Scalar>{}}});
  by_polyak("adamw_guarded_ema_same_width", Averaged{adamw<Scalar>(), Guarded{Ema<Scalar>{}}});
  add("ema_update", [](benchmark::State& state) { time_update<Scalar>(state, Ema{}); });
  add("guarded_ema_update", [](benchmark::State& state) { time_update<Scalar>(state, Guarded{Ema{}}); });
}

}  // namespace

void register_vector_steps() {
  register_families<float>("float");
  register_families<double>("double");
}
