#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "optimizers/checks.hpp"
#include "parts/optimizers.hpp"
#include "serialize/checks.hpp"
#include "support.hpp"

// An object loads what one with the same options has saved, and nothing else: the error says what differs.

using namespace polyak;
using serialize::refused;
using serialize::Saveable;
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

template <class A, class B>
std::string error_of_loading(A saved, B present) {
  return serialize::error_between(Saveable(std::move(saved)), Saveable(std::move(present)));
}

}  // namespace

TEST_CASE("the scalars of wrappers are compared, and what is in an Averaged", "[serialize]") {
  const Sgd<> sgd;
  CHECK(error_of_loading(Accumulate<Sgd<>, float>{sgd}, Accumulate<Sgd<>, double>{sgd}) ==
        refused("Accumulate", "scalar", "float", "double"));
  CHECK(error_of_loading(Lookahead<Sgd<>, float>{sgd}, Lookahead<Sgd<>, double>{sgd}) ==
        refused("Lookahead", "scalar", "float", "double"));

  const Sgd<> other{{.learning_rate = 0.5}};
  CHECK(error_of_loading(Averaged{sgd, Ema{}}, Averaged{other, Ema{}}) ==
        refused("Sgd", "learning_rate", "0.01", "0.5"));
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
  check("non_finite", {.features = 4, .non_finite = NonFinite::skip}, "skip", "propagate");
  CHECK(error_of_loading(SparseSgd({.features = 4}, Ema{{.decay = 0.5}}), SparseSgd({.features = 4}, Ema{})) ==
        refused("Ema", "decay", "0.5", "0.999"));
  CHECK(error_of_loading(SparseSgd<TailAverage<>, float>({.features = 4}), sgd(options)) ==
        refused("SparseSgd", "scalar", "float", "double"));
  CHECK(
      error_of_loading(SparseAdagrad<>({.features = 4, .initial_accumulator = 2}), SparseAdagrad<>({.features = 4})) ==
      refused("SparseAdagrad", "initial_accumulator", "2", "0"));
  CHECK(error_of_loading(SparseAdagrad<>({.features = 4, .epsilon = 2}), SparseAdagrad<>({.features = 4})) ==
        refused("SparseAdagrad", "epsilon", "2", "1e-10"));
  CHECK(error_of_loading(SparseAdagrad<>({.features = 4, .l2 = 0.5}), SparseAdagrad<>({.features = 4})) ==
        refused("SparseAdagrad", "l2", "0.5", "0"));

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
  CHECK(error_of_loading(Lawa<float>{}, Lawa<>{}) == refused("Lawa", "shadow", "float", "double"));
  CHECK(error_of_loading(Sgd<long double>{}, Sgd<Eigen::half>{}) == refused("Sgd", "scalar", "long double", "half"));
  CHECK(error_of_loading(Ema<Eigen::bfloat16>{}, Ema<>{}) == refused("Ema", "shadow", "bfloat16", "double"));
  CHECK(error_of_loading(Ema<Compensated<float>>{}, Ema<float>{}) ==
        refused("Ema", "shadow", "float compensated by 16 bits", "float"));
  CHECK(error_of_loading(Ema<Compensated<float, std::int8_t>>{}, Ema<Compensated<float>>{}) ==
        refused("Ema", "shadow", "float compensated by 8 bits", "float compensated by 16 bits"));
  CHECK(error_of_loading(PowerEma{{.relative_width = 0.05}}, PowerEma{{.gamma = 2}})
            .starts_with("invalid_argument: polyak::PowerEma: gamma must be 16.97219860230"));
  const std::string error = "invalid_argument: polyak::Adam: the saved state is of polyak::AdamW";
  CHECK(error_of_loading(AdamW<>{}, Adam<>{}) == error);
  CHECK(error_of_loading(Averaged{AdamW<>{}, Ema{}}, Averaged{Adam<>{}, Ema{}}) == error);
  CHECK(error_of_loading(TailAverage{}, Swa{}) ==
        "invalid_argument: polyak::Swa: the saved state is of polyak::TailAverage");
  CHECK(error_of_loading(Cosine({.steps = 1}), Constant(1)) ==
        "invalid_argument: polyak::Constant: the saved state is of polyak::Cosine");
}

TEST_CASE("a schedule inside a schedule is compared by its options", "[serialize]") {
  CHECK(error_of_loading(LinearWarmup({.then = Cosine({.steps = 3})}), LinearWarmup({.then = Cosine({.steps = 4})})) ==
        refused("LinearWarmup", "then", "Cosine(initial 0.01, final 0, steps 3)",
                "Cosine(initial 0.01, final 0, steps 4)"));
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

namespace {

/// A callable of the user's that is defined for the steps of the training alone: asked while `over`, it throws.
struct ForTheTraining {
  const bool* over;
  int* asked;

  double operator()(std::uint64_t) const {
    ++*asked;
    if (*over) throw std::out_of_range("the training is over");
    return 0.5;
  }
};
/// The same as the complement of a decay.
struct ComplementForTheTraining {
  ForTheTraining function;
  double complement(std::uint64_t k, std::uint64_t) const { return function(k); }
};

/// Saves after three steps, and loads into a fresh object; the callable that make() is given must not be asked
/// meanwhile, and must be needed for the steps.
template <class Make, class Step>
void check_not_asked(const char* what, Make make, Step step) {
  INFO(what);
  bool over = false;
  int asked = 0;
  auto trained = make(ForTheTraining{&over, &asked});
  auto loaded = make(ForTheTraining{&over, &asked});
  for (int t = 0; t < 3; ++t) step(trained);
  CHECK(asked > 0);
  over = true;
  asked = 0;
  serialize::Bytes bytes;
  CHECK(error_of([&] { bytes = serialize::save(trained); }) == "nothing");
  CHECK(error_of([&] { serialize::load(bytes, loaded); }) == "nothing");
  CHECK(serialize::save(loaded) == bytes);
  CHECK(asked == 0);
  over = false;
  step(trained);
  step(loaded);
  CHECK(serialize::save(loaded) == serialize::save(trained));
}

}  // namespace

TEST_CASE("neither saving nor loading asks a callable anything", "[serialize]") {
  const auto dense = [](auto& optimizer) {
    Eigen::VectorXd theta = Eigen::VectorXd::Ones(2);
    const Eigen::VectorXd grad = theta;
    optimizer.step(theta, grad);
  };
  const auto alone = [](auto& averager) { averager.update(Eigen::VectorXd(Eigen::VectorXd::Ones(2))); };
  const auto sparse = [](auto& model) {
    const std::vector<int> indices{0, 2};
    const std::vector<double> values{1, 2};
    model.step(SparseRow{indices, values}, 0.5);
  };
  using F = ForTheTraining;
  parts::for_each(parts::optimizers, [&](auto row) {
    check_not_asked(
        row.name,
        [&](F f) {
          auto options = parts::base<decltype(row)>();
          options.learning_rate = options.weight_decay = f;
          return typename decltype(row)::template type<double>(options);
        },
        dense);
  });
  check_not_asked(
      "momentum", [](F f) { return Sgd<>{{.momentum = f}}; }, dense);
  check_not_asked(
      "momentum of RMSprop", [](F f) { return RMSprop<>{{.momentum = f}}; }, dense);
  check_not_asked(
      "in LinearWarmup", [](F f) { return Sgd<>{{.learning_rate = LinearWarmup({.then = f})}}; }, dense);
  check_not_asked(
      "in SwaAnneal", [](F f) { return Sgd<>{{.learning_rate = SwaAnneal({.before = f, .start = 9})}}; }, dense);
  check_not_asked(
      "decay", [](F f) { return Ema<>{{.decay = f}}; }, alone);
  check_not_asked(
      "complement", [](F f) { return Ema<>{{.decay = ComplementForTheTraining{f}}}; }, alone);
  check_not_asked(
      "gain", [](F f) { return GainAverage<>{{.gain = f, .start = 2}}; }, alone);
  check_not_asked(
      "guarded", [](F f) { return Guarded{Ema<>{{.decay = f}}}; }, alone);
  check_not_asked(
      "wrapped",
      [](F f) {
        return ClipNorm{Averaged{Sgd<>{{.learning_rate = f}}, Ema<>{{.decay = f}}}};
      },
      dense);
  check_not_asked(
      "sparse", [](F f) { return SparseSgd({.features = 3, .learning_rate = f}, Ema<>{{.decay = f}}); }, sparse);
  check_not_asked(
      "sparse Adagrad", [](F f) { return SparseAdagrad<>({.features = 3, .learning_rate = f}); }, sparse);

  Eigen::MatrixXd table = Eigen::MatrixXd::Ones(3, 2);
  check_not_asked(
      "rows",
      [&](F f) {
        return RowAverage{table, Ema<>{{.decay = f}}};
      },
      [&](auto& average) { average.step(table, std::vector{1}, [] {}); });
}

TEST_CASE("one callable is as good as another, but not as a number or a schedule", "[serialize]") {
  const auto constant = [](double rate) { return [rate](std::uint64_t) { return rate; }; };
  const auto sgd = [](Hyperparameter rate) { return Sgd<>{{.learning_rate = std::move(rate)}}; };
  const auto ema = [](Decay decay) { return Ema<>{{.decay = std::move(decay)}}; };
  const auto gains = [&](double a) { return GainAverage<>{{.gain = constant(a)}}; };
  CHECK(error_of_loading(sgd(constant(0.5)), sgd(constant(0.25))) == "nothing");
  CHECK(error_of_loading(sgd(Function(constant(0.5))), sgd(constant(0.5))) == "nothing");
  CHECK(error_of_loading(sgd(constant(0.1)), sgd(0.1)) == refused("Sgd", "learning_rate", "a callable", "0.1"));
  CHECK(error_of_loading(sgd(constant(0.1)), sgd(Constant(0.1))) ==
        refused("Sgd", "learning_rate", "a callable", "Constant(value 0.1)"));
  CHECK(error_of_loading(sgd(Halving{2}), sgd(constant(2))) ==
        refused("Sgd", "learning_rate", "Halving(initial 2)", "a callable"));

  CHECK(error_of_loading(ema(constant(0.5)), ema(constant(0.25))) == "nothing");
  CHECK(error_of_loading(ema(constant(0.5)), ema(0.5)) == refused("Ema", "decay", "a callable", "0.5"));
  CHECK(error_of_loading(ema(HalfLife({.steps = 5})), ema(constant(0.5))) ==
        refused("Ema", "decay", "HalfLife(steps 5)", "a callable"));
  CHECK(error_of_loading(ema(Halving{0.5}), ema(Halving{0.25})) ==
        refused("Ema", "decay", "Halving(initial 0.5)", "Halving(initial 0.25)"));
  CHECK(error_of_loading(gains(0.5), gains(0.25)) == "nothing");

  // In a schedule, what describes itself is compared, and the callable is not.
  const auto warmup = [&](Hyperparameter then, std::uint64_t steps) {
    return sgd(LinearWarmup({.start_factor = 0.5, .steps = steps, .then = std::move(then)}));
  };
  CHECK(error_of_loading(warmup(constant(0.5), 2), warmup(constant(0.25), 2)) == "nothing");
  CHECK(error_of_loading(warmup(constant(0.5), 2), warmup(constant(0.5), 3)) ==
        refused("Sgd", "learning_rate", "LinearWarmup(start_factor 0.5, steps 2, then a callable)",
                "LinearWarmup(start_factor 0.5, steps 3, then a callable)"));
  CHECK(error_of_loading(warmup(constant(0.5), 2), warmup(0.5, 2)) ==
        refused("Sgd", "learning_rate", "LinearWarmup(start_factor 0.5, steps 2, then a callable)",
                "LinearWarmup(start_factor 0.5, steps 2, then 0.5)"));
}

TEST_CASE("a schedule of one's own may describe itself", "[serialize]") {
  CHECK(error_of_loading(Sgd<>{{.learning_rate = Halving{2}}}, Sgd<>{{.learning_rate = Halving{4}}}) ==
        refused("Sgd", "learning_rate", "Halving(initial 2)", "Halving(initial 4)"));
}

TEST_CASE("a learning rate, a weight decay and a momentum that were set are state", "[serialize]") {
  const Cosine cosine({.initial = 0.1, .steps = 10});
  for (const auto& [name, option, read, set] : checks::settings<Sgd<>>()) {
    const auto made = [option = option](Hyperparameter as) {
      SgdOptions options;
      options.*option = std::move(as);
      return Sgd<>(std::move(options));
    };
    Sgd<> saved = made(cosine), present = made(cosine);
    (saved.*set)(0.5);
    serialize::load(serialize::save(saved), present);
    CHECK((present.*read)() == 0.5);
    CHECK((present.options().*option).is_number());
    CHECK(serialize::save(present) == serialize::save(saved));
    // It replaces one that was set, and is replaced by one from before it was set.
    (saved.*set)(0.25);
    serialize::load(serialize::save(saved), present);
    CHECK((present.*read)() == 0.25);
    Sgd<> never_set = made(0.1);
    serialize::load(serialize::save(never_set), present);
    CHECK((present.*read)() == 0.1);
    CHECK(serialize::save(present) == serialize::save(never_set));
    // From then on it is an option again.
    never_set = made(1);
    CHECK(error_of([&] { serialize::load(serialize::save(never_set), present); }) == refused("Sgd", name, "1", "0.1"));
    // A schedule cannot be loaded.
    Sgd<> scheduled = made(cosine);
    (present.*set)(0.5);
    CHECK(error_of([&] { serialize::load(serialize::save(scheduled), present); }) ==
          refused("Sgd", name, "Cosine(initial 0.1, final 0, steps 10)", "0.5"));
    CHECK((present.*read)() == 0.5);

    // It is checked as any other.
    (saved.*set)(0.625);
    serialize::Bytes bytes = serialize::save(saved);
    const auto written = std::bit_cast<std::array<std::uint8_t, 8>>(0.625);
    const auto at = std::search(bytes.begin(), bytes.end(), written.begin(), written.end());
    REQUIRE(at != bytes.end());
    const auto damaged = std::bit_cast<std::array<std::uint8_t, 8>>(-0.625);
    std::copy(damaged.begin(), damaged.end(), at);
    CHECK(error_of([&] { serialize::load(bytes, present); }) ==
          "invalid_argument: polyak::Sgd: " + std::string(name) + " must be finite and >= 0, got -0.625");
    CHECK((present.*read)() == 0.5);

    // A schedule that was set must be set again.
    (saved.*set)(Constant(0.25));
    Sgd<> fresh = made(cosine);
    CHECK(error_of([&] { serialize::load(serialize::save(saved), fresh); }) ==
          refused("Sgd", name, "Constant(value 0.25)", "Cosine(initial 0.1, final 0, steps 10)"));
    (fresh.*set)(Constant(0.25));
    serialize::load(serialize::save(saved), fresh);
    CHECK((fresh.*read)() == 0.25);
  }
}

TEST_CASE("what was set is loaded, or refused, by itself", "[serialize]") {
  Sgd<> saved, present;
  saved.set_momentum(0.5);
  saved.set_weight_decay(0.25);
  serialize::load(serialize::save(saved), present);
  CHECK(present.learning_rate() == 0.01);
  CHECK(present.momentum() == 0.5);
  CHECK(present.weight_decay() == 0.25);
  // The learning rate was not set, so it is an option though others were.
  CHECK(error_of_loading(saved, Sgd<>{{.learning_rate = 0.5}}) == refused("Sgd", "learning_rate", "0.01", "0.5"));

  // What was set must go with the other options, as it did where it was saved.
  Sgd<> nesterov{{.momentum = 0.5, .nesterov = true}};
  nesterov.set_momentum(0.625);
  serialize::Bytes bytes = serialize::save(nesterov);
  const auto written = std::bit_cast<std::array<std::uint8_t, 8>>(0.625);
  const auto at = std::search(bytes.begin(), bytes.end(), written.begin(), written.end());
  REQUIRE(at != bytes.end());
  std::fill_n(at, 8, std::uint8_t{0});
  CHECK(error_of([&] { serialize::load(bytes, nesterov); }) ==
        "invalid_argument: polyak::Sgd: momentum must be > 0 with nesterov, got 0");
  CHECK(nesterov.momentum() == 0.625);
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
