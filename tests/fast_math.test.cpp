// This file is compiled with -ffast-math, the others are not. The headers get a namespace of their own here, lest the
// linker take the functions of one side for those of the other.
#define polyak polyak_with_fast_math
#include <polyak/polyak.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/schedules.hpp"
#include "parts/wrappers.hpp"

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

/// Constructs a part with NaN and the infinities for each of its real options: construct_with(option, number).
void check_options(const std::string& part, std::span<const parts::Option> options,
                   const std::function<void(const parts::Option&, double)>& construct_with) {
  for (const auto& option : options) {
    if (!option.is_real) continue;
    for (int i = 0; i < 3; ++i) {
      CHECK(message_of([&] { construct_with(option, bad_numbers[i]); }) ==
            "polyak::" + part + ": " + option.name + " " + option.range.rule + ", got " + bad_texts[i]);
    }
  }
}

template <class Row, class Construct>
void check_row(Row row, const Construct& construct) {
  check_options(row.name, row.options, [&](const parts::Option& option, double bad) {
    auto options = parts::base<Row>();
    option.set(&options, bad);
    construct(options);
  });
}

std::uint64_t bits_of(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

}  // namespace

TEST_CASE("with -ffast-math: NaN and infinity are refused") {
  parts::for_each(parts::optimizers, [](auto row) {
    using Optimizer = typename decltype(row)::template type<double>;
    check_row(row, [](const auto& options) { Optimizer optimizer(options); });
  });
  parts::for_each(parts::averagers, [](auto row) {
    using Averager = typename decltype(row)::template type<default_shadow>;
    check_row(row, [](const auto& options) { Averager averager(options); });
  });
  parts::for_each(parts::wrappers, [](auto row) {
    check_row(row, [](const auto& options) { (void)parts::wrapped<decltype(row)>(Sgd<double>(), options); });
  });
  const auto check_schedule = [](auto row) {
    check_row(row, [](const auto& options) { (void)parts::made<decltype(row)>(options); });
  };
  parts::for_each(parts::schedules, check_schedule);
  parts::for_each(parts::decays, check_schedule);
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
    refused(RMSprop{{.momentum = gives}}, "polyak::RMSprop: momentum must be finite and >= 0" + got);
    parts::for_each(parts::optimizers, [&](auto row) {
      auto options = parts::base<decltype(row)>();
      options.weight_decay = gives;
      typename decltype(row)::template type<double> optimizer(options);
      const std::string rule = std::string("polyak::") + row.name + ": weight_decay must be finite and >= 0" + got;
      refused(optimizer, rule);
      CHECK(message_of([&] { optimizer.set_weight_decay(bad); }) == rule);
    });
    refused(Averaged{Sgd{}, GainAverage{{.gain = gives}}},
            "polyak::GainAverage: gain must be in [0, 1]" + got + " at fold 1");
    struct Complement {
      double c;
      double complement(std::uint64_t, std::uint64_t) const { return c; }
    };
    CHECK(message_of([&] {
            Averaged{Sgd{}, Ema{{.decay = Complement{bad}}}}.step(theta, theta);
          }).starts_with("polyak::Ema: decay must be in [0, 1], got "));
    refused(Averaged{Sgd{}, Ema{{.decay = gives}}}, "polyak::Ema: decay must be in [0, 1]" + got + " at fold 1");
  }
}

TEST_CASE("with -ffast-math: rows that would spoil a sparse model are left out") {
  const std::vector<int> indices{0, 1};
  const std::vector<double> values{1, 2}, large{1, 1e200};
  const SparseRow x{indices, values}, too_large{indices, large};
  for (const double bad : bad_numbers) {
    const std::vector<double> not_finite{1, bad};
    SparseSgd<TailAverage<>, float> model{{.features = 2, .learning_rate = 1, .non_finite = NonFinite::skip}};
    model.step(x, -1.0);
    model.step(SparseRow{indices, not_finite}, -1.0);
    model.step(x, bad);
    model.step(too_large, -1.0);
    model.step(too_large, 1e200);  // infinite even in double
    CHECK(model.skipped() == 4);
    CHECK(model.steps() == 1);
    CHECK(model.weights() == Eigen::MatrixXd{{1}, {2}});
    CHECK(model.intercept()[0] == 1);
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

TEST_CASE("with -ffast-math: a decay of 1 lets nothing into an average") {
  Ema ema{{.decay = [](std::uint64_t k) { return k == 0 ? 0.5 : 1.0; }}};
  std::vector<double> theta{from_bits(0x8000'0000'0000'0000), 3};
  ema.update(theta);
  for (const double bad : bad_numbers) {
    theta[0] = theta[1] = bad;
    ema.update(theta);
  }
  CHECK(bits_of(ema.average()[0]) == 0x8000'0000'0000'0000);
  CHECK(ema.average()[1] == 3);
  CHECK(ema.count() == 4);
  CHECK(message_of([] { Ema{{.decay = 1}}.update(VectorXd{{1}}); }) ==
        "polyak::Ema: decay must be < 1 in the first bias-corrected fold, got 1 at fold 1");
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

TEST_CASE("with -ffast-math: a double is rounded to 16 bits once") {
  using Eigen::half;
  CHECK(static_cast<float>(detail::round_to<half>(from_bits(0x3FF0'0200'0000'1000))) == 1.0009765625f);
  CHECK(static_cast<float>(detail::round_to<half>(1 + 0x1p-11L + 0x1p-60L)) == 1.0009765625f);
  for (const double bad : bad_numbers) CHECK_FALSE(detail::is_finite(detail::round_to<half>(bad)));
}

TEST_CASE("with -ffast-math: what rounding drops from a sum is not optimised away") {
  const double small = from_bits(0x3C00'0000'0000'0000);  // 2^-63
  const auto sum = detail::exact_sum(from_bits(0x3FF0'0000'0000'0000), small);
  CHECK(sum.sum == 1);
  CHECK(sum.rest == small);

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

TEMPLATE_TEST_CASE("with -ffast-math: a compensated average keeps what rounding drops", "", float, double,
                   Eigen::half) {
  using Wide =
      std::conditional_t<sizeof(TestType) == 2, float, std::conditional_t<sizeof(TestType) == 4, double, long double>>;
  Ema<Compensated<TestType>> ema{{.decay = 0.999}};
  Ema<Wide> wide{{.decay = 0.999}};
  Eigen::Matrix<TestType, 37, 1> theta;  // no multiple of any vector's length
  for (int t = 1; t <= 3000; ++t) {
    for (int i = 0; i < 37; ++i) theta[i] = static_cast<TestType>(1.0 + 0.5 * std::sin(0.01 * t + i));
    ema.update(theta);
    wide.update(theta);
  }
  Eigen::Matrix<Wide, 37, 1> kept;
  ema.copy_average_to(kept);
  // A quantum is 2^-15 ulp; as many are lost as the decay allows, 1 / (1 - 0.999), and the wide average rounds as well.
  const Wide lost = static_cast<Wide>(std::numeric_limits<TestType>::epsilon()) / 32;
  for (int i = 0; i < 37; ++i) CHECK(std::abs(kept[i] - wide.average()[i]) < lost);
}
