#include <polyak/averaged.hpp>
#include <polyak/averagers/decays.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::error_of;
using support::infinity;
using support::not_a_number;

namespace {

VectorXd one(double x) { return support::constant(1, x); }

}  // namespace

TEST_CASE("the corrected average does not depend on a start") {
  Ema ema{{.decay = 0.5}};
  ema.update(one(3));
  CHECK(ema.average()[0] == 3);
  CHECK(ema.start_mass() == 0);
  ema.update(one(9));
  CHECK(close(ema.average()[0], 7));  // gain 2/3
  ema.update(one(0));
  CHECK(close(ema.average()[0], 3));  // gain 4/7
}

TEST_CASE("the uncorrected average starts from the weights it is given") {
  Ema ema{{.decay = 0.5, .bias_correction = false}};
  CHECK(error_of([&] { ema.update(one(4)); }) ==
        "logic_error: polyak::Ema: the first gain is below 1, so start_from(weights) must come before update");
  ema.start_from(one(0));
  ema.update(one(4));
  CHECK(ema.average()[0] == 2);
  CHECK(ema.start_mass() == 0.5);
  ema.update(one(4));
  CHECK(ema.average()[0] == 3);
  CHECK(ema.start_mass() == 0.25);

  Ema no_memory{{.decay = 0, .bias_correction = false}};  // every gain is 1
  no_memory.update(one(4));
  CHECK(no_memory.average()[0] == 4);
}

TEST_CASE("in the long run the corrected average is the textbook one") {
  Ema corrected{{.decay = 0.9}};
  Ema textbook{{.decay = 0.9, .bias_correction = false}};
  support::Random random(3);
  textbook.start_from(one(100));
  for (int t = 0; t < 1000; ++t) {
    const VectorXd theta = random.vector(1);
    corrected.update(theta);
    textbook.update(theta);
  }
  CHECK(close(corrected.average()[0], textbook.average()[0], 1e-12));
  CHECK(close(corrected.effective_sample_size(), 19, 1e-12));  // (1 + β)/(1 − β)
  CHECK(close(corrected.mean_age(), 9, 1e-12));                // β/(1 − β)
  CHECK(close(textbook.start_mass(), std::pow(0.9, 1000), 1e-11));
  CHECK(corrected.start_mass() == 0);
}

TEST_CASE("a decay schedule counts folds, not steps") {
  std::vector<std::uint64_t> asked;
  Ema ema{{.decay =
               [&asked](std::uint64_t k) {
                 asked.push_back(k);
                 return 0.5;
               },
           .start = 1,
           .every = 3}};
  for (double t = 1; t <= 8; ++t) ema.update(one(t));
  CHECK(asked == std::vector<std::uint64_t>{0, 1, 2});
  CHECK(ema.count() == 3);
}

TEST_CASE("a half-life means the same average however often it folds") {
  const auto start_mass_after = [](std::uint64_t steps, std::uint64_t every) {
    Ema ema{{.decay = HalfLife{{.steps = 1000}}, .bias_correction = false, .every = every}};
    ema.start_from(one(1));
    for (std::uint64_t t = 0; t < steps; ++t) ema.update(one(0));
    CHECK(close(ema.average()[0], ema.start_mass(), 1e-12));
    return ema.start_mass();
  };
  for (const std::uint64_t every : {1u, 10u, 100u, 500u}) {
    CHECK(close(start_mass_after(1000, every), 0.5, 1e-12));
    CHECK(close(start_mass_after(3000, every), 0.125, 1e-12));
  }
}

TEST_CASE("Ema refuses options out of range") {
  const auto built = [](EmaOptions options) { return error_of([&] { Ema ema(options); }); };
  const std::string rule = "invalid_argument: polyak::Ema: decay must be in [0, 1], got ";
  CHECK(built({.decay = 1.2}) == rule + "1.2");
  CHECK(built({.decay = std::nextafter(1.0, 2.0)}) == rule + "1.0000000000000002");
  CHECK(built({.decay = -0.1}) == rule + "-0.1");
  CHECK(built({.decay = -1e-300}) == rule + "-1e-300");
  CHECK(built({.decay = not_a_number}) == rule + "nan");
  CHECK(built({.decay = infinity}) == rule + "inf");
  CHECK(built({.decay = -infinity}) == rule + "-inf");
  CHECK(built({.every = 0}) == "invalid_argument: polyak::Ema: every must be >= 1, got 0");
  CHECK(built({.decay = 0}) == "nothing");
  CHECK(built({.decay = 1}) == "nothing");
}

TEST_CASE("a decay schedule out of range is refused in the step that meets it and changes nothing") {
  Ema ema{{.decay = [](std::uint64_t k) { return k == 2 ? 1.5 : 0.5; }}};
  Ema twin = ema;
  ema.update(one(1));
  ema.update(one(4));
  for (int attempt = 0; attempt < 2; ++attempt) {
    CHECK(error_of([&] { ema.update(one(100)); }) ==
          "invalid_argument: polyak::Ema: decay must be in [0, 1], got 1.5 at fold 3");
    CHECK(ema.steps() == 2);
    CHECK(ema.count() == 2);
    CHECK(ema.average()[0] == 3);
  }
}

TEST_CASE("a decay that rises to 1 ends with an average that stays") {
  // 1 − (1 − 0.9) (1 + cos πk/K)/2, as the target networks of BYOL have it (Grill et al. 2020).
  static constexpr std::uint64_t last = 50;
  const auto momentum = [](std::uint64_t k) {
    const double x = static_cast<double>(std::min(k, last)) / static_cast<double>(last);
    return 1 - 0.1 * (1 + std::cos(std::numbers::pi * x)) / 2;
  };
  REQUIRE(momentum(last) == 1);
  for (const bool corrected : {true, false}) {
    INFO((corrected ? "corrected" : "uncorrected"));
    Averaged opt{[](VectorXd& params, const VectorXd& next) { params = next; },
                 Ema{{.decay = momentum, .bias_correction = corrected}}};
    support::Random random(5);
    VectorXd theta = random.vector(3);
    Eigen::Matrix<long double, 3, 1> sum =
        corrected ? VectorXd(support::constant(3, 0)).cast<long double>() : theta.cast<long double>();
    long double weight = corrected ? 0 : 1;
    for (std::uint64_t k = 0; k < last; ++k) {
      opt.step(theta, random.vector(3));
      const long double beta = momentum(k);
      sum = beta * sum + (1 - beta) * theta.cast<long double>();
      if (corrected) weight = beta * weight + (1 - beta);
    }
    const VectorXd average = opt.average();
    const double size = opt.averager().effective_sample_size(), mass = opt.averager().start_mass();
    CHECK(support::largest(average.cast<long double>() - sum / weight) < 1e-14);
    for (std::uint64_t k = last; k < 2 * last; ++k) opt.step(theta, random.vector(3));
    CHECK(support::same_bits(opt.average(), average));
    CHECK(opt.averager().count() == 2 * last);
    CHECK(opt.averager().effective_sample_size() == size);
    CHECK(opt.averager().start_mass() == mass);
  }
}

TEST_CASE("a decay of 1 from the start on leaves the start, and with correction there is none") {
  Ema corrected{{.decay = 1}};
  const std::string missing =
      "invalid_argument: polyak::Ema: decay must be < 1 in the first bias-corrected fold, got 1 at fold 1";
  CHECK(error_of([&] { corrected.update(one(3)); }) == missing);
  CHECK(corrected.steps() == 0);
  CHECK_FALSE(corrected.has_average());
  corrected.start_from(one(2));
  CHECK(error_of([&] { corrected.update(one(3)); }) == missing);
  CHECK(corrected.average() == one(2));
  CHECK(corrected.count() == 0);

  VectorXd theta = one(3);
  Averaged opt{Sgd{}, Ema{{.decay = [](std::uint64_t) { return 1; }}}};
  CHECK(error_of([&] { opt.step(theta, theta); }) == missing);
  CHECK(theta == one(3));
  CHECK(opt.optimizer().steps() == 0);

  Ema plain{{.decay = 1, .bias_correction = false}};
  CHECK(error_of([&] { plain.update(one(4)); }) ==
        "logic_error: polyak::Ema: the first gain is below 1, so start_from(weights) must come before update");
  plain.start_from(one(2));
  for (int k = 0; k < 5; ++k) plain.update(one(infinity));
  CHECK(plain.average() == one(2));
  CHECK(plain.count() == 5);
  CHECK(plain.start_mass() == 1);
  CHECK(plain.mean_age() == 5);

  Averaged kept{Sgd{{.learning_rate = 1}}, Ema{{.decay = 1, .bias_correction = false}}};
  for (int k = 0; k < 5; ++k) kept.step(theta, one(-1));
  CHECK(theta == one(8));
  CHECK(kept.average() == one(3));  // θ_0
}

namespace {

/// 1 − β_k whose W_2 is rounded to less than the second of them.
struct RoundedDown {
  [[nodiscard]] double complement(std::uint64_t k, std::uint64_t) const {
    return k == 0 ? 0.0872543590567631 : 0.9999999999999994;
  }
};

}  // namespace

TEST_CASE("no gain is above 1, however the weights so far are rounded") {
  Ema ema{{.decay = RoundedDown{}}};
  ema.update(one(3));
  CHECK(ema.gains().next().gain() == 1);
  ema.update(one(5));
  CHECK(ema.average() == one(5));
}

TEST_CASE("an Ema owns its options and hands them back") {
  EmaOptions options{.decay = 0.25, .bias_correction = false, .start = 5, .every = 3};
  const Ema ema(options);
  options = {};
  CHECK(ema.options().decay.number() == 0.25);
  CHECK_FALSE(ema.options().bias_correction);
  CHECK(ema.options().start == 5);
  CHECK(ema.options().every == 3);

  const Ema by_default;
  CHECK(by_default.options().decay.number() == 0.999);
  CHECK(by_default.options().bias_correction);
  CHECK(by_default.options().start == 0);
  CHECK(by_default.options().every == 1);
}
