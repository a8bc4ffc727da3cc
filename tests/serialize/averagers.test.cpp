#include <polyak/averaged.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstdint>
#include <utility>

#include "parts/averagers.hpp"
#include "parts/schedules.hpp"
#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Run;

namespace {

template <class Scalar, class Shadow>
void check_averagers() {
  parts::for_each_averager<Shadow>([](const char* name, const auto& averager) {
    INFO(name);
    check_resuming<Scalar>(averager);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("every averager goes on where it was saved", "[serialize]", POLYAK_TEST_SCALARS) {
  check_averagers<TestType, TestType>();
  check_averagers<TestType, wide_t<TestType>>();
}

TEST_CASE("an average wider than its weights goes on where it was saved", "[serialize]") {
  check_resuming<double>(Ema<long double>{{.decay = 0.75}});
  check_resuming<double>(Lawa<long double>{{.window = 3}});
}

TEST_CASE("an average goes on by any schedule of decays", "[serialize]") {
  for (const bool corrected : {true, false}) {
    const auto check = [&](const char* name, Decay decay) {
      INFO(name);
      check_resuming<double>(Ema<double>{{.decay = std::move(decay), .bias_correction = corrected, .every = 2}});
    };
    parts::for_each_schedule(parts::decays, check);
    parts::for_each_schedule(parts::schedules, check);
    check("a callable", [](std::uint64_t k) { return k % 2 == 0 ? 0.5 : 0.25; });
    check("one that rises to 1", [](std::uint64_t k) { return k < 3 ? 0.5 : 1.0; });
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
