#include <polyak/optimizers/setting.hpp>
#include <polyak/schedules.hpp>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using detail::Setting;
using support::error_of;

namespace {

constexpr const char* who = "polyak::Somebody";

/// What counts how often it is asked.
struct Counted {
  int* asked;
  double operator()(std::uint64_t t) const {
    ++*asked;
    return static_cast<double>(t) - 1;
  }
};

}  // namespace

TEST_CASE("a setting is asked with the steps taken, and must be finite and at least 0") {
  const Setting size("size");
  CHECK(size.ask(0.5, 3, who) == 0.5);
  CHECK(size.ask(0, 3, who) == 0);
  CHECK(size.ask(std::numeric_limits<double>::max(), 3, who) == std::numeric_limits<double>::max());
  int asked = 0;
  CHECK(size.ask(Counted{&asked}, 3, who) == 2);
  CHECK(asked == 1);
  const std::string rule = "invalid_argument: polyak::Somebody: size must be finite and >= 0, got ";
  CHECK(error_of([&] { (void)size.ask(Counted{&asked}, 0, who); }) == rule + "-1");
  CHECK(error_of([&] { size.check(support::not_a_number, who); }) == rule + "nan");
  CHECK(error_of([&] { size.check(support::infinity, who); }) == rule + "inf");
  CHECK(error_of([&] { size.check(-5e-324, who); }) == rule + "-5e-324");
  // A schedule is checked by the step that it is for.
  CHECK(error_of([&] { size.check(Counted{&asked}, who); }) == "nothing");
  CHECK(asked == 2);
}

TEST_CASE("what a setting refuses, or the other options do not go with, is not set") {
  Setting size("size");
  Hyperparameter option = Constant(4);
  int checks = 0;
  const auto agrees = [&checks] { ++checks; };
  const auto disagrees = [&] {
    CHECK(option(0) == 2);  // it is asked about the options as they would be
    throw std::invalid_argument("too small");
  };
  CHECK(error_of([&] { size.set(option, 2, who, disagrees); }) == "invalid_argument: too small");
  CHECK(option.description() == "Constant(value 4)");
  CHECK(error_of([&] { size.set(option, -1, who, agrees); }) ==
        "invalid_argument: polyak::Somebody: size must be finite and >= 0, got -1");
  CHECK(option.description() == "Constant(value 4)");
  CHECK(checks == 0);
  size.set(option, 2, who, agrees);
  CHECK(option.description() == "2");
  CHECK(checks == 1);
}
