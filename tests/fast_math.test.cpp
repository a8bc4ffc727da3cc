// This file is compiled with -ffast-math, the others are not. The headers get a namespace of their own here, lest the
// linker take the functions of one side for those of the other.
#define polyak polyak_with_fast_math
#include <polyak/polyak.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"

// -ffast-math lets the compiler assume that there is no NaN and no infinity, so a comparison with one may come out
// either way. Options must be refused all the same.

using namespace polyak;
using Eigen::VectorXd;

namespace {

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

/// Out of the compiler's sight, or it would fold what it believes impossible.
double from_bits(std::uint64_t bits) {
  volatile std::uint64_t hidden = bits;
  const std::uint64_t shown = hidden;
  double x;
  std::memcpy(&x, &shown, sizeof x);
  return x;
}

const double bad_numbers[] = {from_bits(0x7FF8'0000'0000'0000), from_bits(0x7FF0'0000'0000'0000),
                              from_bits(0xFFF0'0000'0000'0000)};
const char* const bad_texts[] = {"nan", "inf", "-inf"};

std::uint64_t bits_of(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

}  // namespace

TEST_CASE("with -ffast-math: NaN and infinity are refused") {
  for (int i = 0; i < 3; ++i) {
    const double bad = bad_numbers[i];
    const std::string got = std::string(", got ") + bad_texts[i];
    const auto refused = [&](const std::string& rule, auto make) { CHECK(message_of(make) == rule + got); };
    refused("polyak::Sgd: learning_rate must be finite and >= 0", [&] { Sgd{{.learning_rate = bad}}; });
    refused("polyak::Sgd: momentum must be finite and >= 0", [&] { Sgd{{.momentum = bad}}; });
    refused("polyak::Sgd: dampening must be finite", [&] { Sgd{{.dampening = bad}}; });
    refused("polyak::Sgd: weight_decay must be finite and >= 0", [&] { Sgd{{.weight_decay = bad}}; });
    refused("polyak::Ema: decay must be in [0, 1)", [&] { Ema{{.decay = bad}}; });
    refused("polyak::Constant: value must be finite and >= 0", [&] { Constant{bad}; });
    refused("polyak::InverseTime: initial must be finite and >= 0", [&] { InverseTime{{.initial = bad}}; });
    refused("polyak::InverseTime: timescale must be finite and > 0", [&] { InverseTime{{.timescale = bad}}; });
    refused("polyak::InverseTime: power must be finite and >= 0", [&] { InverseTime{{.power = bad}}; });
    refused("polyak::BottouDecay: lambda must be finite and >= 0", [&] { BottouDecay{{.lambda = bad}}; });
    refused("polyak::StepDecay: factor must be finite and >= 0", [&] { StepDecay{{.factor = bad}}; });
    refused("polyak::Cosine: final must be finite and >= 0", [&] { Cosine{{.final = bad}}; });
    refused("polyak::LinearWarmup: start_factor must be in [0, 1]", [&] { LinearWarmup{{.start_factor = bad}}; });
    refused("polyak::Triangular: min must be finite and >= 0", [&] { Triangular{{.min = bad}}; });
    refused("polyak::Triangular: max must be finite and >= min", [&] { Triangular{{.max = bad}}; });
    refused("polyak::LinearCycle: max must be finite and >= min", [&] { LinearCycle{{.max = bad}}; });
    refused("polyak::SwaAnneal: target must be finite and >= 0", [&] { SwaAnneal{{.target = bad}}; });
    refused("polyak::DecayWarmup: limit must be in [0, 1)", [&] { DecayWarmup{{.limit = bad}}; });
    refused("polyak::InverseGammaDecay: gamma must be finite and > 0", [&] { InverseGammaDecay{{.gamma = bad}}; });
    refused("polyak::InverseGammaDecay: power must be finite and > 0", [&] { InverseGammaDecay{{.power = bad}}; });
    refused("polyak::InverseGammaDecay: min must be in [0, max]", [&] { InverseGammaDecay{{.min = bad}}; });
    refused("polyak::InverseGammaDecay: max must be in [0, 1)", [&] { InverseGammaDecay{{.max = bad}}; });
    refused("polyak::HalfLife: steps must be finite and > 0", [&] { HalfLife{{.steps = bad}}; });
    refused("polyak::Adam: learning_rate must be finite and >= 0", [&] { Adam{{.learning_rate = bad}}; });
    refused("polyak::Adam: beta1 must be in [0, 1)", [&] { Adam{{.beta1 = bad}}; });
    refused("polyak::AdamW: beta2 must be in [0, 1)", [&] { AdamW{{.beta2 = bad}}; });
    refused("polyak::AdamW: epsilon must be finite and >= 0", [&] { AdamW{{.epsilon = bad}}; });
    refused("polyak::NAdam: momentum_decay must be finite and >= 0", [&] { NAdam{{.momentum_decay = bad}}; });
    refused("polyak::RMSprop: alpha must be in [0, 1)", [&] { RMSprop{{.alpha = bad}}; });
    refused("polyak::Adagrad: initial_accumulator must be finite and >= 0",
            [&] { Adagrad{{.initial_accumulator = bad}}; });
    refused("polyak::Lion: beta2 must be in [0, 1)", [&] { Lion{{.beta2 = bad}}; });
    refused("polyak::Sgd: weight_decay_factor of block 0 must be finite and >= 0",
            [&] { Sgd{{.blocks = {{.weight_decay_factor = bad}}}}; });
    refused("polyak::ClipNorm: max_norm must be finite and > 0", [&] { ClipNorm{Sgd{}, {.max_norm = bad}}; });
    refused("polyak::ClipValue: max_value must be finite and > 0", [&] { ClipValue{Sgd{}, {.max_value = bad}}; });
    refused("polyak::Lookahead: alpha must be in (0, 1]", [&] { Lookahead{Sgd{}, {.alpha = bad}}; });
    refused("polyak::PolynomialAverage: eta must be finite and >= 0", [&] { PolynomialAverage{{.eta = bad}}; });
    refused("polyak::PowerEma: gamma must be finite and >= 0", [&] { PowerEma{{.gamma = bad}}; });
    refused("polyak::PowerEma: relative_width must be in (0, 1/sqrt(12)]", [&] { PowerEma{{.relative_width = bad}}; });
    refused("polyak::AnytimeTailAverage: fraction must be in (0, 1]", [&] { AnytimeTailAverage{{.fraction = bad}}; });
  }
}

TEST_CASE("with -ffast-math: what a schedule gives is refused before anything moves") {
  for (int i = 0; i < 3; ++i) {
    const double bad = bad_numbers[i];
    const std::string got = std::string(", got ") + bad_texts[i];
    VectorXd theta{{1, 2}};
    const auto refused = [&](auto opt, const std::string& rule) {
      CHECK(message_of([&] { opt.step(theta, theta); }) == rule);
      CHECK(theta == VectorXd{{1, 2}});
    };
    const auto gives = [bad](std::uint64_t) { return bad; };
    refused(Sgd{{.learning_rate = gives}}, "polyak::Sgd: learning_rate must be finite and >= 0" + got);
    refused(Sgd{{.momentum = gives}}, "polyak::Sgd: momentum must be finite and >= 0" + got);
    refused(Averaged{Sgd{}, GainAverage{{.gain = gives}}},
            "polyak::GainAverage: gain must be in [0, 1]" + got + " at fold 1");
    struct Complement {
      double c;
      double complement(std::uint64_t, std::uint64_t) const { return c; }
    };
    CHECK(message_of([&] {
            Averaged{Sgd{}, Ema{{.decay = Complement{bad}}}}.step(theta, theta);
          }).starts_with("polyak::Ema: decay must be in [0, 1), got "));
    refused(Averaged{Sgd{}, Ema{{.decay = gives}}}, "polyak::Ema: decay must be in [0, 1)" + got + " at fold 1");
  }
}

TEST_CASE("with -ffast-math: averages are right and swaps exact") {
  TailAverage tail;
  Ema ema{{.decay = 0.9}};
  for (const double theta : {1.0, 2.0, 4.0, 8.0}) {
    tail.update(VectorXd{{theta}});
    ema.update(VectorXd{{theta}});
  }
  CHECK(tail.average()[0] == Approx(15.0 / 4).epsilon(1e-14));
  CHECK(ema.average()[0] == Approx(13949.0 / 3439).epsilon(1e-14));
  CHECK(tail.effective_sample_size() == Approx(4).epsilon(1e-14));

  Ema long_memory{{.decay = 0.9999}};
  for (int k = 0; k < 100'000; ++k) long_memory.update(VectorXd{{k % 2 == 0 ? 1.0 : 3.0}});
  CHECK(long_memory.average()[0] == Approx(2.00005).epsilon(1e-6));

  Averaged opt{Sgd{{.learning_rate = 0.5, .momentum = 0.5, .nesterov = true}}, TailAverage{}};
  VectorXd theta{{8}};
  for (const double g : {2.0, 4.0, -2.0}) opt.step(theta, VectorXd{{g}});
  CHECK(theta[0] == 4.125);
  CHECK(opt.average()[0] == Approx((6.5 + 3.25 + 4.125) / 3).epsilon(1e-14));

  const std::vector<std::uint64_t> trained{0x7FF8'DEAD'BEEF'0001, 0x8000'0000'0000'0000, 0xFFF0'0000'0000'0000, 1};
  std::vector<double> params(4);
  std::memcpy(params.data(), trained.data(), 4 * sizeof(double));
  TailAverage four;
  four.update(VectorXd{{1, 2, 3, 4}});
  {
    const auto guard = four.swap_in(params);
    CHECK(params == std::vector<double>{1, 2, 3, 4});
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(bits_of(params[i]) == trained[i]);
}

TEST_CASE("with -ffast-math: the bias correction is right to an ulp") {
  for (const double c : {1e-5, 1e-6}) {
    INFO("1 - beta = " << c);
    detail::BiasCorrection weight;
    double got = 0;
    constexpr int n = 1'000'000;
    for (int k = 0; k < n; ++k) got = weight.advance(c);
    const long double exact = -std::expm1(n * std::log1p(-static_cast<long double>(c)));
    CHECK(std::abs(static_cast<double>((got - exact) / exact)) <= 2 * std::numeric_limits<double>::epsilon());
  }
}

TEST_CASE("with -ffast-math: what rounding drops from a sum is not optimised away") {
  const double small = from_bits(0x3C00'0000'0000'0000);  // 2^-63
  const auto sum = detail::exact_sum(from_bits(0x3FF0'0000'0000'0000), small);
  CHECK(sum.sum == 1);
  CHECK(sum.rest == small);
  STATIC_REQUIRE(detail::sums_are_regrouped);

  std::vector<float> a(100), b(100), rest(100);
  for (std::size_t i = 0; i < 100; ++i) {
    a[i] = 1.0f / static_cast<float>(i + 1);
    b[i] = 1e-6f * static_cast<float>(i);
  }
  for (std::size_t i = 0; i < 100; ++i) rest[i] = detail::exact_sum(a[i], b[i]).rest;
  for (std::size_t i = 0; i < 100; ++i) {
    const double exact = static_cast<double>(a[i]) + static_cast<double>(b[i]);
    CHECK(static_cast<double>(rest[i]) == exact - static_cast<double>(static_cast<float>(exact)));
  }
}
