#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/decays.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/swa.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using support::error_of;
using support::infinity;
using support::not_a_number;

namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

EmaGain ema_gain(Decay decay, bool bias_correction = true, std::uint64_t every = 1) {
  return {{.decay = std::move(decay), .bias_correction = bias_correction, .every = every}};
}

/// The largest relative error, in ulps, of the first n bias-corrected gains for this β against c/(1 − (1 − c)^k) in
/// long double.
double worst_error(double beta, std::uint64_t n) {
  const EmaGain gain = ema_gain(beta, true, 1);
  EmaGain::State state;
  const long double c = 1 - static_cast<long double>(beta);
  const long double log_beta = std::log1p(-c);
  long double worst = 0;
  for (std::uint64_t k = 1; k <= n; ++k) {
    const long double exact = beta == 0 ? 1 : c / -std::expm1(static_cast<long double>(k) * log_beta);
    worst = support::worse(worst, std::abs(static_cast<long double>(gain(k, state)) - exact) / exact);
  }
  return static_cast<double>(worst / epsilon);
}

}  // namespace

TEST_CASE("the uniform gain is 1/k") {
  UniformGain<SwaOptions>::State state;
  CHECK(UniformGain<SwaOptions>{}(1, state) == 1);
  CHECK(UniformGain<SwaOptions>{}(4, state) == 0.25);
  CHECK(UniformGain<SwaOptions>{}(3, state) == 1.0 / 3);
  CHECK(UniformGain<SwaOptions>{}(1'000'000'000'000, state) == 1e-12);
}

TEST_CASE("the bias-corrected gain is accurate for a million folds") {
  for (const double beta : {0.0, 0.1, 0.5, 0.9, 0.999, 0.9999, 0.999999, 1 - 1e-9}) {
    INFO("decay " << detail::to_text(beta));
    CHECK(worst_error(beta, 1'000'000) < 4);
  }
}

TEST_CASE("the bias-corrected gain starts at 1 and ends at the complement") {
  for (const double beta : {0.0, 0.3, 0.9, 0.999}) {
    const EmaGain gain = ema_gain(beta, true, 1);
    EmaGain::State state;
    CHECK(gain(1, state) == 1);
    double last = 1;
    for (std::uint64_t k = 2; k < 100'000; ++k) {
      const double a = gain(k, state);
      REQUIRE(a <= last);
      last = a;
    }
    CHECK(last == 1 - beta);
    CHECK(state.advance(0) == 1);  // takes nothing in, and tells what there is
  }
}

TEST_CASE("the bias-corrected gain follows a moving decay") {
  const auto decay = [](std::uint64_t k) { return 1 - 1 / std::pow(2.0 + static_cast<double>(k), 0.75); };
  const EmaGain gain = ema_gain(decay, true, 1);
  EmaGain::State state;
  long double weight = 0;
  for (std::uint64_t k = 1; k <= 100'000; ++k) {
    const long double beta = decay(k - 1);
    weight = beta * weight + (1 - beta);
    const auto exact = static_cast<double>((1 - beta) / weight);
    REQUIRE(support::close(gain(k, state), exact, 4 * epsilon));
  }
}

TEST_CASE("without correction the gain is the complement of the decay") {
  const EmaGain gain = ema_gain(0.75, false, 1);
  EmaGain::State state;
  for (std::uint64_t k = 1; k < 5; ++k) CHECK(gain(k, state) == 0.25);
  const EmaGain moving = ema_gain([](std::uint64_t k) { return k == 0 ? 0.5 : 0.875; }, false, 1);
  CHECK(moving(1, state) == 0.5);
  CHECK(moving(2, state) == 0.125);
}

TEST_CASE("the decay is asked with the number of folds made and the steps between them") {
  struct Recorder {
    std::vector<std::uint64_t>* asked;
    double complement(std::uint64_t k, std::uint64_t every) const {
      asked->push_back(k);
      asked->push_back(every);
      return 0.5;
    }
  };
  std::vector<std::uint64_t> asked;
  const EmaGain gain = ema_gain(Recorder{&asked}, true, 7);
  EmaGain::State state;
  (void)gain(1, state);
  (void)gain(2, state);
  CHECK(asked == std::vector<std::uint64_t>{0, 7, 1, 7});
}

TEST_CASE("the gain's state is touched by nothing but the gain") {
  const EmaGain gain = ema_gain(0.5, true, 1);
  EmaGain::State state;
  (void)gain(1, state);
  EmaGain::State tried = state;
  const double once = gain(2, tried);
  tried = state;
  CHECK(gain(2, tried) == once);
  CHECK(once == 2.0 / 3);
}

TEST_CASE("a decay of 1 is a gain of 0, but for the first fold with correction") {
  const auto decay = [](std::uint64_t k) { return k == 0 ? 0.5 : k == 3 ? 0.75 : 1.0; };
  const EmaGain corrected = ema_gain(decay), plain = ema_gain(decay, false);
  EmaGain::State state, unused;
  CHECK(corrected(1, state) == 1);
  CHECK(corrected(2, state) == 0);
  CHECK(corrected(3, state) == 0);
  CHECK(support::close(corrected(4, state), 0.4));  // 1/4 over W = 3/4 · 1/2 + 1/4
  CHECK(corrected(5, state) == 0);
  CHECK(plain(1, unused) == 0.5);
  CHECK(plain(2, unused) == 0);

  struct Complement {
    double complement(std::uint64_t, std::uint64_t) const { return 0; }
  };
  const std::string rule = "invalid_argument: polyak::Ema: decay must be < 1 in the first bias-corrected fold, got 1";
  for (const Decay& one : {Decay(1), Decay(Complement{}), Decay([](std::uint64_t) { return 1; })}) {
    const EmaGain first = ema_gain(one, true, 1);
    EmaGain::State fresh;
    CHECK(error_of([&] { (void)first(1, fresh); }) == rule + " at fold 1");
    CHECK(ema_gain(one, false)(1, fresh) == 0);
    CHECK(first(5, state) == 0);
  }
  // The least that is enough.
  EmaGain::State fresh;
  CHECK(ema_gain(std::nextafter(1.0, 0.0), true)(1, fresh) == 1);
}

TEST_CASE("a decay out of range is refused in the fold that meets it") {
  const auto fold = [](double beta, std::uint64_t k) {
    return error_of([&] {
      EmaGain::State state;
      (void)EmaGain{[beta](std::uint64_t) { return beta; }, true, 1}(k, state);
    });
  };
  const std::string rule = "invalid_argument: polyak::Ema: decay must be in [0, 1], got ";
  CHECK(fold(1.5, 2) == rule + "1.5 at fold 2");
  CHECK(fold(-0.5, 3) == rule + "-0.5 at fold 3");
  CHECK(fold(not_a_number, 4) == rule + "nan at fold 4");
  CHECK(fold(infinity, 5) == rule + "inf at fold 5");
  CHECK(fold(-infinity, 6) == rule + "-inf at fold 6");
  CHECK(fold(0, 1) == "nothing");
  CHECK(fold(std::nextafter(1.0, 0.0), 1) == "nothing");
}

TEST_CASE("a complement out of range is refused as the decay it stands for") {
  struct Complement {
    double c;
    double complement(std::uint64_t, std::uint64_t) const { return c; }
  };
  const auto fold = [](double c) {
    return error_of([&] {
      EmaGain::State state;
      (void)EmaGain{Complement{c}, true, 1}(2, state);
    });
  };
  const std::string rule = "invalid_argument: polyak::Ema: decay must be in [0, 1], got ";
  CHECK(fold(-0.5) == rule + "1.5 at fold 2");
  CHECK(fold(1.5) == rule + "-0.5 at fold 2");
  CHECK(fold(not_a_number) == rule + "nan at fold 2");
  CHECK(fold(-infinity) == rule + "inf at fold 2");
  CHECK(fold(1) == "nothing");
  CHECK(fold(1e-300) == "nothing");
}

TEST_CASE("a refused decay is named as it was given") {
  const EmaGain gain = ema_gain([](std::uint64_t) { return -0.1; }, true, 1);
  EmaGain::State state;
  CHECK(error_of([&] { (void)gain(1, state); }) ==
        "invalid_argument: polyak::Ema: decay must be in [0, 1], got -0.1 at fold 1");
}

TEST_CASE("a gain out of range is refused in the fold that meets it") {
  const auto fold = [](double a, std::uint64_t k) {
    auto gains = GainAverage{{.gain = [=](std::uint64_t i) { return i < k ? 0.5 : a; }}}.gains();
    for (std::uint64_t i = 1; i < k; ++i) gains.commit(gains.next());
    return error_of([&] { (void)gains.next(); });
  };
  const std::string rule = "invalid_argument: polyak::GainAverage: gain must be in [0, 1], got ";
  CHECK(fold(1.5, 1) == rule + "1.5 at fold 1");
  CHECK(fold(-0.5, 2) == rule + "-0.5 at fold 2");
  CHECK(fold(not_a_number, 3) == rule + "nan at fold 3");
  CHECK(fold(infinity, 4) == rule + "inf at fold 4");
  CHECK(fold(0, 1) == "nothing");
  CHECK(fold(1, 1) == "nothing");
}

TEST_CASE("a first gain out of range is refused before its start is taken") {
  GainAverage average{{.gain = [](std::uint64_t) { return 1.5; }, .start = 2}};
  CHECK(error_of([&] { average.update(Eigen::VectorXd{{1}}); }) ==
        "invalid_argument: polyak::GainAverage: gain must be in [0, 1], got 1.5 at fold 1");
  CHECK(average.steps() == 0);
  CHECK_FALSE(average.has_average());
}
