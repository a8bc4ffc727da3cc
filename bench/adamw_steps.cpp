#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <cmath>
#include <cstddef>
#include <string>

#include "benchmarks.hpp"
#include "fused_adamw.hpp"
#include "steps.hpp"

// AdamW with an EMA, both in the scalar of the weights, by polyak and by hand.

namespace {

using namespace steps;
using polyak::AdamW;
using polyak::Averaged;
using polyak::Ema;

constexpr AdamWEma constants{.learning_rate = rate,
                             .weight_decay = 0.01,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8,
                             .correction1 = 0.999,
                             .root_correction2 = 0.999,
                             .gain = gain};

template <class Scalar>
AdamW<Scalar> adamw() {
  return AdamW<Scalar>{{.learning_rate = rate}};
}

template <class Scalar>
void adamw_bare(benchmark::State& state) {
  time_optimizer<Scalar>(state, adamw<Scalar>());
}

template <class Scalar>
void adamw_ema_same_width(benchmark::State& state) {
  time_optimizer<Scalar>(state, Averaged{adamw<Scalar>(), Ema<Scalar>{}});
}

template <class Scalar>
struct ByHand : Problem<Scalar> {
  using Vector = Eigen::VectorX<Scalar>;
  explicit ByHand(Eigen::Index n)
      : Problem<Scalar>(n), moment(Vector::Zero(n)), square(Vector::Zero(n)), shadow(this->weights) {}
  Vector moment, square, shadow;
};

template <class Scalar>
void adamw_hand_fused(benchmark::State& state) {
  ByHand<Scalar> by_hand(state.range(0));
  escape(by_hand);
  time_steps(state, 1, [&] {
    fused_adamw_ema(by_hand.weights.data(), by_hand.gradient.data(), by_hand.moment.data(), by_hand.square.data(),
                    by_hand.shadow.data(), static_cast<std::size_t>(by_hand.shadow.size()), constants);
  });
}

template <class Scalar>
[[gnu::noinline]] void four_statements(ByHand<Scalar>& x) {
  const AdamWEma& c = constants;
  x.moment = Scalar(c.beta1) * x.moment + Scalar(1 - c.beta1) * x.gradient;
  x.square = Scalar(c.beta2) * x.square + Scalar(1 - c.beta2) * x.gradient.cwiseAbs2();
  x.weights = (Scalar(1 - c.learning_rate * c.weight_decay) * x.weights.array() -
               Scalar(c.learning_rate / c.correction1) * x.moment.array() /
                   (x.square.array().sqrt() / Scalar(c.root_correction2) + Scalar(c.epsilon)))
                  .matrix();
  x.shadow += Scalar(c.gain) * (x.weights - x.shadow);
}

template <class Scalar>
void adamw_four_eigen(benchmark::State& state) {
  ByHand<Scalar> by_hand(state.range(0));
  escape(by_hand);
  time_steps(state, 1, [&] { four_statements(by_hand); });
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&)) {
    auto* benchmark = benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function);
    for (const int exponent : {6, 10, 14, 18, 20, 22, 24}) benchmark->Arg(std::int64_t{1} << exponent);
  };
  add("adamw", adamw_bare<Scalar>);
  add("adamw_ema_same_width", adamw_ema_same_width<Scalar>);
  add("adamw_hand_fused", adamw_hand_fused<Scalar>);
  add("adamw_four_eigen", adamw_four_eigen<Scalar>);
}

}  // namespace

void register_adamw_steps() {
  register_families<float>("float");
  register_families<double>("double");
}
