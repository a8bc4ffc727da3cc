#include <polyak/polyak.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/SparseCore>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "sanitized.hpp"
#include "serialize/archive.hpp"
#include "sparse/dense_model.hpp"
#include "support.hpp"

namespace {

using namespace polyak;
using dense::Input;
using dense::Inputs;
using support::error_of;

constexpr int features = 16;
/// Steps of a long run; where they take minutes, what shows that every path is sound.
constexpr std::uint64_t many = support::slow ? 20'000 : support::patient ? 1'000'000 : 100'000;
constexpr std::uint64_t fewer = support::slow ? 10'000 : support::patient ? 200'000 : 20'000;

struct Agreement {
  double error = 0;  // the largest of what was met on the way
  std::uint64_t sweeps = 0;
};

/// Trains a sparse model and its dense definition on the same derivatives, which follow from the latter's scores.
template <class Scalar = double, template <class, class> class Sparse, class Options, class Averager>
Agreement compare(const Options& options, const Averager& averager, std::uint64_t steps) {
  Sparse<Averager, Scalar> model(options, averager);
  dense::Model<Options, Averager> definition(options, averager);
  Inputs inputs(static_cast<int>(options.features), 4, 7);
  support::Random random(11);
  std::vector<double> derivatives(options.outputs);
  Agreement agreement;
  for (std::uint64_t t = 1; t <= steps; ++t) {
    const Input x = inputs.next();
    for (std::size_t o = 0; o < derivatives.size(); ++o) {
      derivatives[o] = static_cast<double>(definition.score(x, static_cast<Eigen::Index>(o))) - random.uniform(-1, 2);
    }
    definition.step(x, derivatives);
    model.step(x.row(), derivatives);
    const bool early = t <= 64 || (t > 990 && t < 1100);
    if (early || t % (steps / 64) == 0) agreement.error = support::worse(agreement.error, definition.error_of(model));
  }
  CHECK(model.steps() == steps);
  CHECK(model.weights()(features - Inputs::never, 0) == 0);
  if (model.has_average()) CHECK(model.average()(features - Inputs::never, 0) == 0);
  agreement.sweeps = model.sweeps();
  return agreement;
}

template <class Averager>
Agreement compare_sgd(const Averager& averager, SparseSgdOptions options, std::uint64_t steps = many) {
  options.features = features;
  return compare<double, SparseSgd>(options, averager, steps);
}

constexpr double exact = 1e-12;
/// A mean that starts anew every thousand folds: its gains run through 1, 1/2, … 1/1000 again and again.
double restarting(std::uint64_t k) { return 1 / static_cast<double>((k - 1) % 1000 + 1); }

}  // namespace

TEST_CASE("Every averager agrees with the dense recursion over a long run", "[sparse]") {
  const auto check = [](const auto& averager) {
    CHECK(compare_sgd(averager, {.learning_rate = 0.1}).error <= exact);
    CHECK(compare_sgd(averager, {.learning_rate = 0.1, .l2 = 1e-3}).error <= exact);
  };
  SECTION("as the table of parts has them") {
    parts::for_each_averager<default_shadow>([](const char* name, const auto& averager) {
      if constexpr (GainAverager<std::remove_cvref_t<decltype(averager)>>) {
        INFO(name);
        CHECK(compare_sgd(averager, {.learning_rate = 0.1}, 20'000).error <= exact);
      }
    });
  }
  SECTION("TailAverage") { check(TailAverage{}); }
  SECTION("TailAverage, delayed, every 7") { check(TailAverage{{.start = 1000, .every = 7}}); }
  SECTION("Swa") { check(Swa{{.start = many / 2, .period = 1000}}); }
  SECTION("Ema") { check(Ema{{.decay = 0.999}}); }
  SECTION("Ema without bias correction") { check(Ema{{.decay = 0.9999, .bias_correction = false}}); }
  SECTION("Ema without bias correction, delayed") {
    check(Ema{{.decay = 0.999, .bias_correction = false, .start = 5000, .every = 3}});
  }
  SECTION("Ema with a growing decay") { check(Ema{{.decay = DecayWarmup{{.limit = 0.99999}}}}); }
  SECTION("Ema with a decay by the power of time") { check(Ema{{.decay = InverseGammaDecay{{}}}}); }
  SECTION("Ema with a half-life") { check(Ema{{.decay = HalfLife{{.steps = 10'000}}, .every = 3}}); }
  SECTION("Ema with a decay that rises to 1") {
    check(Ema{{.decay = [](std::uint64_t k) { return std::min(1.0, static_cast<double>(k) / 10'000); }}});
  }
  SECTION("Ema with a decay of 1") { check(Ema{{.decay = 1, .bias_correction = false, .start = 5000}}); }
  SECTION("PolynomialAverage") { check(PolynomialAverage{{.eta = 3}}); }
  SECTION("PowerEma") { check(PowerEma{{.relative_width = 0.05}}); }
  SECTION("AnytimeTailAverage") { check(AnytimeTailAverage{{.fraction = 0.5}}); }
  SECTION("GainAverage that starts anew") { check(GainAverage{{.gain = restarting}}); }
  SECTION("GainAverage that forgets nothing for long") {
    check(GainAverage{{.gain = [](std::uint64_t k) { return k % 1000 == 0 ? 0.5 : 0.0; }}});
  }
}

TEST_CASE("An EMA of any decay agrees with the dense recursion over a long run", "[sparse]") {
  const double decay = GENERATE(0.0, 1e-9, 0.1, 0.5, 0.9, 0.99, 0.9999, 0.99999, 0.999999);
  CAPTURE(decay);
  CHECK(compare_sgd(Ema{{.decay = decay}}, {.learning_rate = 0.1}).error <= exact);
}

TEST_CASE("A decay of 1 keeps an intercept that is no number out of the average", "[sparse]") {
  SparseSgd model{{.features = 1, .learning_rate = 1}, Ema{{.decay = [](std::uint64_t k) { return k == 0 ? 0 : 1; }}}};
  const std::vector<int> none;
  const std::vector<double> nothing;
  model.step(SparseRow{none, nothing}, -2.0);
  model.step(SparseRow{none, nothing}, -support::infinity);
  CHECK(model.intercept()[0] == support::infinity);
  CHECK(model.average_intercept()[0] == 2);
  CHECK(model.count() == 2);
}

TEST_CASE("Shrinkage that underflows any scale agrees with the dense recursion", "[sparse]") {
  const double l2 = GENERATE(1e-5, 0.01, 0.5, 5.0, 9.0, 9.999, 10.0);
  CAPTURE(l2);
  const SparseSgdOptions options{.learning_rate = 0.1, .l2 = l2};
  CHECK(compare_sgd(TailAverage{}, options).error <= exact);
  CHECK(compare_sgd(Ema{{.decay = 0.999}}, options).error <= exact);
  CHECK(compare_sgd(Ema{{.decay = 0.5, .start = 100, .every = 10}}, options).error <= exact);
  CHECK(compare_sgd(GainAverage{{.gain = restarting}}, options, many / 10).error <= exact);
}

TEST_CASE("Falling and cycling rates agree with the dense recursion", "[sparse]") {
  const auto rate = GENERATE(Hyperparameter(InverseTime{{.initial = 0.5, .timescale = 1000, .power = 0.75}}),
                             Hyperparameter([](std::uint64_t t) { return t % 2 == 0 ? 0.2 : 0.0; }));
  const SparseSgdOptions options{.learning_rate = rate, .l2 = 0.01, .intercept_rate = 0.01};
  CHECK(compare_sgd(TailAverage{}, options).error <= exact);
  CHECK(compare_sgd(Ema{{.decay = 0.9999}}, options).error <= exact);
}

TEST_CASE("L1 keeps the average that the dense recursion has", "[sparse]") {
  const double l1 = GENERATE(1e-4, 0.05, 1.0);
  const double l2 = GENERATE(0.0, 0.01);
  CAPTURE(l1, l2);
  const SparseSgdOptions options{.learning_rate = 0.1, .l2 = l2, .l1 = l1};
  CHECK(compare_sgd(TailAverage{}, options, many / 5).error <= exact);
  CHECK(compare_sgd(Ema{{.decay = 0.999}}, options, many / 5).error <= exact);
  CHECK(compare_sgd(GainAverage{{.gain = restarting}}, options, many / 5).error <= exact);
}

TEST_CASE("L1 sets weights to exactly zero", "[sparse]") {
  SparseSgd model{{.features = 2, .learning_rate = 0.1, .l1 = 1, .intercept = false}, TailAverage{}};
  Eigen::SparseVector<double> x(2);
  x.insert(0) = 1;
  model.step(x, -5.0);  // to 0.5, less 0.1
  CHECK(model.weights()(0, 0) == Approx(0.4).epsilon(1e-15));
  Eigen::SparseVector<double> other(2);
  other.insert(1) = 1;
  for (int i = 0; i < 10; ++i) model.step(other, 0.0);
  CHECK(model.weights()(0, 0) == Approx(0.4).epsilon(1e-15));  // owes 1 by now, and pays when it is next seen
  model.step(x, 0.0);
  CHECK(model.weights()(0, 0) == 0);
  CHECK(model.average()(0, 0) == Approx(0.4 * 11 / 12).epsilon(1e-15));
}

TEST_CASE("Per-coordinate rates agree with the dense recursion", "[sparse]") {
  SparseAdagradOptions options{.features = features, .learning_rate = 0.1};
  SECTION("plain") {}
  SECTION("shrinking") { options.l2 = 0.01; }
  SECTION("penalised") { options.l1 = 0.01; }
  SECTION("several outputs") { options.outputs = 3; }
  SECTION("a first sum, and a rate for the intercept") {
    options.initial_accumulator = 0.1;
    options.epsilon = 0.01;
    options.intercept_rate = 0.5;
  }
  CHECK(compare<double, SparseAdagrad>(options, TailAverage{}, fewer).error <= exact);
  CHECK(compare<double, SparseAdagrad>(options, Ema{{.decay = 0.999}}, fewer).error <= exact);
}

TEST_CASE("Several outputs agree with the dense recursion", "[sparse]") {
  SparseSgdOptions options{.features = features, .outputs = 3, .learning_rate = 0.1, .l2 = 0.01};
  SECTION("shrinking") {}
  SECTION("penalised") { options.l1 = 0.01; }
  SECTION("without intercepts") { options.intercept = false; }
  CHECK(compare<double, SparseSgd>(options, TailAverage{}, fewer).error <= exact);
  CHECK(compare<double, SparseSgd>(options, Ema{{.decay = 0.999}}, fewer).error <= exact);
}

TEST_CASE("Weights in float agree with the dense recursion to float's precision", "[sparse]") {
  SparseSgdOptions options{.features = features, .learning_rate = 0.1};
  SECTION("plain") {}
  SECTION("shrinking slowly") { options.l2 = 1e-3; }
  SECTION("shrinking fast") { options.l2 = 9; }
  SECTION("several outputs") { options.outputs = 2; }
  SECTION("penalised") { options.l1 = 0.001; }
  const auto error = [&](const auto& averager) { return compare<float, SparseSgd>(options, averager, fewer).error; };
  CHECK(error(TailAverage{}) <= 1e-4);
  CHECK(error(Ema{{.decay = 0.5}}) <= 1e-4);
  CHECK(error(Ema{{.decay = 0.99999}}) <= 1e-4);
}

TEST_CASE("What sweeps over all features cost is known", "[sparse]") {
  // The scales lose a factor of 2^240 before they are folded back.
  const double bits = 240 * std::log(2.0);
  const std::uint64_t steps = 100'000;
  const auto sweeps = [&](const auto& averager, double l2) {
    return static_cast<double>(compare_sgd(averager, {.learning_rate = 0.1, .l2 = l2}, steps).sweeps);
  };
  CHECK(sweeps(TailAverage{}, 0) == 0);
  CHECK(sweeps(Ema{{.decay = 0.0}}, 0) == 0);
  CHECK(sweeps(Ema{{.decay = 0.999999}}, 0) == 0);
  CHECK(sweeps(Ema{{.decay = 0.99}}, 0) == Approx(steps * 0.01 / bits).epsilon(0.1));
  CHECK(sweeps(Ema{{.decay = 0.9}}, 0.1) <= 2 * steps * 0.12 / bits);
  CHECK(sweeps(Swa{{.start = 99'999}}, 1) == Approx(steps * 0.1 / bits).epsilon(0.1));
  CHECK(sweeps(GainAverage{{.gain = restarting}}, 0) == 99);
  // The weights shrink by 32 below their mean since the last sweep: (e^x − 1)/x = 32 at x = 5.2.
  CHECK(sweeps(TailAverage{}, 0.1) == Approx(steps * 0.01 / 5.2).epsilon(0.1));
}

TEST_CASE("All kinds of sparse inputs are one", "[sparse]") {
  const std::vector<int> indices{6, 1, 4};
  const std::vector<double> values{0.5, -1, 2};
  Eigen::SparseVector<double> vector(8);
  Eigen::SparseMatrix<double, Eigen::RowMajor> matrix(3, 8);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    vector.insert(indices[i]) = values[i];
    matrix.insert(1, indices[i]) = values[i];
  }
  matrix.insert(0, 3) = 9;
  matrix.insert(2, 3) = 9;
  const auto trained = [&](const auto& x) {
    SparseSgd model{{.features = 8, .learning_rate = 0.1}, Ema{{.decay = 0.9}}};
    for (int t = 0; t < 3; ++t) model.step(x, [](double score) { return score - 1; });
    Eigen::VectorXd result(11);
    result << model.weights(), model.predict(x), model.predict_average(x), model.average()(4, 0);
    return result;
  };
  const Eigen::VectorXd expected = trained(vector);
  const auto same = [&](const Eigen::VectorXd& actual) { CHECK(support::largest(actual - expected) <= 1e-15); };
  same(trained(matrix.row(1)));  // with gaps between the rows
  matrix.makeCompressed();
  same(trained(matrix.row(1)));
  const auto& constant = matrix;
  same(trained(constant.row(1)));
  same(trained(SparseRow<int, double>{indices, values}));
  same(trained(SparseRow{std::span(indices), std::span(values)}));
  same(trained(SparseRow{indices, values}));
  same(trained(SparseRow{std::array{6, 1, 4}, std::array{0.5, -1.0, 2.0}}));
  const std::vector<std::uint64_t> wide(indices.begin(), indices.end());
  same(trained(SparseRow<std::uint64_t, double>{wide, values}));
  const std::vector<float> narrow(values.begin(), values.end());
  same(trained(SparseRow<int, float>{indices, narrow}));
  const std::vector<int> twice{6, 1, 4, 1};
  const std::vector<double> halves{0.5, -0.5, 2, -0.5};
  same(trained(SparseRow<int, double>{twice, halves}));
}

TEST_CASE("One output and several, a function and its value, take the same steps", "[sparse]") {
  const std::vector<int> indices{0, 2, 3, 5, 6};
  const std::vector<double> values{1, -1, 2, 0.5, 3};
  const SparseRow<int, double> x{indices, values};
  SparseSgdOptions options{.features = 7, .learning_rate = 0.05, .l2 = 0.1};
  SparseSgd one{options, Ema{{.decay = 0.9}}};
  SparseSgd given{options, Ema{{.decay = 0.9}}};
  options.outputs = 2;
  SparseSgd two{options, Ema{{.decay = 0.9}}};
  std::vector<double> scores(2);
  for (int t = 0; t < 20; ++t) {
    const double score = one.predict(x);
    scores.resize(1);
    one.predict(x, scores);
    CHECK(scores[0] == score);
    scores.resize(2);
    one.step(x, [&](double s) {
      CHECK(s == score);
      return s - 1;
    });
    given.step(x, score - 1);
    two.step(x, [](std::span<const double> s, std::span<double> derivatives) {
      derivatives[0] = s[0] - 1;
      derivatives[1] = s[1] + 2;
    });
    CHECK(given.weights() == one.weights());
    two.predict(x, scores);
    CHECK(scores[0] == Approx(one.predict(x)).epsilon(1e-13));
    two.predict_average(x, scores);
    CHECK(scores[0] == Approx(one.predict_average(x)).epsilon(1e-13));
    CHECK(scores[1] == Approx(-2 * scores[0]).epsilon(1e-13));
  }
  CHECK(one.count() == 20);
  CHECK(one.memory() == 7 * 2 * sizeof(double));
  CHECK(two.memory() == 7 * 2 * 2 * sizeof(double));
  CHECK(one.effective_sample_size() > 8);
}

TEST_CASE("A score is the product with the weights that are read out", "[sparse]") {
  SparseSgd model{{.features = features, .outputs = 1, .learning_rate = 0.1, .l2 = 0.1}, Ema{{.decay = 0.99}}};
  Inputs inputs(features, 9, 3);
  for (int t = 0; t < 500; ++t) {
    const Input x = inputs.next();
    model.step(x.row(), [](double score) { return score - 1; });
    const Eigen::VectorXd weights = model.weights();
    const Eigen::VectorXd average = model.average();
    double score = model.intercept()[0];
    double average_score = model.average_intercept()[0];
    for (std::size_t i = 0; i < x.indices.size(); ++i) {
      score += weights[x.indices[i]] * x.values[i];
      average_score += average[x.indices[i]] * x.values[i];
    }
    CHECK(std::abs(model.predict(x.row()) - score) <= 1e-14);
    CHECK(std::abs(model.predict_average(x.row()) - average_score) <= 1e-14);
  }
}

TEST_CASE("reset begins anew", "[sparse]") {
  const auto run = [](auto& model) {
    Inputs inputs(features, 4, 3);
    for (int t = 0; t < 3000; ++t) model.step(inputs.next().row(), [](double score) { return score - 1; });
    Eigen::MatrixXd result(features, 2);
    result << model.weights(), model.average();
    return result;
  };
  SparseAdagrad model{{.features = features, .l2 = 1, .l1 = 0.01, .initial_accumulator = 1}, Ema{{.decay = 0.9}}};
  const Eigen::MatrixXd first = run(model);
  CHECK(model.sweeps() > 0);
  model.reset();
  CHECK(model.steps() == 0);
  CHECK(model.sweeps() == 0);
  CHECK_FALSE(model.has_average());
  CHECK(model.weights().isZero(0));
  CHECK(model.intercept().isZero(0));
  auto copy = model;
  CHECK(run(model) == first);
  CHECK(run(copy) == first);
}

TEST_CASE("What fails in a step leaves the model as it was", "[sparse]") {
  bool bad = false;
  SparseSgd model{
      {.features = 4, .learning_rate = [&bad](std::uint64_t) { return bad ? support::not_a_number : 0.1; }, .l2 = 0.5},
      GainAverage{{.gain = [&bad](std::uint64_t k) { return bad && k > 5 ? 2.0 : 0.5; }}}};
  const std::vector<int> indices{1, 3};
  const std::vector<double> values{1, 2};
  const SparseRow<int, double> x{indices, values};
  const auto derivative = [](double score) { return score - 1; };
  for (int t = 0; t < 5; ++t) model.step(x, derivative);
  const Eigen::MatrixXd weights = model.weights();
  const Eigen::MatrixXd average = model.average();
  const auto refuses = [&](const std::string& error, auto f) {
    CHECK(error_of(f) == error);
    CHECK(model.weights() == weights);
    CHECK(model.average() == average);
    CHECK(model.steps() == 5);
  };
  const std::vector<int> beyond{1, 4};
  const std::vector<int> negative{-2, 1};
  const std::vector<double> single{1};
  refuses("invalid_argument: polyak::SparseSgd: indices must be below 4, got 4", [&] {
    model.step(SparseRow<int, double>{beyond, values}, derivative);
  });
  refuses("invalid_argument: polyak::SparseSgd: indices must be >= 0, got -2", [&] {
    model.step(SparseRow<int, double>{negative, values}, 1.0);
  });
  refuses("invalid_argument: polyak::SparseSgd: a row needs as many values as indices, 2, got 1", [&] {
    model.step(SparseRow<int, double>{indices, single}, derivative);
  });
  refuses("invalid_argument: polyak::SparseSgd: an input must have as many coordinates as there are features, 4, got 5",
          [&] { model.step(Eigen::SparseVector<double>(5), derivative); });
  refuses("invalid_argument: polyak::SparseSgd: there must be as many scores or derivatives as outputs, 1, got 2",
          [&] { model.step(x, std::span<const double>(values)); });
  std::vector<double> scores(2);
  refuses("invalid_argument: polyak::SparseSgd: there must be as many scores or derivatives as outputs, 1, got 2",
          [&] { model.predict_average(x, scores); });
  refuses("logic_error: stop", [&] { model.step(x, [](double) -> double { throw std::logic_error("stop"); }); });
  bad = true;
  refuses("invalid_argument: polyak::SparseSgd: learning_rate must be finite and >= 0, got nan",
          [&] { model.step(x, derivative); });
}

TEST_CASE("What does not fit is refused, whichever way a sparse model is asked", "[sparse]") {
  const SparseSgd fresh{{.features = 4}};
  SparseSgd one{{.features = 4}};
  SparseSgd two{{.features = 4, .outputs = 2}};
  const std::array value{1.0};
  const std::array within{1}, beyond{4};
  const SparseRow x{within, value}, far{beyond, value};
  one.step(x, 1.0);
  two.step(x, std::array{1.0, 1.0});
  std::vector<double> scores(2);
  const std::span<double> first(scores.data(), 1);
  const auto put = [](std::span<const double>, std::span<double>) {};
  const auto refuses = [](const std::string& error, auto f) { CHECK(error_of(f) == error); };

  const std::string index = "invalid_argument: polyak::SparseSgd: indices must be below 4, got 4";
  refuses(index, [&] { static_cast<void>(one.predict(far)); });
  refuses(index, [&] { one.predict(far, first); });
  refuses(index, [&] { static_cast<void>(one.predict_average(far)); });
  refuses(index, [&] { two.predict_average(far, scores); });
  refuses(index, [&] { one.step(far, 1.0); });
  refuses(index, [&] { one.step(far, [](double) { return 1.0; }); });
  refuses(index, [&] { two.step(far, put); });

  const std::string outputs =
      "invalid_argument: polyak::SparseSgd: there must be as many scores or derivatives as outputs, ";
  refuses(outputs + "2, got 1", [&] { static_cast<void>(two.predict(x)); });
  refuses(outputs + "1, got 2", [&] { one.predict(x, scores); });
  refuses(outputs + "2, got 1", [&] { two.predict(x, first); });
  refuses(outputs + "2, got 1", [&] { static_cast<void>(two.predict_average(x)); });
  refuses(outputs + "2, got 1", [&] { two.step(x, 1.0); });
  refuses(outputs + "2, got 1", [&] { two.step(x, [](double) { return 1.0; }); });

  const std::string average =
      "logic_error: polyak::SparseSgd: there is no average before the first fold, due at step 1, got 0 steps";
  refuses(average, [&] { static_cast<void>(fresh.predict_average(x)); });
  refuses(average, [&] { fresh.predict_average(x, first); });
  refuses(average, [&] { static_cast<void>(fresh.average()); });
  refuses(average, [&] { static_cast<void>(fresh.average_intercept()); });
  CHECK(one.steps() == 1);
  CHECK(two.steps() == 1);
}

TEST_CASE("Sparse models refuse options out of range", "[sparse]") {
  const auto refusal = [](SparseSgdOptions options) { return error_of([&] { SparseSgd<>{options}; }); };
  CHECK(refusal({}) == "invalid_argument: polyak::SparseSgd: features must be >= 1, got 0");
  CHECK(refusal({.features = 1, .outputs = 0}) == "invalid_argument: polyak::SparseSgd: outputs must be >= 1, got 0");
  CHECK(refusal({.features = std::size_t{1} << 62, .outputs = 4}) ==
        "invalid_argument: polyak::SparseSgd: features times outputs must fit in memory, got 4611686018427387904");
  CHECK(refusal({.features = 1, .learning_rate = -1}) ==
        "invalid_argument: polyak::SparseSgd: learning_rate must be finite and >= 0, got -1");
  CHECK(refusal({.features = 1, .learning_rate = 2, .l2 = 0.75}) ==
        "invalid_argument: polyak::SparseSgd: learning_rate times l2 must be <= 1, got 1.5");
  CHECK(refusal({.features = 1, .l2 = support::not_a_number}) ==
        "invalid_argument: polyak::SparseSgd: l2 must be finite and >= 0, got nan");
  CHECK(refusal({.features = 1, .l1 = -1}) ==
        "invalid_argument: polyak::SparseSgd: l1 must be finite and >= 0, got -1");
  CHECK(refusal({.features = 1, .intercept_rate = -1}) ==
        "invalid_argument: polyak::SparseSgd: intercept_rate must be finite and >= 0, got -1");
  CHECK(error_of([] { SparseAdagrad<>{{.features = 1, .initial_accumulator = -1}}; }) ==
        "invalid_argument: polyak::SparseAdagrad: initial_accumulator must be finite and >= 0, got -1");
  CHECK(error_of([] { SparseAdagrad<>{{.features = 1, .epsilon = support::infinity}}; }) ==
        "invalid_argument: polyak::SparseAdagrad: epsilon must be finite and >= 0, got inf");
  TailAverage<> used;
  used.update(Eigen::VectorXd(Eigen::VectorXd::Zero(2)));
  CHECK(error_of([&] { SparseSgd(SparseSgdOptions{.features = 1}, used); }) ==
        "logic_error: polyak::SparseSgd: the averager must not be in use already");
  Ema<> started;
  started.start_from(Eigen::VectorXd(Eigen::VectorXd::Zero(2)));
  CHECK(error_of([&] { SparseSgd(SparseSgdOptions{.features = 1}, started); }) ==
        "logic_error: polyak::SparseSgd: the averager must not be in use already");
}

TEST_CASE("Sparse models refuse more numbers than memory can have", "[sparse]") {
  constexpr std::size_t most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(double);
  const auto refused = [](std::size_t d, std::size_t k) {
    return error_of([&] { SparseSgd<>{{.features = d, .outputs = k}}; }) ==
           "invalid_argument: polyak::SparseSgd: features times outputs must fit in memory, got " + std::to_string(d);
  };
  CHECK(refused(most / 2 + 1, 1));
  CHECK(refused(1, most / 3 + 1));
  CHECK(refused(1, most));
  if constexpr (!support::sanitized) {  // whose allocator ends the program
    CHECK_THROWS_AS((SparseSgd<>{{.features = most / 2}}), std::bad_alloc);
    CHECK_THROWS_AS((SparseSgd<>{{.features = 1, .outputs = most / 3}}), std::bad_alloc);
  }
}

TEST_CASE("the defaults of sparse models are those of Sgd and Adagrad", "[sparse]") {
  const auto check = [](const auto& options) {
    CHECK(options.features == 0);
    CHECK(options.outputs == 1);
    CHECK(options.learning_rate(0) == 0.01);
    CHECK(options.l2 == 0);
    CHECK(options.l1 == 0);
    CHECK(options.intercept);
    CHECK(options.intercept_rate == 1);
    CHECK(options.non_finite == NonFinite::propagate);
  };
  check(SparseSgdOptions{});
  check(SparseAdagradOptions{});
  CHECK(SparseAdagradOptions{}.initial_accumulator == AdagradOptions{}.initial_accumulator);
  CHECK(SparseAdagradOptions{}.epsilon == AdagradOptions{}.epsilon);
}

TEST_CASE("Inputs, averagers and derivatives are told apart by concepts", "[sparse]") {
  STATIC_REQUIRE(SparseInput<Eigen::SparseVector<double>>);
  STATIC_REQUIRE(SparseInput<Eigen::SparseVector<float, 0, std::int64_t>>);
  STATIC_REQUIRE(SparseInput<Eigen::Ref<const Eigen::SparseVector<double>>>);
  STATIC_REQUIRE(SparseInput<SparseRow<std::uint16_t, float>>);
  STATIC_REQUIRE_FALSE(SparseInput<Eigen::SparseMatrix<double>>);
  STATIC_REQUIRE_FALSE(SparseInput<Eigen::VectorXd>);
  STATIC_REQUIRE_FALSE(SparseInput<Eigen::SparseVector<int>>);
  STATIC_REQUIRE_FALSE(SparseInput<decltype(std::declval<Eigen::SparseMatrix<double>&>().row(0))>);
  STATIC_REQUIRE(SparseInput<decltype(std::declval<Eigen::SparseMatrix<double>&>().col(0))>);
  STATIC_REQUIRE(GainAverager<Swa<>>);
  STATIC_REQUIRE(GainAverager<GainAverage<float>>);
  STATIC_REQUIRE_FALSE(GainAverager<Lawa<>>);
}

TEST_CASE("Steps too small to move a weight do not move its average", "[sparse]") {
  const auto check = [](auto model, double small) {
    const std::array index{0};
    const std::array one{1.0};
    model.step(SparseRow{index, one}, -1.0);
    for (std::uint64_t t = 0; t < many; ++t) model.step(SparseRow{index, one}, -small);
    CHECK(model.weights()(0, 0) == 1);
    CHECK(std::abs(model.average()(0, 0) - 1) < 1e-12);
  };
  const SparseSgdOptions options{.features = 1, .learning_rate = 1, .intercept = false};
  check(SparseSgd<TailAverage<>, float>(options), 2e-8);
  check(SparseSgd<Ema<>, float>(options, Ema{{.decay = 0.9999}}), 2e-8);
  check(SparseSgd<TailAverage<>, double>(options), 1e-19);
  check(SparseSgd<Ema<>, double>(options, Ema{{.decay = 0.9999}}), 1e-19);
  SparseSgdOptions penalised = options;
  penalised.l1 = 1e-300;
  check(SparseSgd<TailAverage<>, double>(penalised), 1e-17);
}

TEST_CASE("Indices of narrow types that are negative are refused", "[sparse]") {
  SparseSgd model{{.features = 100'000}};
  const std::array value{1.0};
  const auto refused = [&](auto index) {
    return error_of([&] { static_cast<void>(model.predict(SparseRow{std::array{index}, value})); });
  };
  const std::string rule = "invalid_argument: polyak::SparseSgd: indices must be ";
  CHECK(refused(std::int8_t{-1}) == rule + ">= 0, got -1");
  CHECK(refused(std::int16_t{-7}) == rule + ">= 0, got -7");
  CHECK(refused(std::int32_t{-7}) == rule + ">= 0, got -7");
  CHECK(refused(std::int64_t{-7}) == rule + ">= 0, got -7");
  CHECK(refused(std::int32_t{100'000}) == rule + "below 100000, got 100000");
  CHECK(refused(~std::uint64_t{0}) == rule + "below 100000, got 18446744073709551615");
  CHECK(refused(std::uint16_t{65'535}) == "nothing");
  CHECK(refused(std::int8_t{127}) == "nothing");
}

TEMPLATE_TEST_CASE("An index out of range is found wherever it stands", "[sparse]", std::int8_t, std::int32_t,
                   std::uint64_t) {
  const SparseSgd model{{.features = 100}};
  for (std::size_t n = 1; n <= 40; ++n) {
    const std::vector<double> values(n, 1.0);
    std::vector<TestType> indices(n, TestType{99});
    CHECK(error_of([&] { static_cast<void>(model.predict(SparseRow{indices, values})); }) == "nothing");
    std::size_t found = 0;
    for (TestType& index : indices) {
      index = 100;
      found += error_of([&] {
                 static_cast<void>(model.predict(SparseRow{indices, values}));
               }) == "invalid_argument: polyak::SparseSgd: indices must be below 100, got 100";
      index = 99;
    }
    CHECK(found == n);
  }
}

TEST_CASE("Eigen vectors will do for scores and derivatives", "[sparse]") {
  SparseSgd model{{.features = 2, .outputs = 2, .learning_rate = 1, .intercept = false}};
  const std::array index{1};
  const std::array value{2.0};
  const SparseRow x{index, value};
  Eigen::Vector2d scores;
  model.step(x, Eigen::Vector2d(-1, 3));
  model.predict(x, scores);
  CHECK(scores == Eigen::Vector2d(4, -12));
  model.predict_average(x, scores.head(2));
  CHECK(scores == Eigen::Vector2d(4, -12));
}

TEST_CASE("Derivatives that are not filled in are 0", "[sparse]") {
  SparseSgd model{{.features = 1, .outputs = 3, .learning_rate = 1, .intercept = false}};
  const std::array index{0};
  const std::array value{1.0};
  for (std::size_t o = 0; o < 2; ++o) {
    model.step(SparseRow{index, value}, [&](std::span<const double>, std::span<double> d) { d[o] = 1; });
  }
  CHECK(model.weights() == Eigen::MatrixXd{{-1, -1, 0}});
}

TEST_CASE("A gradient whose square underflows moves nothing by a rate of its own", "[sparse]") {
  SparseAdagrad model{{.features = 1, .learning_rate = 1, .epsilon = 0}};
  model.step(SparseRow{std::array{0}, std::array{1.0}}, 1e-170);
  CHECK(model.weights()(0, 0) == 0);
}

TEST_CASE("SparseAdagrad starts from its first sums, in every output", "[sparse]") {
  SparseAdagrad model{
      {.features = 2, .outputs = 2, .learning_rate = 1, .l1 = 1e-300, .initial_accumulator = 1, .epsilon = 0}};
  model.step(SparseRow{std::array{1}, std::array{0.75}}, std::array{1.0, -1.0});  // √(1 + 9/16) = 5/4
  CHECK(model.weights() == Eigen::MatrixXd{{0, 0}, {-0.6, 0.6}});
  CHECK(model.memory() == 2 * 2 * (3 + 1) * sizeof(double));
}

TEST_CASE("A weight may double, and return to exactly 0", "[sparse]") {
  SparseSgd model{{.features = 1, .outputs = 2, .learning_rate = 1, .l2 = 0.75}};
  const std::array index{0};
  const std::array value{1.0};
  const SparseRow x{index, value};
  const auto step = [&](double first, double second) { model.step(x, std::array{first, second}); };
  step(-2, -0.3);
  step(-0.5, 0.075);
  CHECK(model.weights()(0, 0) == 1);
  CHECK(model.weights()(0, 1) == 0);
}

TEST_CASE("What rounding drops from intercepts and from L1 is not lost", "[sparse]") {
  constexpr double huge = 0x1p53;  // where numbers lie 2 apart
  SparseSgd model{{.features = 1, .learning_rate = 1}};
  const std::array index{0};
  const std::array value{1.0};
  const SparseRow x{index, value};
  const SparseRow<int, double> none{};
  model.step(none, -huge);
  for (int t = 0; t < 4; ++t) model.step(none, -1.0);
  CHECK(model.intercept()[0] == huge + 4);

  const auto once_huge = [](std::uint64_t t) { return t == 0 ? huge : 1.0; };
  for (const double sign : {1.0, -1.0}) {
    SparseSgd penalised{{.features = 1, .learning_rate = once_huge, .l1 = 1, .intercept = false}};
    penalised.step(x, -2 * sign);
    CHECK(penalised.weights()(0, 0) == sign * huge);
    for (int t = 0; t < 3; ++t) penalised.step(none, 0.0);
    penalised.step(x, 0.0);
    CHECK(penalised.weights()(0, 0) == sign * (huge - 4));
  }
}

namespace {

template <template <class, class> class Model, class Scalar, class Options>
void check_left_out(Options options, double huge) {
  options.features = 4;
  options.learning_rate = 0.1;
  options.non_finite = NonFinite::skip;
  Model<Ema<>, Scalar> model(options, Ema{{.decay = 0.9}}), clean = model;
  options.non_finite = NonFinite::propagate;
  Model<Ema<>, Scalar> unguarded(options, Ema{{.decay = 0.9}});
  const std::vector<int> indices{0, 1, 3};
  const std::vector<double> derivatives(options.outputs, -0.5), nan(options.outputs, support::not_a_number),
      too_large(options.outputs, huge);
  for (int t = 0; t < 40; ++t) {
    const std::vector<double> values{1, -0.5 * t, t % 7 == 0 ? 1e6 : 2.0};  // more than 2^16 now and then
    for (const double bad : {support::not_a_number, support::infinity, -support::infinity, huge}) {
      std::vector<double> spoiled = values;
      spoiled[static_cast<std::size_t>(t % 3)] = bad;
      model.step(SparseRow{indices, spoiled}, derivatives);
    }
    model.step(SparseRow{indices, values}, nan);
    model.step(SparseRow{indices, values}, too_large);
    for (auto* each : {&model, &clean}) each->step(SparseRow{indices, values}, derivatives);
    unguarded.step(SparseRow{indices, values}, derivatives);
  }
  CHECK(model.skipped() == 6 * 40);
  CHECK(clean.skipped() == 0);
  CHECK(model.steps() == 40);
  CHECK(model.count() == 40);
  for (const auto* each : {&clean, &unguarded}) {
    CHECK(model.weights() == each->weights());
    CHECK(model.average() == each->average());
    CHECK(model.intercept() == each->intercept());
    CHECK(model.average_intercept() == each->average_intercept());
    CHECK(model.sweeps() == each->sweeps());
  }
  const auto saved = serialize::save(model), saved_clean = serialize::save(clean);
  REQUIRE(saved.size() == saved_clean.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < saved.size(); ++i) different += saved[i] != saved_clean[i];
  CHECK(different == 1);  // the lowest byte of skipped()
  serialize::load(saved, clean);
  CHECK(clean.skipped() == 6 * 40);
}

}  // namespace

TEMPLATE_TEST_CASE("A row that would spoil a sparse model leaves every bit of it alone", "[sparse]", float, double) {
  const double huge = sizeof(TestType) == 4 ? 1e200 : 1e308;
  for (const std::size_t outputs : {std::size_t{1}, std::size_t{3}}) {
    for (const double l1 : {0.0, 0.01}) {
      check_left_out<SparseSgd, TestType>(SparseSgdOptions{.outputs = outputs, .l2 = 0.5, .l1 = l1}, huge);
      check_left_out<SparseAdagrad, TestType>(SparseAdagradOptions{.outputs = outputs, .l2 = 0.5, .l1 = l1}, huge);
    }
  }
}

TEST_CASE("raise says which value, feature, output and step it was", "[sparse]") {
  const auto options = [](std::size_t outputs) {
    return SparseSgdOptions{.features = 8, .outputs = outputs, .learning_rate = 1, .non_finite = NonFinite::raise};
  };
  const std::array indices{2, 7};
  const auto row = [&](const std::array<double, 2>& values) { return SparseRow{indices, values}; };
  const std::array<double, 2> good{1, 2}, bad{1, support::not_a_number}, large{1, 1e200}, two{-1, 0.5},
      one_bad{-1, -support::infinity};
  SparseSgd<TailAverage<>, float> model(options(1));
  SparseSgd several(options(2));
  model.step(row(good), 1.0);
  several.step(row(good), two);
  const Eigen::MatrixXd before = model.weights();
  const auto error = [](const auto& f) {
    try {
      f();
    } catch (const std::runtime_error& refused) {
      return std::string(refused.what());
    }
    return std::string("nothing");
  };
  bool asked = false;
  CHECK(error([&] {
          model.step(row(bad), [&](double) {
            asked = true;
            return 0.0;
          });
        }) == "polyak::SparseSgd: values must be finite, got nan in feature 7 at step 2");
  CHECK_FALSE(asked);
  CHECK(error([&] { model.step(row(large), 1.0); }) ==
        "polyak::SparseSgd: a row must leave the model finite, got 1e+200 in feature 7 at step 2");
  CHECK(error([&] { model.step(row(good), support::infinity); }) ==
        "polyak::SparseSgd: derivatives must be finite, got inf in output 0 at step 2");
  CHECK(error([&] { several.step(row(good), one_bad); }) ==
        "polyak::SparseSgd: derivatives must be finite, got -inf in output 1 at step 2");
  const SparseRow<int, double> empty{};
  CHECK(error([&] { model.step(empty, 1e308); }) ==
        "polyak::SparseSgd: a step must leave the model finite, got 1e+308 in output 0 at step 2");
  CHECK(model.skipped() == 4);
  CHECK(several.skipped() == 1);
  CHECK(model.steps() == 1);
  CHECK(model.weights() == before);
  model.reset();
  CHECK(model.skipped() == 0);
  CHECK(error([&] { model.step(row(bad), 1.0); }).ends_with("at step 1"));
}

TEST_CASE("Many steps that are large, but not too large, never overflow what is guarded", "[sparse]") {
  const auto check = [](auto model, double value, double derivative) {
    const std::array indices{0, 1};
    const std::array values{value, 1.0};
    for (int t = 0; t < 3000; ++t) model.step(SparseRow{indices, values}, t % 50 == 49 ? -derivative : derivative);
    CHECK(model.steps() + model.skipped() == 3000);
    CHECK(model.steps() > 0);
    CHECK(model.skipped() > 0);
    CHECK(model.weights().allFinite());
    CHECK(model.average().allFinite());
    CHECK(model.intercept().allFinite());
    CHECK(model.average_intercept().allFinite());
  };
  const SparseSgdOptions sgd{.features = 2, .learning_rate = 1, .non_finite = NonFinite::skip};
  check(SparseSgd<Ema<>, float>(sgd, Ema{{.decay = 0.5}}), 1e34, 1.0);
  check(SparseSgd<TailAverage<>, float>(sgd), 1e17, 1e16);
  check(SparseSgd<TailAverage<>, double>(sgd), 1e302, 1.0);
  check(SparseSgd<TailAverage<>, double>(sgd), 1.0, 1e302);
  const SparseAdagradOptions adagrad{.features = 2, .learning_rate = 1, .non_finite = NonFinite::skip};
  check(SparseAdagrad<TailAverage<>, float>(adagrad), 1e17, 1.0);
  check(SparseAdagrad<Ema<>, double>(adagrad), 1e152, 1.0);
}

TEST_CASE("Rows of what lies in memory as a row-major matrix does are inputs", "[sparse]") {
  using Matrix = Eigen::SparseMatrix<double, Eigen::RowMajor>;
  Matrix matrix(5, 8);
  for (const int row : {0, 2, 3}) {
    for (const int column : {1, 4, 6}) matrix.insert(row, column) = row + 0.5 * column - 1;
  }
  const auto scores = [](const auto& x) {
    SparseSgd model{{.features = 8, .learning_rate = 0.1}};
    for (int t = 0; t < 3; ++t) model.step(x, [](double score) { return score - 1; });
    return model.predict(x);
  };
  const Eigen::SparseVector<double> vector = matrix.row(3).transpose();
  const double expected = scores(vector);
  const auto check = [&](const auto& rows, int row) {
    CHECK(scores(rows.row(row)) == expected);
    CHECK(scores(rows.row(row + 1)) == scores(Eigen::SparseVector<double>(8)));
  };
  check(matrix.middleRows(2, 3), 1);  // with gaps between the rows
  matrix.makeCompressed();
  check(matrix.middleRows(2, 3), 1);
  const Matrix& constant = matrix;
  check(constant.middleRows(1, 4), 2);
  const Eigen::Map<const Matrix> map(5, 8, matrix.nonZeros(), matrix.outerIndexPtr(), matrix.innerIndexPtr(),
                                     matrix.valuePtr());
  check(map, 3);
  check(map.middleRows(1, 4), 2);
  check(map.middleRows(1, 4).middleRows(1, 3), 1);
  Eigen::Map<Matrix> changing(5, 8, matrix.nonZeros(), matrix.outerIndexPtr(), matrix.innerIndexPtr(),
                              matrix.valuePtr());
  check(changing, 3);
  check(Eigen::Ref<const Matrix>(matrix), 3);
  check(Eigen::Ref<Matrix>(matrix).middleRows(2, 3), 1);
  const Eigen::SparseMatrix<double> columns = matrix.transpose();
  const Eigen::Ref<const Eigen::SparseMatrix<double>> by_columns(columns);
  CHECK(scores(by_columns.col(3)) == expected);

  STATIC_REQUIRE_FALSE(SparseInput<decltype(by_columns.row(0))>);
  STATIC_REQUIRE_FALSE(SparseInput<decltype(map.middleCols(0, 3).row(0))>);
  STATIC_REQUIRE_FALSE(SparseInput<decltype(map.middleRows(0, 3))>);
  STATIC_REQUIRE_FALSE(SparseInput<decltype(std::declval<Eigen::MatrixXd&>().row(0))>);
  STATIC_REQUIRE_FALSE(SparseInput<decltype(std::declval<Eigen::MatrixXd&>().col(0))>);

  std::vector<int> starts{0, 1}, inner{8};
  std::vector<double> values{1};
  const Eigen::Map<const Matrix> wrong(1, 8, 1, starts.data(), inner.data(), values.data());
  CHECK(error_of([&] { static_cast<void>(scores(wrong.row(0))); }) ==
        "invalid_argument: polyak::SparseSgd: indices must be below 8, got 8");
  CHECK(error_of([&] { static_cast<void>(SparseSgd{{.features = 7}}.predict(map.row(0))); }) ==
        "invalid_argument: polyak::SparseSgd: an input must have as many coordinates as there are features, 7, got 8");
}
