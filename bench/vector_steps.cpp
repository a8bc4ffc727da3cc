#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <string>
#include <tuple>

#include "benchmarks.hpp"
#include "steps.hpp"

// One optimizer step on n weights whose gradient is at hand, by polyak and by what one would write by hand. The time an
// iteration is that of a step.

namespace {

using namespace steps;
using polyak::Averaged;
using polyak::Compensated;
using polyak::Ema;
using polyak::Sgd;
using polyak::Swa;
using polyak::TailAverage;

template <class Scalar>
Sgd<Scalar> sgd() {
  return Sgd<Scalar>{{.learning_rate = rate}};
}
template <class Scalar>
Sgd<Scalar> momentum_sgd() {
  return Sgd<Scalar>{{.learning_rate = rate, .momentum = 0.9}};
}

// Without averaging.

template <class Scalar>
void bare(benchmark::State& state) {
  time_optimizer<Scalar>(state, sgd<Scalar>());
}

template <class Scalar>
void momentum(benchmark::State& state) {
  time_optimizer<Scalar>(state, momentum_sgd<Scalar>());
}

// SGD and an EMA by hand.

/// The limit: the arithmetic alone, its coefficients given, in Eigen's packets, as wide as the processor's.
template <class Scalar>
[[gnu::noinline]] void fused_loop(Scalar* weights, const Scalar* gradient, Scalar* shadow, Eigen::Index n, Scalar eta,
                                  Scalar a) {
  using namespace Eigen::internal;
  using Packet = typename packet_traits<Scalar>::type;
  constexpr Eigen::Index width = packet_traits<Scalar>::size;
  const Packet rates = pset1<Packet>(-eta), gains = pset1<Packet>(a);
  Eigen::Index i = 0;
  for (; i + width <= n; i += width) {
    const Packet w = pmadd(rates, ploadu<Packet>(gradient + i), ploadu<Packet>(weights + i));
    const Packet s = ploadu<Packet>(shadow + i);
    pstoreu(weights + i, w);
    pstoreu(shadow + i, pmadd(gains, psub(w, s), s));
  }
  for (; i < n; ++i) {
    weights[i] -= eta * gradient[i];
    shadow[i] += a * (weights[i] - shadow[i]);
  }
}

template <class Vector, class Scalar>
[[gnu::noinline]] void two_statements(Vector& weights, const Vector& gradient, Eigen::VectorX<Scalar>& shadow,
                                      Scalar eta, Scalar a) {
  weights -= eta * gradient;
  shadow += a * (weights - shadow);
}

template <class Scalar>
void hand_fused(benchmark::State& state) {
  Problem<Scalar> problem(state.range(0));
  Eigen::VectorX<Scalar> shadow = problem.weights;
  escape(problem);
  escape(shadow);
  time_steps(state, 1, [&] {
    fused_loop(problem.weights.data(), problem.gradient.data(), shadow.data(), shadow.size(), Scalar(rate),
               Scalar(gain));
  });
}

template <class Scalar>
void two_eigen(benchmark::State& state) {
  Problem<Scalar> problem(state.range(0));
  Eigen::VectorX<Scalar> shadow = problem.weights;
  escape(problem);
  escape(shadow);
  time_steps(state, 1, [&] { two_statements(problem.weights, problem.gradient, shadow, Scalar(rate), Scalar(gain)); });
}

// Shadows of the scalar of the weights.

template <class Scalar>
void ema_same_width(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Ema<Scalar>{}});
}

/// Two bytes more for each weight.
template <class Scalar>
void ema_compensated(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Ema<Compensated<Scalar>>{}});
}

template <class Scalar>
void swa_100_same_width(benchmark::State& state) {
  // Started at once, so that the warm-up takes the first snapshot; then every hundred steps hold one.
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Swa<Scalar>{{.start = 1, .period = 100}}}, 100);
}

template <class Scalar>
void two_emas(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Ema<Scalar>{{.decay = 0.9}}, Ema<Scalar>{{.decay = 0.99}}});
}

template <class Scalar>
void four_emas(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Ema<Scalar>{{.decay = 0.9}}, Ema<Scalar>{{.decay = 0.99}},
                                         Ema<Scalar>{{.decay = 0.999}}, Ema<Scalar>{{.decay = 0.9999}}});
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

// Shadows of double, which is the default.

template <class Scalar>
void ema(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Ema{}});
}

template <class Scalar>
void tail_average(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), TailAverage{}});
}

template <class Scalar>
void swa_100(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{sgd<Scalar>(), Swa{{.start = 1, .period = 100}}}, 100);
}

template <class Scalar>
void momentum_ema(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{momentum_sgd<Scalar>(), Ema{}});
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&)) {
    benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function)
        ->RangeMultiplier(4)
        ->Range(1 << 6, 1 << 24);
  };
  add("bare", bare<Scalar>);
  add("momentum", momentum<Scalar>);
  add("hand_fused", hand_fused<Scalar>);
  add("two_eigen", two_eigen<Scalar>);
  add("ema_same_width", ema_same_width<Scalar>);
  add("ema_compensated", ema_compensated<Scalar>);
  add("swa_100_same_width", swa_100_same_width<Scalar>);
  add("two_emas", two_emas<Scalar>);
  add("four_emas", four_emas<Scalar>);
  add("four_separate_emas", four_separate_emas<Scalar>);
  add("ema", ema<Scalar>);
  add("tail_average", tail_average<Scalar>);
  add("swa_100", swa_100<Scalar>);
  add("momentum_ema", momentum_ema<Scalar>);
}

}  // namespace

void register_vector_steps() {
  register_families<float>("float");
  register_families<double>("double");
}
