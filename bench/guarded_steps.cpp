#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <cstdint>
#include <string>

#include "benchmarks.hpp"
#include "steps.hpp"

// A step whose average is guarded against NaN and infinity, all being finite; ema, ema_same_width and
// adamw_ema_same_width are the same without the guard.

namespace {

using namespace steps;
using polyak::AdamW;
using polyak::Averaged;
using polyak::Ema;
using polyak::Guarded;
using polyak::Sgd;

template <class Scalar>
void guarded_ema(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{Sgd<Scalar>{{.learning_rate = rate}}, Guarded{Ema{}}});
}

template <class Scalar>
void guarded_ema_same_width(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{Sgd<Scalar>{{.learning_rate = rate}}, Guarded{Ema<Scalar>{}}});
}

template <class Scalar>
void adamw_guarded_ema_same_width(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{AdamW<Scalar>{{.learning_rate = rate}}, Guarded{Ema<Scalar>{}}});
}

/// An update alone, after a step that is not timed because it does not happen.
template <class Scalar, class Averager>
void time_update(benchmark::State& state, Averager averager) {
  Problem<Scalar> problem(state.range(0));
  escape(problem);
  escape(averager);
  time_steps(state, 1, [&] { averager.update(problem.weights); });
}

template <class Scalar>
void ema_update(benchmark::State& state) {
  time_update<Scalar>(state, Ema{});
}

template <class Scalar>
void guarded_ema_update(benchmark::State& state) {
  time_update<Scalar>(state, Guarded{Ema{}});
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&)) {
    auto* benchmark = benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function);
    for (const int exponent : {6, 10, 14, 18, 20, 22, 24}) benchmark->Arg(std::int64_t{1} << exponent);
  };
  add("guarded_ema", guarded_ema<Scalar>);
  add("guarded_ema_same_width", guarded_ema_same_width<Scalar>);
  add("adamw_guarded_ema_same_width", adamw_guarded_ema_same_width<Scalar>);
  add("ema_update", ema_update<Scalar>);
  add("guarded_ema_update", guarded_ema_update<Scalar>);
}

}  // namespace

void register_guarded_steps() {
  register_families<float>("float");
  register_families<double>("double");
}
