#include "fixtures.hpp"

#include <polyak/polyak.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"

// What torch computed, replayed through polyak: fixtures/torch_fixtures.py says how the files came about. They hold the
// gradients, so that nothing but the update itself is compared and a difference cannot grow through the loss.

namespace {

using Eigen::VectorXd;
using fixtures::Row;
using Rows = std::vector<Row>;

constexpr double tolerance = 1e-12;

double relative_error(double actual, double expected) {
  if (actual == expected) return 0;
  return std::abs(actual - expected) / std::abs(expected);
}

std::string digits(double x) {
  std::ostringstream text;
  text << std::setprecision(17) << x;
  return text.str();
}

void check_close(const VectorXd& actual, const VectorXd& expected) {
  REQUIRE(actual.size() == expected.size());
  for (Eigen::Index i = 0; i < expected.size(); ++i) {
    INFO("coordinate " << i << ": expected " << digits(expected[i]) << ", got " << digits(actual[i]));
    CHECK(relative_error(actual[i], expected[i]) <= tolerance);
  }
}

void check_close(double actual, double expected) { check_close(VectorXd{{actual}}, VectorXd{{expected}}); }

/// The runs of a file, each made of the steps 0, 1, 2, … without a gap.
std::vector<Rows> read_runs(const fixtures::Table& table, const std::vector<std::string>& columns, std::size_t count) {
  auto runs = table.runs(columns);
  REQUIRE(runs.size() == count);
  for (const auto& run : runs) {
    REQUIRE(run.size() > 1);
    for (std::size_t t = 0; t < run.size(); ++t) REQUIRE(run[t].integer("t") == t);
  }
  return runs;
}

std::string description(const Row& row, const std::vector<std::string>& columns) {
  std::string text;
  for (const auto& column : columns) text += column + " " + row.text(column) + ", ";
  return text;
}

/// The values of a column as a schedule.
auto replay(const Rows& run, const std::string& column) {
  std::vector<double> values;
  for (const Row& row : run) values.push_back(row.number(column));
  return [values](std::uint64_t t) { return values.at(t); };
}

bool is_constant(const Rows& run, const std::string& column) {
  for (const Row& row : run) {
    if (row.text(column) != run.front().text(column)) return false;
  }
  return true;
}

polyak::SgdOptions options_of(const Rows& run) {
  const Row& first = run.front();
  return {.learning_rate = replay(run, "learning_rate"),
          .momentum = replay(run, "momentum"),
          .dampening = first.number("dampening"),
          .nesterov = first.integer("nesterov") == 1,
          .weight_decay = first.number("weight_decay")};
}

template <class BeforeStep>
void check_sgd(polyak::Sgd<double> sgd, const Rows& run, BeforeStep before_step) {
  VectorXd theta = run.front().vector("theta");
  for (std::size_t t = 0; t + 1 < run.size(); ++t) {
    INFO("step " << t);
    before_step(sgd, run[t]);
    check_close(sgd.learning_rate(), run[t].number("learning_rate"));
    sgd.step(theta, run[t].vector("gradient"));
    check_close(theta, run[t + 1].vector("theta"));
    CHECK(sgd.steps() == t + 1);
  }
}

constexpr auto nothing = [](polyak::Sgd<double>&, const Row&) {};

TEST_CASE("Sgd takes the steps of torch.optim.SGD", "[fixtures]") {
  const auto table = fixtures::read("sgd.csv");
  for (const auto& run : read_runs(table, {"run"}, 17)) {
    INFO("sgd.csv, " << run.front().text("run"));
    {
      INFO("learning rate and momentum as schedules");
      check_sgd(polyak::Sgd<double>(options_of(run)), run, nothing);
    }
    {
      INFO("learning rate set before each step");
      auto options = options_of(run);
      options.learning_rate = 1;
      if (is_constant(run, "momentum")) options.momentum = run.front().number("momentum");
      check_sgd(polyak::Sgd<double>(options), run,
                [](polyak::Sgd<double>& sgd, const Row& row) { sgd.set_learning_rate(row.number("learning_rate")); });
    }
    if (is_constant(run, "learning_rate")) {
      INFO("learning rate as a number");
      auto options = options_of(run);
      options.learning_rate = run.front().number("learning_rate");
      check_sgd(polyak::Sgd<double>(options), run, nothing);
    }
    if (run.front().text("run").starts_with("learning rate by LambdaLR")) {
      INFO("learning rate as InverseTime");
      auto options = options_of(run);
      options.learning_rate = polyak::InverseTime{{.initial = 0.1, .timescale = 3, .power = 0.75}};
      check_sgd(polyak::Sgd<double>(options), run, nothing);
    }
  }
}

TEST_CASE("Averaged Sgd with a TailAverage is torch.optim.ASGD", "[fixtures]") {
  const auto table = fixtures::read("asgd.csv");
  for (const auto& run : read_runs(table, {"run"}, 2)) {
    const Row& first = run.front();
    INFO("asgd.csv, " << first.text("run"));
    polyak::Averaged opt{polyak::Sgd<double>{{.learning_rate = first.number("learning_rate"),
                                              .weight_decay = first.number("weight_decay")}},
                         polyak::TailAverage{{.start = first.integer("start")}}};
    VectorXd theta = first.vector("theta");
    for (std::size_t t = 0; t + 1 < run.size(); ++t) {
      INFO("step " << t);
      opt.step(theta, run[t].vector("gradient"));
      check_close(theta, run[t + 1].vector("theta"));
      CHECK(opt.has_average() == (t + 1 >= first.integer("start")));
      check_close(opt.average_or(theta), run[t + 1].vector("average"));
    }
  }
}

// --- adaptive optimizers ---

/// Takes the steps of a run, with its learning rates as a schedule and set one by one.
template <class Optimizer, class Options>
void check_adaptive(const Rows& run, Options options) {
  const auto check = [&](Optimizer optimizer, bool set) {
    VectorXd theta = run.front().vector("theta");
    for (std::size_t t = 0; t + 1 < run.size(); ++t) {
      INFO("step " << t);
      if (set) optimizer.set_learning_rate(run[t].number("learning_rate"));
      check_close(optimizer.learning_rate(), run[t].number("learning_rate"));
      CHECK(optimizer.step(theta, run[t].vector("gradient")));
      check_close(theta, run[t + 1].vector("theta"));
      CHECK(optimizer.steps() == t + 1);
    }
  };
  INFO(run.front().text("run"));
  options.learning_rate = 1;
  check(Optimizer(options), true);
  options.learning_rate = replay(run, "learning_rate");
  check(Optimizer(options), false);
}

TEST_CASE("Adam and AdamW take the steps of torch.optim.Adam and AdamW", "[fixtures]") {
  const auto table = fixtures::read("adam.csv");
  std::size_t decoupled = 0;
  for (const auto& run : read_runs(table, {"run"}, 34)) {
    const Row& first = run.front();
    const auto check = [&]<class Optimizer, class Options>(Options options) {
      options.beta1 = first.number("beta1");
      options.beta2 = first.number("beta2");
      options.epsilon = first.number("epsilon");
      options.weight_decay = first.number("weight_decay");
      options.amsgrad = first.integer("amsgrad") == 1;
      check_adaptive<Optimizer>(run, options);
    };
    if (first.text("run").starts_with("AdamW ")) {
      ++decoupled;
      check.operator()<polyak::AdamW<double>>(polyak::AdamWOptions{});
    } else {
      check.operator()<polyak::Adam<double>>(polyak::AdamOptions{});
    }
  }
  CHECK(decoupled == 17);
}

TEST_CASE("NAdam takes the steps of torch.optim.NAdam", "[fixtures]") {
  const auto table = fixtures::read("nadam.csv");
  for (const auto& run : read_runs(table, {"run"}, 13)) {
    const Row& first = run.front();
    check_adaptive<polyak::NAdam<double>>(run, polyak::NAdamOptions{.beta1 = first.number("beta1"),
                                                                    .beta2 = first.number("beta2"),
                                                                    .epsilon = first.number("epsilon"),
                                                                    .weight_decay = first.number("weight_decay"),
                                                                    .momentum_decay = first.number("momentum_decay")});
  }
}

TEST_CASE("RMSprop takes the steps of torch.optim.RMSprop", "[fixtures]") {
  const auto table = fixtures::read("rmsprop.csv");
  for (const auto& run : read_runs(table, {"run"}, 17)) {
    const Row& first = run.front();
    check_adaptive<polyak::RMSprop<double>>(run, polyak::RMSpropOptions{.alpha = first.number("alpha"),
                                                                        .epsilon = first.number("epsilon"),
                                                                        .weight_decay = first.number("weight_decay"),
                                                                        .momentum = first.number("momentum"),
                                                                        .centered = first.integer("centered") == 1});
  }
}

TEST_CASE("Adagrad takes the steps of torch.optim.Adagrad", "[fixtures]") {
  const auto table = fixtures::read("adagrad.csv");
  for (const auto& run : read_runs(table, {"run"}, 17)) {
    const Row& first = run.front();
    check_adaptive<polyak::Adagrad<double>>(
        run, polyak::AdagradOptions{.learning_rate_decay = first.number("learning_rate_decay"),
                                    .weight_decay = first.number("weight_decay"),
                                    .initial_accumulator = first.number("initial_accumulator"),
                                    .epsilon = first.number("epsilon")});
  }
}

// --- two blocks ---

/// The blocks that torch_fixtures.py cuts a vector into.
template <class Vector>
auto two_blocks(Vector& v) {
  using Block = Eigen::Map<std::conditional_t<std::is_const_v<Vector>, const VectorXd, VectorXd>>;
  return polyak::ParameterSet{Block(v.data(), 2), Block(v.data() + 2, v.size() - 2)};
}

/// Takes the steps of a run with the parameters as a set of two blocks, and calls seen(row, whether a step was taken).
template <class Optimizer, class Seen>
void check_two_blocks(Optimizer optimizer, const Rows& run, Seen seen) {
  VectorXd theta = run.front().vector("theta");
  for (std::size_t t = 0; t + 1 < run.size(); ++t) {
    INFO("two blocks, step " << t);
    const VectorXd gradient = run[t].vector("gradient");
    const bool taken = optimizer.step(two_blocks(theta), two_blocks(gradient));
    check_close(theta, run[t + 1].vector("theta"));
    seen(optimizer, run[t], taken);
  }
}

template <class Optimizer, class Seen>
void check_one_block(Optimizer optimizer, const Rows& run, Seen seen) {
  VectorXd theta = run.front().vector("theta");
  for (std::size_t t = 0; t + 1 < run.size(); ++t) {
    INFO("one block, step " << t);
    const bool taken = optimizer.step(theta, run[t].vector("gradient"));
    check_close(theta, run[t + 1].vector("theta"));
    seen(optimizer, run[t], taken);
  }
}

template <class Wrap, class Seen>
void check_wrapped(const Rows& run, Wrap wrap, Seen seen) {
  const bool is_sgd = run.front().text("optimizer") == "sgd";
  REQUIRE((is_sgd || run.front().text("optimizer") == "adam"));
  const auto check = [&](const auto& wrapped) {
    check_one_block(wrapped, run, seen);
    check_two_blocks(wrapped, run, seen);
  };
  if (is_sgd) {
    check(wrap(polyak::Sgd<double>{{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.05}}));
  } else {
    check(wrap(polyak::Adam<double>{{.learning_rate = 0.1, .beta1 = 0.8, .beta2 = 0.9}}));
  }
}

TEST_CASE("ClipNorm and ClipValue clip as torch's clip_grad_norm_ and clip_grad_value_", "[fixtures]") {
  const std::vector<std::string> columns = {"optimizer", "kind", "limit"};
  const auto table = fixtures::read("clipping.csv");
  std::size_t clipped = 0, unclipped = 0;
  for (const auto& run : read_runs(table, columns, 10)) {
    INFO("clipping.csv, " << description(run.front(), columns));
    const double limit = run.front().number("limit");
    if (run.front().text("kind") == "norm") {
      check_wrapped(
          run,
          [&](auto optimizer) {
            return polyak::ClipNorm{optimizer, {.max_norm = limit}};
          },
          [&](const auto& clip, const Row& row, bool taken) {
            CHECK(taken);
            check_close(clip.norm(), row.number("norm"));
            CHECK(clip.clipped() <= row.integer("t") + 1);
            ++(row.number("norm") > limit ? clipped : unclipped);
          });
    } else {
      check_wrapped(
          run,
          [&](auto optimizer) {
            return polyak::ClipValue{optimizer, {.max_value = limit}};
          },
          [](const auto&, const Row&, bool taken) { CHECK(taken); });
    }
  }
  CHECK(clipped > 50);
  CHECK(unclipped > 50);
}

TEST_CASE("Accumulate is torch's accumulation of gradients over micro-batches", "[fixtures]") {
  const std::vector<std::string> columns = {"optimizer", "micro_batches"};
  const auto table = fixtures::read("accumulation.csv");
  for (const auto& run : read_runs(table, columns, 8)) {
    INFO("accumulation.csv, " << description(run.front(), columns));
    const std::uint64_t k = run.front().integer("micro_batches");
    check_wrapped(
        run,
        [&](auto optimizer) {
          return polyak::Accumulate{optimizer, {.micro_batches = k}};
        },
        [&](const auto& accumulate, const Row& row, bool taken) {
          const std::uint64_t seen = row.integer("t") + 1;
          CHECK(taken == (seen % k == 0));
          CHECK(accumulate.pending() == seen % k);
          CHECK(accumulate.optimizer().steps() == seen / k);
        });
  }
}

TEST_CASE("BlockOptions are torch's groups of parameters", "[fixtures]") {
  const std::vector<std::string> columns = {"optimizer", "rate_factor_0", "rate_factor_1", "decay_factor_0",
                                            "decay_factor_1"};
  const auto table = fixtures::read("groups.csv");
  for (const auto& run : read_runs(table, columns, 18)) {
    INFO("groups.csv, " << description(run.front(), columns));
    const Row& first = run.front();
    const auto check = [&]<class Optimizer>(auto options, const Optimizer*) {
      options.learning_rate = first.number("learning_rate");
      options.weight_decay = first.number("weight_decay");
      for (const std::string i : {"0", "1"}) {
        options.blocks.push_back({.learning_rate_factor = first.number("rate_factor_" + i),
                                  .weight_decay_factor = first.number("decay_factor_" + i)});
      }
      check_two_blocks(Optimizer(options), run, [](const Optimizer& optimizer, const Row& row, bool) {
        CHECK(optimizer.steps() == row.integer("t") + 1);
      });
    };
    const std::string& name = first.text("optimizer");
    if (name == "sgd") {
      check(polyak::SgdOptions{.momentum = 0.9, .nesterov = true}, static_cast<polyak::Sgd<double>*>(nullptr));
    } else if (name == "adam") {
      check(polyak::AdamOptions{.beta1 = 0.8, .beta2 = 0.9, .amsgrad = true},
            static_cast<polyak::Adam<double>*>(nullptr));
    } else if (name == "adamw") {
      check(polyak::AdamWOptions{.beta1 = 0.8, .beta2 = 0.9}, static_cast<polyak::AdamW<double>*>(nullptr));
    } else if (name == "nadam") {
      check(polyak::NAdamOptions{.beta1 = 0.8, .beta2 = 0.9}, static_cast<polyak::NAdam<double>*>(nullptr));
    } else if (name == "rmsprop") {
      check(polyak::RMSpropOptions{.momentum = 0.5, .centered = true}, static_cast<polyak::RMSprop<double>*>(nullptr));
    } else {
      REQUIRE(name == "adagrad");
      check(polyak::AdagradOptions{.learning_rate_decay = 0.1}, static_cast<polyak::Adagrad<double>*>(nullptr));
    }
  }
}

// --- averages ---

using Thetas = std::vector<VectorXd>;

Thetas read_trajectory() {
  const auto table = fixtures::read("trajectory.csv");
  Thetas thetas;
  for (std::size_t t = 0; t < table.size(); ++t) {
    REQUIRE(table[t].integer("t") == t);
    thetas.push_back(table[t].vector("theta"));
  }
  return thetas;
}

const std::vector<std::string> average_columns = {"kind", "decay", "start", "every"};

std::vector<Rows> average_runs(const fixtures::Table& table, const std::string& kind, std::size_t count) {
  std::vector<Rows> chosen;
  for (auto& run : read_runs(table, average_columns, 19)) {
    if (run.front().text("kind") == kind) chosen.push_back(run);
  }
  REQUIRE(chosen.size() == count);
  return chosen;
}

/// Compares an averager with a row. Torch has `extra` iterates in its average that polyak counts as the start.
template <class Average>
void check_average(const Average& average, const Row& row, std::uint64_t extra = 0) {
  const std::uint64_t count = row.integer("count");
  CHECK(average.has_average() == (count > extra));
  if (count <= extra) return;
  CHECK(average.count() == count - extra);
  check_close(average.average(), row.vector("average"));
}

/// Shows θ_1, θ_2, … to an averager, alone and behind an optimizer that does nothing but go from each to the next.
template <class Averager>
void check_averager(const Averager& fresh, const Rows& run, const Thetas& thetas, std::uint64_t extra = 0) {
  REQUIRE(run.size() == thetas.size());
  const auto follow = [](VectorXd& params, const VectorXd& next) { params = next; };
  polyak::Averaged followed{follow, fresh};
  VectorXd params = thetas[0];
  for (std::size_t t = 1; t < run.size(); ++t) {
    INFO("in Averaged, after step " << t);
    followed.step(params, thetas[t]);
    check_average(followed.template averager<0>(), run[t], extra);
  }
  if (extra > 0) return;
  Averager alone = fresh;
  for (std::size_t t = 1; t < run.size(); ++t) {
    INFO("alone, after step " << t);
    alone.update(thetas[t]);
    check_average(alone, run[t]);
  }
}

TEST_CASE("TailAverage and Swa are torch's AveragedModel", "[fixtures]") {
  const auto thetas = read_trajectory();
  const auto table = fixtures::read("averages.csv");
  for (const auto& run : average_runs(table, "mean", 7)) {
    const Row& first = run.front();
    const std::uint64_t start = first.integer("start");
    const std::uint64_t every = first.integer("every");
    INFO("averages.csv, " << description(first, average_columns));
    {
      INFO("TailAverage");
      check_averager(polyak::TailAverage<double>{{.start = start, .every = every}}, run, thetas);
    }
    {
      INFO("Swa");
      check_averager(polyak::Swa<double>{{.start = start, .period = every}}, run, thetas);
    }
    {
      INFO("GainAverage");
      const auto gain = [](std::uint64_t k) { return 1 / static_cast<double>(k); };
      check_averager(polyak::GainAverage<double>{{.gain = gain, .start = start, .every = every}}, run, thetas);
    }
  }
}

/// Alone, an EMA without correction is given its start, which is its average at once, as it is torch's; its steps are
/// then counted from there.
void check_started_ema(polyak::Ema<double> ema, const Rows& run, const Thetas& thetas, std::uint64_t start) {
  REQUIRE(run.size() == thetas.size());
  ema.start_from(thetas[start]);
  for (std::size_t t = start + 1; t < run.size(); ++t) {
    INFO("alone, after step " << t);
    ema.update(thetas[t]);
    CHECK(ema.count() + 1 == run[t].integer("count"));
    check_close(ema.average(), run[t].vector("average"));
  }
}

TEST_CASE("Ema without correction is torch's AveragedModel with an EMA as avg_fn", "[fixtures]") {
  const auto thetas = read_trajectory();
  const auto table = fixtures::read("averages.csv");
  for (const auto& run : average_runs(table, "ema", 8)) {
    const Row& first = run.front();
    const double decay = first.number("decay");
    const std::uint64_t start = first.integer("start");
    const std::uint64_t every = first.integer("every");
    INFO("averages.csv, " << description(first, average_columns));
    check_started_ema(polyak::Ema<double>{{.decay = decay, .bias_correction = false, .every = every}}, run, thetas,
                      start);
    if (every == 1) {
      // The start is the weights just before the first fold.
      INFO("Ema");
      check_averager(polyak::Ema<double>{{.decay = decay, .bias_correction = false, .start = start + 1}}, run, thetas,
                     1);
    }
    if (start >= 1) {
      INFO("GainAverage whose first gain is 1");
      const auto gain = [decay](std::uint64_t k) { return k == 1 ? 1 : 1 - decay; };
      check_averager(polyak::GainAverage<double>{{.gain = gain, .start = start, .every = every}}, run, thetas);
    }
  }
}

TEST_CASE("Ema with a DecayWarmup is torch's AveragedModel with such an avg_fn", "[fixtures]") {
  const auto thetas = read_trajectory();
  const auto table = fixtures::read("averages.csv");
  for (const auto& run : average_runs(table, "ema warming up", 1)) {
    const polyak::DecayWarmup decay{{.limit = run.front().number("decay")}};
    const polyak::Ema<double> ema{{.decay = decay, .bias_correction = false}};
    INFO("averages.csv, " << description(run.front(), average_columns));
    check_started_ema(ema, run, thetas, 0);
    check_averager(polyak::Ema<double>{{.decay = decay, .bias_correction = false}}, run, thetas, 1);
  }
}

TEST_CASE("Ema with bias correction is Adam's corrected first moment", "[fixtures]") {
  const auto thetas = read_trajectory();
  const auto table = fixtures::read("averages.csv");
  for (const auto& run : average_runs(table, "corrected", 3)) {
    INFO("averages.csv, " << description(run.front(), average_columns));
    check_averager(polyak::Ema<double>{{.decay = run.front().number("decay")}}, run, thetas);
  }
}

// --- schedules ---

/// `make` builds the schedule from the options in a row.
template <class Make>
void check_schedule(const std::string& file, const std::vector<std::string>& columns, std::size_t count, Make make) {
  const auto table = fixtures::read(file);
  for (const auto& run : read_runs(table, columns, count)) {
    INFO(file << ", " << description(run.front(), columns));
    const auto schedule = make(run.front());
    for (const Row& row : run) {
      INFO("step " << row.text("t"));
      check_close(schedule(row.integer("t")), row.number("learning_rate"));
    }
  }
}

/// A rate by StepLR as the columns give it, or a number where its factor is 1.
polyak::Hyperparameter step_decay(double initial, const Row& row, const std::string& prefix) {
  const double factor = row.number(prefix + "_factor");
  if (factor == 1) return initial;
  return polyak::StepDecay{{.initial = initial, .factor = factor, .period = row.integer(prefix + "_period")}};
}

TEST_CASE("StepDecay is torch's StepLR", "[fixtures]") {
  check_schedule("step_decay.csv", {"initial", "factor", "period"}, 3, [](const Row& row) {
    return polyak::StepDecay{
        {.initial = row.number("initial"), .factor = row.number("factor"), .period = row.integer("period")}};
  });
}

TEST_CASE("Cosine is torch's CosineAnnealingLR up to T_max", "[fixtures]") {
  check_schedule("cosine.csv", {"initial", "final", "steps"}, 4, [](const Row& row) {
    return polyak::Cosine{
        {.initial = row.number("initial"), .final = row.number("final"), .steps = row.integer("steps")}};
  });
}

TEST_CASE("LinearWarmup is torch's LinearLR and in front of a schedule its SequentialLR", "[fixtures]") {
  const std::vector<std::string> columns = {"target", "start_factor", "steps", "then_factor", "then_period"};
  check_schedule("linear_warmup.csv", columns, 8, [](const Row& row) {
    return polyak::LinearWarmup{{.start_factor = row.number("start_factor"),
                                 .steps = row.integer("steps"),
                                 .then = step_decay(row.number("target"), row, "then")}};
  });
}

TEST_CASE("Triangular is torch's CyclicLR", "[fixtures]") {
  check_schedule("triangular.csv", {"min", "max", "half_period"}, 3, [](const Row& row) {
    return polyak::Triangular{
        {.min = row.number("min"), .max = row.number("max"), .half_period = row.integer("half_period")}};
  });
}

TEST_CASE("InverseTime is the same formula in torch's LambdaLR", "[fixtures]") {
  const std::vector<std::string> columns = {"initial", "timescale", "power"};
  check_schedule("inverse_time.csv", columns, 4, [](const Row& row) {
    return polyak::InverseTime{
        {.initial = row.number("initial"), .timescale = row.number("timescale"), .power = row.number("power")}};
  });
}

TEST_CASE("BottouDecay is InverseTime of power 1", "[fixtures]") {
  const auto table = fixtures::read("inverse_time.csv");
  std::size_t found = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Row row = table[i];
    if (row.number("power") != 1) continue;
    ++found;
    const double initial = row.number("initial");
    INFO("inverse_time.csv, power 1, step " << row.text("t"));
    const polyak::BottouDecay schedule{{.initial = initial, .lambda = 1 / (initial * row.number("timescale"))}};
    check_close(schedule(row.integer("t")), row.number("learning_rate"));
  }
  CHECK(found == 25);
}

TEST_CASE("SwaAnneal is torch's SWALR after another schedule", "[fixtures]") {
  const std::vector<std::string> columns = {"shape", "initial",      "before_factor", "before_period",
                                            "start", "anneal_steps", "target"};
  check_schedule("swa_anneal.csv", columns, 24, [](const Row& row) {
    const bool linear = row.text("shape") == "linear";
    REQUIRE((linear || row.text("shape") == "cosine"));
    return polyak::SwaAnneal{{.before = step_decay(row.number("initial"), row, "before"),
                              .start = row.integer("start"),
                              .anneal_steps = row.integer("anneal_steps"),
                              .target = row.number("target"),
                              .shape = linear ? polyak::AnnealShape::linear : polyak::AnnealShape::cosine}};
  });
}

// --- the reader ---

fixtures::Table table_of(const std::string& text) {
  std::istringstream input(text);
  return {input, "some.csv"};
}

TEST_CASE("The fixture reader reads what is there and nothing else", "[fixtures]") {
  const auto table = table_of("# told\nrun,t,x_0,x_1\na,0,1,-2.5e-3\na,1,0,4\nb,0,7,8\n");
  REQUIRE(table.size() == 3);
  CHECK(table[0].text("run") == "a");
  CHECK(table[1].integer("t") == 1);
  CHECK(table[0].number("x_1") == -2.5e-3);
  CHECK((table[2].vector("x") == VectorXd{{7, 8}}));
  const auto runs = table.runs({"run"});
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].size() == 2);

  CHECK_THROWS_WITH(table[1].text("y"), "some.csv:4: no column 'y'");
  CHECK_THROWS_WITH(table[1].vector("y"), "some.csv:4: no column 'y_0'");
  CHECK_THROWS_WITH(table[1].number("run"), "some.csv:4: column 'run' must be a finite number, got 'a'");
  CHECK_THROWS_WITH(table[0].integer("x_1"), "some.csv:3: column 'x_1' must be a whole number, got '-2.5e-3'");
}

TEST_CASE("The fixture reader refuses a malformed file", "[fixtures]") {
  CHECK_THROWS_WITH(table_of(""), "some.csv:0: no rows");
  CHECK_THROWS_WITH(table_of("# told\na,b\n"), "some.csv:2: no rows");
  CHECK_THROWS_WITH(table_of("a,a\n1,2\n"), "some.csv:1: two columns 'a'");
  CHECK_THROWS_WITH(table_of("a,\n1,2\n"), "some.csv:1: a column without a name");
  CHECK_THROWS_WITH(table_of("a,b\n1,2\n3\n"), "some.csv:3: expected 2 cells, got 1");
  CHECK_THROWS_WITH(table_of("a,b\n1,2,3\n"), "some.csv:2: expected 2 cells, got 3");
  CHECK_THROWS_WITH(table_of("a,b\n1,2\n\n"), "some.csv:3: expected 2 cells, got 1");
  for (const std::string cell : {"", "nan", "inf", "-inf", "1e999", "1.5x", " 1", "1 ", "+1", ".5", "x"}) {
    const auto table = table_of("a,b\n" + cell + ",0\n");
    CHECK_THROWS_WITH(table[0].number("a"), "some.csv:2: column 'a' must be a finite number, got '" + cell + "'");
  }
  for (const std::string cell : {"", "-1", "1.0", "1e3", "99999999999999999999"}) {
    const auto table = table_of("a,b\n" + cell + ",0\n");
    CHECK_THROWS_WITH(table[0].integer("a"), "some.csv:2: column 'a' must be a whole number, got '" + cell + "'");
  }
  CHECK_THROWS_WITH(fixtures::read("absent.csv"), std::string(POLYAK_FIXTURE_DIR) + "/absent.csv:0: cannot be opened");
}

}  // namespace
