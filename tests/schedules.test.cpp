#include <polyak/schedules.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using support::close;
using support::error_of;

namespace {

constexpr std::uint64_t huge = 1'000'000'000'000'000'000;

template <class S>
std::vector<double> first_values(const S& schedule, std::uint64_t n) {
  std::vector<double> values;
  for (std::uint64_t t = 0; t < n; ++t) values.push_back(schedule(t));
  return values;
}

template <class S>
bool never_rises(const S& schedule, std::uint64_t n) {
  for (std::uint64_t t = 0; t < n; ++t) {
    if (schedule(t + 1) > schedule(t)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("Constant is the same for ever") {
  const Constant schedule(0.25);
  CHECK(schedule(0) == 0.25);
  CHECK(schedule(huge) == 0.25);
  CHECK(Constant(0)(7) == 0);
}

TEST_CASE("InverseTime follows its power law") {
  const InverseTime schedule{{.initial = 0.5, .timescale = 4, .power = 2}};
  CHECK(first_values(schedule, 1) == std::vector{0.5});
  CHECK(close(schedule(4), 0.125));
  CHECK(close(schedule(12), 0.03125));
  CHECK(close(schedule(6), 0.08));
  CHECK(never_rises(schedule, 1000));

  const InverseTime root{{.initial = 1, .timescale = 1, .power = 0.5}};
  CHECK(close(root(3), 0.5));
  CHECK(close(root(huge), 1e-9));
  CHECK(InverseTime{{.initial = 0.5, .power = 0}}(huge) == 0.5);
  CHECK(InverseTime{{.initial = 0, .power = 1}}(3) == 0);
  CHECK(close(InverseTime{{}}(9), 0.001));
}

TEST_CASE("BottouDecay halves after 1/(lambda eta) steps") {
  const BottouDecay schedule{{.initial = 0.5, .lambda = 0.25}};
  CHECK(schedule(0) == 0.5);
  CHECK(schedule(8) == 0.25);
  CHECK(schedule(24) == 0.125);
  CHECK(close(schedule(huge), 4e-18));
  CHECK(never_rises(schedule, 1000));
  CHECK(BottouDecay{{.initial = 0.5, .lambda = 0}}(huge) == 0.5);
}

TEST_CASE("StepDecay drops at the multiples of its period") {
  const StepDecay schedule{{.initial = 8, .factor = 0.5, .period = 3}};
  CHECK(first_values(schedule, 7) == std::vector<double>{8, 8, 8, 4, 4, 4, 2});
  CHECK(schedule(huge) == 0);
  CHECK(never_rises(schedule, 1000));
  CHECK(first_values(StepDecay{{.initial = 1, .factor = 0, .period = 1}}, 3) == std::vector<double>{1, 0, 0});
  CHECK(StepDecay{{.initial = 2, .factor = 1, .period = 1}}(huge) == 2);
}

TEST_CASE("Cosine falls from initial to final and stays there") {
  const Cosine schedule{{.initial = 1, .final = 0.5, .steps = 12}};
  CHECK(schedule(0) == 1);
  CHECK(close(schedule(2), 0.75 + 0.25 * std::sqrt(0.75)));
  CHECK(close(schedule(4), 0.875));
  CHECK(close(schedule(6), 0.75));
  CHECK(close(schedule(8), 0.625));
  CHECK(schedule(11) > 0.5);
  CHECK(schedule(12) == 0.5);
  CHECK(schedule(13) == 0.5);
  CHECK(schedule(huge) == 0.5);
  CHECK(never_rises(Cosine{{.initial = 0.3, .steps = 1000}}, 1100));
  CHECK(first_values(Cosine{{.initial = 3, .steps = 1}}, 2) == std::vector<double>{3, 0});
  CHECK(close(Cosine{{.initial = 0, .final = 1, .steps = 2}}(1), 0.5));
}

TEST_CASE("LinearWarmup rises into what follows, whose time begins when the warm-up ends") {
  CHECK(first_values(LinearWarmup{{.start_factor = 0, .steps = 4, .then = 8}}, 6) ==
        std::vector<double>{0, 2, 4, 6, 8, 8});
  CHECK(first_values(LinearWarmup{{.start_factor = 0.5, .steps = 2, .then = 8}}, 4) == std::vector<double>{4, 6, 8, 8});
  CHECK(first_values(LinearWarmup{{.start_factor = 1, .steps = 2, .then = 8}}, 3) == std::vector<double>{8, 8, 8});
  CHECK(first_values(LinearWarmup{{.steps = 0, .then = 8}}, 2) == std::vector<double>{8, 8});
  CHECK(close(LinearWarmup{{.steps = 2, .then = 3}}(0), 1));

  const LinearWarmup into_steps{
      {.start_factor = 0, .steps = 2, .then = StepDecay{{.initial = 8, .factor = 0.5, .period = 2}}}};
  CHECK(first_values(into_steps, 7) == std::vector<double>{0, 4, 8, 8, 4, 4, 2});
  const LinearWarmup into_fall{
      {.start_factor = 0, .steps = 2, .then = StepDecay{{.initial = 8, .factor = 0.5, .period = 1}}}};
  CHECK(first_values(into_fall, 5) == std::vector<double>{0, 4, 8, 4, 2});
  CHECK(LinearWarmup{{}}(0) == 0.01);
  CHECK(LinearWarmup{{.steps = 5, .then = 8}}(huge) == 8);
  CHECK(close(LinearWarmup{{.start_factor = 0, .steps = huge, .then = 8}}(huge / 4), 2));
}

TEST_CASE("Triangular rises and falls") {
  const Triangular schedule{{.min = 1, .max = 5, .half_period = 4}};
  CHECK(first_values(schedule, 17) == std::vector<double>{1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4, 5, 4, 3, 2, 1});
  CHECK(first_values(Triangular{{.min = 0, .max = 3, .half_period = 1}}, 4) == std::vector<double>{0, 3, 0, 3});
  CHECK(schedule(huge) == schedule(huge % 8));
  CHECK(schedule(huge + 3) == schedule((huge + 3) % 8));
  CHECK(Triangular{{.min = 2, .max = 2, .half_period = 3}}(1) == 2);
}

TEST_CASE("LinearCycle falls within each cycle and ends at min") {
  const LinearCycle schedule{{.max = 9, .min = 1, .period = 4}};
  CHECK(first_values(schedule, 9) == std::vector<double>{7, 5, 3, 1, 7, 5, 3, 1, 7});
  CHECK(schedule(huge + 3) == 1);
  CHECK(first_values(LinearCycle{{.max = 9, .min = 1, .period = 1}}, 3) == std::vector<double>{1, 1, 1});
  CHECK(first_values(LinearCycle{{.max = 2, .min = 2, .period = 3}}, 4) == std::vector<double>{2, 2, 2, 2});
  // At min exactly, whatever the rounding of max and of f.
  const LinearCycle uneven{{.max = 0.3, .min = 0.1, .period = 7}};
  for (std::uint64_t t = 6; t < 70; t += 7) CHECK(uneven(t) == 0.1);
}

TEST_CASE("SwaAnneal anneals from where the rate was and holds") {
  SECTION("linear") {
    const SwaAnneal schedule{{.before = 9, .start = 2, .anneal_steps = 4, .target = 1, .shape = AnnealShape::linear}};
    CHECK(first_values(schedule, 8) == std::vector<double>{9, 9, 9, 7, 5, 3, 1, 1});
    CHECK(schedule(huge) == 1);
  }
  SECTION("cosine, by default") {
    const SwaAnneal schedule{{.before = 9, .start = 2, .anneal_steps = 6, .target = 1}};
    CHECK(schedule(1) == 9);
    CHECK(schedule(2) == 9);
    CHECK(close(schedule(4), 7));
    CHECK(close(schedule(5), 5));
    CHECK(close(schedule(6), 3));
    CHECK(schedule(7) > 1);
    CHECK(schedule(8) == 1);
  }
  SECTION("upwards, from the value its schedule has at the start") {
    const SwaAnneal schedule{{.before = StepDecay{{.initial = 4, .factor = 0.5, .period = 2}},
                              .start = 3,
                              .anneal_steps = 2,
                              .target = 4,
                              .shape = AnnealShape::linear}};
    CHECK(first_values(schedule, 7) == std::vector<double>{4, 4, 2, 2, 3, 4, 4});
  }
  SECTION("without annealing it jumps") {
    CHECK(first_values(SwaAnneal{{.before = 9, .start = 2, .target = 1}}, 4) == std::vector<double>{9, 9, 1, 1});
    CHECK(SwaAnneal{{.target = 0.5}}(0) == 0.5);
  }
}

TEST_CASE("what is not named has the default that is documented") {
  CHECK(InverseTime{{}}(0) == 0.01);
  CHECK(BottouDecay{{}}(0) == 0.01);
  CHECK(BottouDecay{{}}.options().lambda == 1e-4);
  CHECK(StepDecay{{.period = 1}}(0) == 0.01);
  CHECK(StepDecay{{.period = 1}}.options().factor == 0.1);
  CHECK(Cosine{{.steps = 1}}(0) == 0.01);
  CHECK(LinearWarmup{{}}(0) == 0.01);
  CHECK(Triangular{{.half_period = 1}}(0) == 0.001);
  CHECK(Triangular{{.half_period = 1}}.options().max == 0.01);
  CHECK(LinearCycle{{.period = 1}}(0) == 0.001);
  CHECK(LinearCycle{{.period = 1}}.options().max == 0.01);
  CHECK(SwaAnneal{{.start = 1}}(0) == 0.01);
  CHECK(SwaAnneal{{}}(0) == 0.05);
}

TEST_CASE("what has no sensible default must be given") {
  CHECK(error_of([] { StepDecay{{.initial = 1}}; }) ==
        "invalid_argument: polyak::StepDecay: period must be >= 1, got 0");
  CHECK(error_of([] { Cosine{{.initial = 1}}; }) == "invalid_argument: polyak::Cosine: steps must be >= 1, got 0");
  CHECK(error_of([] { Triangular{{.min = 0, .max = 1}}; }) ==
        "invalid_argument: polyak::Triangular: half_period must be >= 1, got 0");
  CHECK(error_of([] { LinearCycle{{.max = 1, .min = 0}}; }) ==
        "invalid_argument: polyak::LinearCycle: period must be >= 1, got 0");
}

TEST_CASE("a hyperparameter is a number or a schedule") {
  CHECK(Hyperparameter(3)(17) == 3);
  CHECK(Hyperparameter(0.5f)(0) == 0.5);
  CHECK(Hyperparameter(3).is_number());
  const Hyperparameter schedule([](std::uint64_t t) { return static_cast<int>(t) * 2; });
  CHECK(schedule(21) == 42);
  CHECK_FALSE(schedule.is_number());

  const Hyperparameter copy = schedule;
  CHECK(copy(1) == 2);

  STATIC_REQUIRE(std::convertible_to<int, Hyperparameter>);
  STATIC_REQUIRE(std::convertible_to<double (*)(std::uint64_t), Hyperparameter>);
  STATIC_REQUIRE_FALSE(std::convertible_to<bool, Hyperparameter>);
  STATIC_REQUIRE_FALSE(std::convertible_to<const char*, Hyperparameter>);
  STATIC_REQUIRE_FALSE(std::convertible_to<double (*)(const char*), Hyperparameter>);
}

TEST_CASE("a schedule that cannot be called is refused") {
  CHECK(error_of([] { Hyperparameter(std::function<double(std::uint64_t)>()); }).starts_with("invalid_argument: "));
  double (*const none)(std::uint64_t) = nullptr;
  CHECK(error_of([&] { Hyperparameter h(none); }).starts_with("invalid_argument: "));
}

TEST_CASE("schedules hold their options by value") {
  CosineOptions options{.initial = 1, .final = 0, .steps = 4};
  const Cosine schedule(options);
  options = {.initial = 100, .final = 100, .steps = 1};
  CHECK(schedule(0) == 1);
  CHECK(schedule(4) == 0);
}
