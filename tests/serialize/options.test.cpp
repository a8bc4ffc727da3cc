#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

// An object loads what one with the same options has saved, and nothing else: the error says what differs.

using namespace polyak;
using support::error_of;

namespace {

using Function = std::function<double(std::uint64_t)>;

/// A schedule of the user's own that says what it is.
struct Halving {
  static constexpr std::string_view name = "Halving";
  double initial;
  double operator()(std::uint64_t t) const { return std::ldexp(initial, -static_cast<int>(t)); }
  void for_each_option(const auto& visit) const { visit("initial", initial); }
};

/// Loading what `saved` saves into `present`, which must stay as it was; and where there was an error, not the other
/// way about either.
template <class A, class B>
std::string error_of_loading(A saved, B present) {
  const auto bytes = serialize::save(saved);
  const auto before = serialize::save(present);
  const std::string error = error_of([&] { serialize::load(bytes, present); });
  if (error != "nothing") {
    CHECK(serialize::save(present) == before);
    CHECK(error_of([&] { serialize::load(before, saved); }) != "nothing");
  }
  return error;
}

/// "name: member must be x as in the saved state, got y".
std::string refused(const std::string& name, const std::string& member, const std::string& saved,
                    const std::string& present) {
  return "invalid_argument: polyak::" + name + ": " + member + " must be " + saved + " as in the saved state, got " +
         present;
}

/// Options may differ in one member only: set(options, false) is saved, set(options, true) loads.
template <class Made, class Options, class T>
void check_member(const std::string& name, const std::string& member, Options options, T Options::*field, T saved,
                  T present, const std::string& saved_text, const std::string& present_text) {
  INFO(name << " " << member);
  options.*field = saved;
  const Made one(options);
  options.*field = present;
  CHECK(error_of_loading(one, Made(options)) == refused(name, member, saved_text, present_text));
  CHECK(error_of_loading(one, one) == "nothing");
}
template <class Made, class Options>
void check_number(const std::string& name, const std::string& member, double Options::*field, Options options = {}) {
  check_member<Made>(name, member, options, field, 0.25, 0.1, "0.25", "0.1");
}
template <class Made, class Options>
void check_flag(const std::string& name, const std::string& member, bool Options::*field, Options options = {}) {
  check_member<Made>(name, member, options, field, true, false, "true", "false");
}
template <class Made, class Options>
void check_count(const std::string& name, const std::string& member, std::uint64_t Options::*field,
                 Options options = {}) {
  check_member<Made>(name, member, options, field, std::uint64_t{5}, std::uint64_t{3}, "5", "3");
}
template <class Made, class Options>
void check_hyperparameter(const std::string& name, const std::string& member, Hyperparameter Options::*field,
                          Options options = {}) {
  check_member<Made>(name, member, options, field, Hyperparameter(0.25), Hyperparameter(0.1), "0.25", "0.1");
  check_member<Made>(name, member, options, field, Hyperparameter(Constant(0.25)), Hyperparameter(0.25),
                     "Constant(value 0.25)", "0.25");
  check_member<Made>(name, member + " at step 0", options, field, Hyperparameter([](std::uint64_t) { return 0.25; }),
                     Hyperparameter([](std::uint64_t) { return 0.5; }), "0.25", "0.5");
}
template <class Made, class Options>
void check_common(const std::string& name, Options options = {}) {
  check_hyperparameter<Made>(name, "learning_rate", &Options::learning_rate, options);
  check_number<Made>(name, "weight_decay", &Options::weight_decay, options);
  using Blocks = std::vector<BlockOptions>;
  check_member<Made>(name, "number of blocks with options", options, &Options::blocks, Blocks(2), Blocks(), "2", "0");
  check_member<Made>(name, "learning_rate_factor of block 1", options, &Options::blocks, Blocks{{}, {0.5, 1}},
                     Blocks(2), "0.5", "1");
  check_member<Made>(name, "weight_decay_factor of block 0", options, &Options::blocks, Blocks{{1, 0}, {}}, Blocks(2),
                     "0", "1");
}
template <class Made, class Options>
void check_cadence(const std::string& name, Options options = {}) {
  check_count<Made>(name, "start", &Options::start, options);
  if constexpr (requires { options.period; }) {
    check_count<Made>(name, "period", &Options::period, options);
  } else {
    check_count<Made>(name, "every", &Options::every, options);
  }
}

}  // namespace

TEST_CASE("the options of optimizers are compared", "[serialize]") {
  check_common<Sgd<>, SgdOptions>("Sgd");
  check_hyperparameter<Sgd<>>("Sgd", "momentum", &SgdOptions::momentum);
  check_number<Sgd<>>("Sgd", "dampening", &SgdOptions::dampening);
  check_flag<Sgd<>>("Sgd", "nesterov", &SgdOptions::nesterov, SgdOptions{.momentum = 0.5});
  check_flag<Sgd<>>("Sgd", "decoupled_weight_decay", &SgdOptions::decoupled_weight_decay);

  check_common<Adam<>, AdamOptions>("Adam");
  check_number<Adam<>>("Adam", "beta1", &AdamOptions::beta1);
  check_number<Adam<>>("Adam", "beta2", &AdamOptions::beta2);
  check_number<Adam<>>("Adam", "epsilon", &AdamOptions::epsilon);
  check_flag<Adam<>>("Adam", "amsgrad", &AdamOptions::amsgrad);
  check_common<AdamW<>, AdamWOptions>("AdamW");
  check_number<AdamW<>>("AdamW", "beta2", &AdamWOptions::beta2);

  check_common<NAdam<>, NAdamOptions>("NAdam");
  check_number<NAdam<>>("NAdam", "beta1", &NAdamOptions::beta1);
  check_number<NAdam<>>("NAdam", "beta2", &NAdamOptions::beta2);
  check_number<NAdam<>>("NAdam", "epsilon", &NAdamOptions::epsilon);
  check_number<NAdam<>>("NAdam", "momentum_decay", &NAdamOptions::momentum_decay);

  check_common<RMSprop<>, RMSpropOptions>("RMSprop");
  check_number<RMSprop<>>("RMSprop", "alpha", &RMSpropOptions::alpha);
  check_number<RMSprop<>>("RMSprop", "epsilon", &RMSpropOptions::epsilon);
  check_number<RMSprop<>>("RMSprop", "momentum", &RMSpropOptions::momentum);
  check_flag<RMSprop<>>("RMSprop", "centered", &RMSpropOptions::centered);

  check_common<Adagrad<>, AdagradOptions>("Adagrad");
  check_number<Adagrad<>>("Adagrad", "learning_rate_decay", &AdagradOptions::learning_rate_decay);
  check_number<Adagrad<>>("Adagrad", "initial_accumulator", &AdagradOptions::initial_accumulator);
  check_number<Adagrad<>>("Adagrad", "epsilon", &AdagradOptions::epsilon);

  check_common<Lion<>, LionOptions>("Lion");
  check_number<Lion<>>("Lion", "beta1", &LionOptions::beta1);
  check_number<Lion<>>("Lion", "beta2", &LionOptions::beta2);
}

TEST_CASE("the options of averagers are compared", "[serialize]") {
  check_cadence<TailAverage<>, TailAverageOptions>("TailAverage");
  check_cadence<Swa<>, SwaOptions>("Swa");
  check_cadence<Ema<>, EmaOptions>("Ema");
  check_member<Ema<>>("Ema", "decay", EmaOptions{}, &EmaOptions::decay, Decay(0.999), Decay(0.99), "0.999", "0.99");
  check_flag<Ema<>>("Ema", "bias_correction", &EmaOptions::bias_correction);
  check_cadence<PolynomialAverage<>, PolynomialAverageOptions>("PolynomialAverage");
  check_number<PolynomialAverage<>>("PolynomialAverage", "eta", &PolynomialAverageOptions::eta);
  check_cadence<PowerEma<>, PowerEmaOptions>("PowerEma");
  check_member<PowerEma<>>("PowerEma", "gamma", PowerEmaOptions{}, &PowerEmaOptions::gamma, std::optional(2.0),
                           std::optional(7.5), "2", "7.5");
  check_cadence<AnytimeTailAverage<>, AnytimeTailAverageOptions>("AnytimeTailAverage");
  check_number<AnytimeTailAverage<>>("AnytimeTailAverage", "fraction", &AnytimeTailAverageOptions::fraction);
  check_cadence<Lawa<>, LawaOptions>("Lawa");
  check_count<Lawa<>>("Lawa", "window", &LawaOptions::window);
  const GainAverageOptions gain{.gain = [](std::uint64_t k) { return 1 / static_cast<double>(k); }};
  check_cadence<GainAverage<>, GainAverageOptions>("GainAverage", gain);
  check_member<GainAverage<>>("GainAverage", "gain at fold 2", gain, &GainAverageOptions::gain, gain.gain,
                              Function([](std::uint64_t) { return 1; }), "0.5", "1");
}

TEST_CASE("the options of wrappers and of what is in them are compared", "[serialize]") {
  const Sgd<> sgd;
  CHECK(error_of_loading(ClipNorm{sgd, {.max_norm = 2}}, ClipNorm{sgd}) == refused("ClipNorm", "max_norm", "2", "1"));
  CHECK(error_of_loading(ClipValue{sgd, {.max_value = 2}}, ClipValue{sgd}) ==
        refused("ClipValue", "max_value", "2", "1"));
  CHECK(error_of_loading(Accumulate{sgd, {.micro_batches = 3}}, Accumulate{sgd}) ==
        refused("Accumulate", "micro_batches", "3", "2"));
  CHECK(error_of_loading(Lookahead{sgd, {.every = 3}}, Lookahead{sgd}) == refused("Lookahead", "every", "3", "5"));
  CHECK(error_of_loading(Lookahead{sgd, {.alpha = 1}}, Lookahead{sgd}) == refused("Lookahead", "alpha", "1", "0.5"));
  CHECK(error_of_loading(Accumulate<Sgd<>, float>{sgd}, Accumulate<Sgd<>, double>{sgd}) ==
        refused("Accumulate", "scalar", "float", "double"));
  CHECK(error_of_loading(Lookahead<Sgd<>, float>{sgd}, Lookahead<Sgd<>, double>{sgd}) ==
        refused("Lookahead", "scalar", "float", "double"));

  const Sgd<> other{{.learning_rate = 0.5}};
  const std::string rate = refused("Sgd", "learning_rate", "0.01", "0.5");
  CHECK(error_of_loading(ClipNorm{sgd}, ClipNorm{other}) == rate);
  CHECK(error_of_loading(ClipValue{sgd}, ClipValue{other}) == rate);
  CHECK(error_of_loading(SkipNonFinite{sgd}, SkipNonFinite{other}) == rate);
  CHECK(error_of_loading(Accumulate{sgd}, Accumulate{other}) == rate);
  CHECK(error_of_loading(Lookahead{sgd}, Lookahead{other}) == rate);
  CHECK(error_of_loading(Averaged{sgd, Ema{}}, Averaged{other, Ema{}}) == rate);
  CHECK(error_of_loading(Averaged{sgd, Ema{}, Ema{}}, Averaged{sgd, Ema{}, Ema{{.start = 3}}}) ==
        refused("Ema", "start", "0", "3"));
  CHECK(error_of_loading(Averaged{sgd, Ema{}, Ema{}}, Averaged{sgd, Ema{}}) ==
        refused("Averaged", "number of averagers", "2", "1"));
}

TEST_CASE("the options of sparse models are compared, and the size of a table", "[serialize]") {
  const SparseSgdOptions options{.features = 4};
  const auto sgd = [](SparseSgdOptions o) { return SparseSgd<>(std::move(o)); };
  const auto check = [&](const char* member, SparseSgdOptions saved, const char* a, const char* b) {
    CHECK(error_of_loading(sgd(std::move(saved)), sgd(options)) == refused("SparseSgd", member, a, b));
  };
  check("features", {.features = 5}, "5", "4");
  check("outputs", {.features = 4, .outputs = 2}, "2", "1");
  check("learning_rate", {.features = 4, .learning_rate = 1}, "1", "0.01");
  check("l2", {.features = 4, .l2 = 0.5}, "0.5", "0");
  check("l1", {.features = 4, .l1 = 0.5}, "0.5", "0");
  check("intercept", {.features = 4, .intercept = false}, "false", "true");
  check("intercept_rate", {.features = 4, .intercept_rate = 0.5}, "0.5", "1");
  CHECK(error_of_loading(SparseSgd({.features = 4}, Ema{{.decay = 0.5}}), SparseSgd({.features = 4}, Ema{})) ==
        refused("Ema", "decay", "0.5", "0.999"));
  CHECK(error_of_loading(SparseSgd<TailAverage<>, float>({.features = 4}), sgd(options)) ==
        refused("SparseSgd", "scalar", "float", "double"));
  CHECK(
      error_of_loading(SparseAdagrad<>({.features = 4, .initial_accumulator = 2}), SparseAdagrad<>({.features = 4})) ==
      refused("SparseAdagrad", "initial_accumulator", "2", "0"));
  CHECK(error_of_loading(SparseAdagrad<>({.features = 4, .epsilon = 2}), SparseAdagrad<>({.features = 4})) ==
        refused("SparseAdagrad", "epsilon", "2", "1e-10"));

  const Eigen::MatrixXd table = Eigen::MatrixXd::Ones(3, 2), longer = Eigen::MatrixXd::Ones(4, 2),
                        wider = Eigen::MatrixXd::Ones(3, 5);
  CHECK(error_of_loading(RowAverage{table}, RowAverage{longer}) == refused("RowAverage", "rows", "3", "4"));
  CHECK(error_of_loading(RowAverage{table}, RowAverage{wider}) == refused("RowAverage", "columns", "2", "5"));
  CHECK(error_of_loading(RowAverage<TailAverage<>, float>{table}, RowAverage{table}) ==
        refused("RowAverage", "shadow", "float", "double"));
  CHECK(error_of_loading(RowAverage{table, Ema{}}, RowAverage{table, Ema{{.every = 2}}}) ==
        refused("Ema", "every", "1", "2"));
}

TEST_CASE("scalars, shadows and classes are compared", "[serialize]") {
  CHECK(error_of_loading(Sgd<float>{}, Sgd<>{}) == refused("Sgd", "scalar", "float", "double"));
  CHECK(error_of_loading(Sgd<long double>{}, Sgd<Eigen::half>{}) == refused("Sgd", "scalar", "long double", "half"));
  CHECK(error_of_loading(Ema<Eigen::bfloat16>{}, Ema<>{}) == refused("Ema", "shadow", "bfloat16", "double"));
  CHECK(error_of_loading(Lawa<float>{}, Lawa<>{}) == refused("Lawa", "shadow", "float", "double"));
  CHECK(error_of_loading(Ema<Compensated<float>>{}, Ema<float>{}) ==
        refused("Ema", "shadow", "float compensated by 16 bits", "float"));
  CHECK(error_of_loading(Ema<Compensated<float, std::int8_t>>{}, Ema<Compensated<float>>{}) ==
        refused("Ema", "shadow", "float compensated by 8 bits", "float compensated by 16 bits"));
  const std::string error = "invalid_argument: polyak::Adam: the saved state is of polyak::AdamW";
  CHECK(error_of_loading(AdamW<>{}, Adam<>{}) == error);
  CHECK(error_of_loading(Averaged{AdamW<>{}, Ema{}}, Averaged{Adam<>{}, Ema{}}) == error);
  CHECK(error_of_loading(TailAverage{}, Swa{}) ==
        "invalid_argument: polyak::Swa: the saved state is of polyak::TailAverage");
  CHECK(error_of_loading(Cosine({.steps = 1}), Constant(1)) ==
        "invalid_argument: polyak::Constant: the saved state is of polyak::Cosine");
}

TEST_CASE("schedules are compared by their options", "[serialize]") {
  const auto check = [](const auto& saved, const auto& present, const char* member, const char* a, const char* b) {
    const std::string name = std::string(saved.name).substr(8);
    CHECK(error_of_loading(saved, saved) == "nothing");
    CHECK(error_of_loading(saved, present) == refused(name, member, a, b));
  };
  check(Constant(1), Constant(2), "value", "1", "2");
  check(InverseTime({.initial = 1}), InverseTime({}), "initial", "1", "0.01");
  check(InverseTime({.timescale = 2}), InverseTime({}), "timescale", "2", "1");
  check(InverseTime({.power = 2}), InverseTime({}), "power", "2", "1");
  check(BottouDecay({.initial = 1}), BottouDecay({}), "initial", "1", "0.01");
  check(BottouDecay({.lambda = 1}), BottouDecay({}), "lambda", "1", "1e-04");
  const StepDecayOptions decay{.period = 3};
  check(StepDecay({.initial = 1, .period = 3}), StepDecay(decay), "initial", "1", "0.01");
  check(StepDecay({.factor = 1, .period = 3}), StepDecay(decay), "factor", "1", "0.1");
  check(StepDecay({.period = 4}), StepDecay(decay), "period", "4", "3");
  const CosineOptions cosine{.steps = 3};
  check(Cosine({.initial = 1, .steps = 3}), Cosine(cosine), "initial", "1", "0.01");
  check(Cosine({.final = 1, .steps = 3}), Cosine(cosine), "final", "1", "0");
  check(Cosine({.steps = 4}), Cosine(cosine), "steps", "4", "3");
  check(LinearWarmup({.start_factor = 0.5}), LinearWarmup({.start_factor = 0}), "start_factor", "0.5", "0");
  check(LinearWarmup({.steps = 4}), LinearWarmup({}), "steps", "4", "0");
  check(LinearWarmup({.then = Cosine(cosine)}), LinearWarmup({.then = Cosine({.steps = 4})}), "then",
        "Cosine(initial 0.01, final 0, steps 3)", "Cosine(initial 0.01, final 0, steps 4)");
  const TriangularOptions triangular{.half_period = 3};
  check(Triangular({.min = 0, .half_period = 3}), Triangular(triangular), "min", "0", "0.001");
  check(Triangular({.max = 1, .half_period = 3}), Triangular(triangular), "max", "1", "0.01");
  check(Triangular({.half_period = 4}), Triangular(triangular), "half_period", "4", "3");
  const LinearCycleOptions cycle{.period = 3};
  check(LinearCycle({.max = 1, .period = 3}), LinearCycle(cycle), "max", "1", "0.01");
  check(LinearCycle({.min = 0, .period = 3}), LinearCycle(cycle), "min", "0", "0.001");
  check(LinearCycle({.period = 4}), LinearCycle(cycle), "period", "4", "3");
  check(SwaAnneal({.before = 1}), SwaAnneal({}), "before", "1", "0.01");
  check(SwaAnneal({.start = 1}), SwaAnneal({}), "start", "1", "0");
  check(SwaAnneal({.anneal_steps = 1}), SwaAnneal({}), "anneal_steps", "1", "0");
  check(SwaAnneal({.target = 1}), SwaAnneal({}), "target", "1", "0.05");
  check(SwaAnneal({.shape = AnnealShape::linear}), SwaAnneal({}), "shape", "linear", "cosine");
  check(DecayWarmup({.limit = 0.5}), DecayWarmup({}), "limit", "0.5", "0.9999");
  check(InverseGammaDecay({.gamma = 2}), InverseGammaDecay({}), "gamma", "2", "1");
  check(InverseGammaDecay({.power = 2}), InverseGammaDecay({.power = 1}), "power", "2", "1");
  check(InverseGammaDecay({.min = 0.5}), InverseGammaDecay({}), "min", "0.5", "0");
  check(InverseGammaDecay({.max = 0.5}), InverseGammaDecay({}), "max", "0.5", "0.9999");
  check(HalfLife({.steps = 5}), HalfLife({}), "steps", "5", "1000");
}

TEST_CASE("a schedule that was put into an optimizer or an averager is described", "[serialize]") {
  const auto sgd = [](Hyperparameter rate) { return Sgd<>{{.learning_rate = std::move(rate)}}; };
  const auto ema = [](Decay decay) { return Ema<>{{.decay = std::move(decay)}}; };
  const Cosine cosine({.initial = 0.1, .steps = 1000});
  CHECK(error_of_loading(sgd(cosine), sgd(cosine)) == "nothing");
  CHECK(error_of_loading(sgd(cosine), sgd(Cosine({.initial = 0.1, .steps = 2000}))) ==
        refused("Sgd", "learning_rate", "Cosine(initial 0.1, final 0, steps 1000)",
                "Cosine(initial 0.1, final 0, steps 2000)"));
  CHECK(error_of_loading(sgd(0.1), sgd([](std::uint64_t) { return 0.1; })) ==
        refused("Sgd", "learning_rate", "0.1", "a callable"));
  CHECK(error_of_loading(sgd(SwaAnneal({.before = LinearWarmup({.start_factor = 0.5, .steps = 7, .then = cosine})})),
                         sgd(1)) ==
        refused("Sgd", "learning_rate",
                "SwaAnneal(before LinearWarmup(start_factor 0.5, steps 7, then Cosine(initial 0.1, final 0, steps "
                "1000)), start 0, anneal_steps 0, target 0.05, shape cosine)",
                "1"));

  CHECK(error_of_loading(ema(HalfLife({.steps = 5})), ema(HalfLife({.steps = 5}))) == "nothing");
  CHECK(error_of_loading(ema(HalfLife({.steps = 5})), ema(0.5)) == refused("Ema", "decay", "HalfLife(steps 5)", "0.5"));
  // A schedule of rates serves as one of decays.
  CHECK(error_of_loading(ema(Constant(0.5)), ema(Constant(0.25))) ==
        refused("Ema", "decay", "Constant(value 0.5)", "Constant(value 0.25)"));
}

TEST_CASE("callables are compared by what they answer", "[serialize]") {
  const auto sgd = [](Function rate) {
    Sgd<> made{{.learning_rate = std::move(rate)}};
    Eigen::VectorXd theta = Eigen::VectorXd::Ones(2);
    for (int t = 0; t < 7; ++t) made.step(theta, theta);
    return made;
  };
  const auto until = [](std::uint64_t end, double then) {
    return [=](std::uint64_t t) { return t < end ? 0.1 : then; };
  };
  const auto throws_from = [](std::uint64_t end) {
    return [=](std::uint64_t t) { return t < end ? 0.1 : throw std::out_of_range("no rate"); };
  };
  CHECK(error_of_loading(sgd(until(8, 0.5)), sgd(until(8, 0.5))) == "nothing");
  // The step to come is 7; those past count only by the first.
  CHECK(error_of_loading(sgd(until(7, 0.5)), sgd(until(8, 0.5))) ==
        refused("Sgd", "learning_rate at step 7", "0.5", "0.1"));
  CHECK(error_of_loading(sgd(until(5000, 0.5)), sgd(until(50000, 0.5))) ==
        refused("Sgd", "learning_rate at step 10007", "0.5", "0.1"));
  CHECK(error_of_loading(sgd(until(8, 0.5)), sgd(until(8, 0.5 * (1 + 1e-15)))) == "nothing");  // rounded otherwise
  CHECK(error_of_loading(sgd(until(8, support::not_a_number)), sgd(until(8, support::not_a_number))) == "nothing");
  CHECK(error_of_loading(sgd(until(8, support::infinity)), sgd(until(8, -support::infinity))) ==
        refused("Sgd", "learning_rate at step 8", "inf", "-inf"));
  CHECK(error_of_loading(sgd(until(8, 0.5)), sgd(until(8, support::infinity))) ==
        refused("Sgd", "learning_rate at step 8", "0.5", "inf"));
  CHECK(error_of_loading(sgd(until(8, support::infinity)), sgd(until(8, 0.5))) ==
        refused("Sgd", "learning_rate at step 8", "inf", "0.5"));
  CHECK(support::has(error_of_loading(sgd(until(8, 1)), sgd(until(8, 1 + 1.5e-12))), "at step 8"));
  CHECK(error_of_loading(sgd(until(8, 1e-9)), sgd(until(8, 2e-9))) ==
        refused("Sgd", "learning_rate at step 8", "1e-09", "2e-09"));
  CHECK(error_of_loading(sgd(until(8, 1e9)), sgd(until(8, 1e9 + 1e-4))) == "nothing");
  // The first step was of another rate.
  const auto first = [](double rate) { return [=](std::uint64_t t) { return t == 0 ? rate : 0.1; }; };
  CHECK(error_of_loading(sgd(first(0.5)), sgd(first(0.25))) ==
        refused("Sgd", "learning_rate at step 0", "0.5", "0.25"));
  for (const std::uint64_t ahead : {0u, 1u, 2u, 5u, 10u, 100u, 1'000u, 10'000u, 100'000u}) {
    const auto there = [=](double rate) { return [=](std::uint64_t t) { return t == 7 + ahead ? rate : 0.1; }; };
    CHECK(error_of_loading(sgd(there(0.5)), sgd(there(0.25))) ==
          refused("Sgd", "learning_rate at step " + std::to_string(7 + ahead), "0.5", "0.25"));
  }
  // Where both refuse to answer there is nothing to compare.
  CHECK(error_of_loading(sgd(throws_from(8)), sgd(throws_from(8))) == "nothing");
  CHECK(error_of_loading(sgd(throws_from(8)), sgd(until(8, 0.1))) ==
        refused("Sgd", "learning_rate at step 8", "an exception", "0.1"));
  CHECK(error_of_loading(sgd(throws_from(8)), sgd(until(8, 0))) ==
        refused("Sgd", "learning_rate at step 8", "an exception", "0"));
  CHECK(error_of_loading(sgd(until(8, 0)), sgd(throws_from(8))) ==
        refused("Sgd", "learning_rate at step 8", "0", "an exception"));
  CHECK(error_of_loading(sgd(until(8, 0.1)), sgd(throws_from(100))) ==
        refused("Sgd", "learning_rate at step 107", "0.1", "an exception"));
  // Inside of a schedule, too.
  const auto optimizer = [&](double then) {
    return Sgd<>{{.learning_rate = LinearWarmup({.steps = 2, .then = until(8, then)})}};
  };
  CHECK(error_of_loading(optimizer(0.5), optimizer(0.5)) == "nothing");
  CHECK(error_of_loading(optimizer(0.5), optimizer(0.25)) == refused("Sgd", "learning_rate at step 10", "0.5", "0.25"));
  CHECK(error_of_loading(optimizer(0.5), Sgd<>{{.learning_rate = LinearWarmup({.steps = 2, .then = 0.5})}}) ==
        refused("Sgd", "learning_rate", "LinearWarmup(start_factor 0.3333333333333333, steps 2, then a callable)",
                "LinearWarmup(start_factor 0.3333333333333333, steps 2, then 0.5)"));

  const auto ema = [](Decay decay) {
    Ema<> made{{.decay = std::move(decay)}};
    made.update(std::vector<double>{1});
    return made;
  };
  CHECK(error_of_loading(ema(until(3, 0.5)), ema(until(3, 0.25))) == refused("Ema", "decay at fold 3", "0.5", "0.25"));
  CHECK(error_of_loading(ema(until(3, 1.5)), ema(until(3, 0.25))) ==
        refused("Ema", "decay at fold 3", "an exception", "0.25"));
  for (const std::uint64_t k : {0u, 1u, 2u, 3u, 6u, 11u, 101u, 1001u, 10'001u, 100'001u}) {
    const auto but_at = [k](double there) { return [=](std::uint64_t at) { return at == k ? there : 0.5; }; };
    CHECK(error_of_loading(ema(but_at(0.5)), ema(but_at(0.25))) ==
          refused("Ema", ("decay at fold " + std::to_string(k)).c_str(), "0.5", "0.25"));
  }
  const auto gains = [&](double at_1) {
    return GainAverage<>{{.gain = [at_1](std::uint64_t k) { return k == 1 ? at_1 : 0.5; }}};
  };
  CHECK(error_of_loading(gains(0.5), gains(0.5)) == "nothing");
  CHECK(error_of_loading(gains(0.5), gains(0.25)) == refused("GainAverage", "gain at fold 1", "0.5", "0.25"));
}

TEST_CASE("a schedule of one's own may describe itself", "[serialize]") {
  CHECK(error_of_loading(Sgd<>{{.learning_rate = Halving{2}}}, Sgd<>{{.learning_rate = Halving{4}}}) ==
        refused("Sgd", "learning_rate", "Halving(initial 2)", "Halving(initial 4)"));
}

TEST_CASE("a learning rate that was set is state", "[serialize]") {
  const Cosine cosine({.initial = 0.1, .steps = 10});
  Sgd<> saved{{.learning_rate = cosine}}, present{{.learning_rate = cosine}};
  saved.set_learning_rate(0.5);
  serialize::load(serialize::save(saved), present);
  CHECK(present.learning_rate() == 0.5);
  CHECK(present.options().learning_rate.is_number());
  CHECK(serialize::save(present) == serialize::save(saved));
  // It replaces one that was set, and is replaced by one from before it was set.
  saved.set_learning_rate(0.25);
  serialize::load(serialize::save(saved), present);
  CHECK(present.learning_rate() == 0.25);
  Sgd<> never_set{{.learning_rate = 0.1}};
  serialize::load(serialize::save(never_set), present);
  CHECK(present.learning_rate() == 0.1);
  CHECK(serialize::save(present) == serialize::save(never_set));
  // From then on it is an option again.
  never_set = Sgd<>{{.learning_rate = 1}};
  CHECK(error_of([&] { serialize::load(serialize::save(never_set), present); }) ==
        refused("Sgd", "learning_rate", "1", "0.1"));
  // A schedule cannot be loaded.
  Sgd<> scheduled{{.learning_rate = cosine}};
  present.set_learning_rate(0.5);
  CHECK(error_of([&] { serialize::load(serialize::save(scheduled), present); }) ==
        refused("Sgd", "learning_rate", "Cosine(initial 0.1, final 0, steps 10)", "0.5"));
  CHECK(present.learning_rate() == 0.5);

  // It is checked as any other.
  saved.set_learning_rate(0.625);
  serialize::Bytes bytes = serialize::save(saved);
  const auto written = std::bit_cast<std::array<std::uint8_t, 8>>(0.625);
  const auto at = std::search(bytes.begin(), bytes.end(), written.begin(), written.end());
  REQUIRE(at != bytes.end());
  const auto damaged = std::bit_cast<std::array<std::uint8_t, 8>>(-0.625);
  std::copy(damaged.begin(), damaged.end(), at);
  CHECK(error_of([&] { serialize::load(bytes, present); }) ==
        "invalid_argument: polyak::Sgd: learning_rate must be finite and >= 0, got -0.625");
  CHECK(present.learning_rate() == 0.5);

  // A schedule that was set must be set again.
  saved.set_learning_rate(Constant(0.25));
  Sgd<> fresh{{.learning_rate = cosine}};
  CHECK(error_of([&] { serialize::load(serialize::save(saved), fresh); }) ==
        refused("Sgd", "learning_rate", "Constant(value 0.25)", "Cosine(initial 0.1, final 0, steps 10)"));
  fresh.set_learning_rate(Constant(0.25));
  serialize::load(serialize::save(saved), fresh);
  CHECK(fresh.learning_rate() == 0.25);
}

TEST_CASE("a first step that failed leaves nothing to save", "[serialize]") {
  bool fails = true;
  const auto rate = [&fails](std::uint64_t) { return fails ? -1.0 : 0.5; };
  Sgd<> failed{{.learning_rate = rate}}, fresh{{.learning_rate = rate}};
  Eigen::VectorXd theta = Eigen::VectorXd::Ones(5);
  CHECK(error_of([&] { failed.step(theta, theta); }) ==
        "invalid_argument: polyak::Sgd: learning_rate must be finite and >= 0, got -1");
  fails = false;
  CHECK(serialize::save(failed) == serialize::save(fresh));
}
