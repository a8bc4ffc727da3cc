#include <polyak/averaged.hpp>
#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstdint>
#include <utility>

#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Run;

namespace {

double gain(std::uint64_t k) { return k == 1 ? 1 : 0.5; }

template <class Scalar, class Shadow>
void check_all() {
  const auto check = [](const auto& fresh) { check_resuming<Scalar>(fresh); };
  check(TailAverage<Shadow>{});
  check(TailAverage<Shadow>{{.start = 3, .every = 2}});
  check(Swa<Shadow>{{.start = 2, .period = 4}});
  check(Ema<Shadow>{{.decay = 0.75}});
  check(Ema<Shadow>{{.decay = DecayWarmup({.limit = 0.5}), .every = 3}});
  check(Ema<Shadow>{{.decay = 0.75, .bias_correction = false, .start = 5, .every = 2}});
  check(PolynomialAverage<Shadow>{{.eta = 3}});
  check(PowerEma<Shadow>{{.relative_width = 0.1, .start = 1}});
  check(AnytimeTailAverage<Shadow>{{.fraction = 0.5}});
  check(GainAverage<Shadow>{{.gain = gain, .every = 2}});
  check(Lawa<Shadow>{{.window = 3, .start = 2}});
  check(Lawa<Shadow>{{.window = 20, .every = 2}});
}

}  // namespace

TEST_CASE("every averager goes on where it was saved", "[serialize]") {
  check_all<float, float>();
  check_all<float, double>();
  check_all<double, double>();
  check_all<double, long double>();
  check_all<long double, long double>();
  check_all<Eigen::half, Eigen::half>();
  check_all<Eigen::bfloat16, float>();
}

TEST_CASE("an average goes on by any schedule of decays", "[serialize]") {
  for (const bool corrected : {true, false}) {
    const auto check = [&](Decay decay) {
      Ema<double> ema{{.decay = std::move(decay), .bias_correction = corrected, .every = 2}};
      check_resuming<double>(ema);
    };
    check(DecayWarmup({.limit = 0.5}));
    check(InverseGammaDecay({.min = 0.1}));
    check(HalfLife({.steps = 3}));
    check(Constant(0.5));
    check([](std::uint64_t k) { return k % 2 == 0 ? 0.5 : 0.25; });
  }
}

TEST_CASE("a start that was given is saved", "[serialize]") {
  Ema<> ema{{.decay = 0.75, .bias_correction = false}};
  Run<double> run;
  ema.start_from(run.start);
  check_resuming<double>(ema);
}

TEST_CASE("an optimizer and its averagers go on together", "[serialize]") {
  check_resuming<double>(Averaged{Sgd{{.learning_rate = 0.1}}});
  // Averages that fold, start and end at different times, one of them with a start to take.
  check_resuming<float>(Averaged{Sgd<float>{{.learning_rate = 0.1, .momentum = 0.5}}, Ema{{.decay = 0.5}},
                                 Ema<float>{{.decay = 0.75, .bias_correction = false}}, Lawa{{.window = 2}},
                                 Swa{{.start = 4, .period = 3}}, AnytimeTailAverage<float>{}});
  check_resuming<double>(Averaged{Averaged{Sgd{{.learning_rate = 0.1}}, TailAverage{}}, PowerEma{}});
}
