#include <polyak/detail/errors.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak::detail;
using support::error_of;
using support::infinity;
using support::not_a_number;

TEST_CASE("numbers are written as the shortest text that reads back") {
  CHECK(to_text(1.2) == "1.2");
  CHECK(to_text(0.1) == "0.1");
  CHECK(to_text(-0.0) == "-0");
  CHECK(to_text(1e300) == "1e+300");
  CHECK(to_text(infinity) == "inf");
  CHECK(to_text(not_a_number) == "nan");
  CHECK(to_text(std::copysign(not_a_number, -1.0)) == "nan");
  CHECK(to_text(-infinity) == "-inf");
  for (const double x : {1.0 / 3, 1 - 1e-15, -std::numeric_limits<double>::max(), 5e-324, 0.1 + 0.2}) {
    CHECK(std::strtod(to_text(x).c_str(), nullptr) == x);
  }
  CHECK(to_text(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
}

TEST_CASE("messages name who, the rule and the value") {
  CHECK(error_of([] { throw_bad_value("polyak::A", "b must be c", 1.5); }) ==
        "invalid_argument: polyak::A: b must be c, got 1.5");
  CHECK(error_of([] { throw_bad_value("polyak::A", "b must be c", std::uint64_t{7}, " now"); }) ==
        "invalid_argument: polyak::A: b must be c, got 7 now");
  CHECK(error_of([] { throw_bad_fold("polyak::A", "b must be c", 1.5, 3); }) ==
        "invalid_argument: polyak::A: b must be c, got 1.5 at fold 3");
  CHECK(error_of([] { throw_bad_size("polyak::A", "b must be", 3, 4); }) ==
        "invalid_argument: polyak::A: b must be 3, got 4");
  CHECK(error_of([] { throw_bad_argument("polyak::A", "b"); }) == "invalid_argument: polyak::A: b");
  CHECK(error_of([] { throw_bad_order("polyak::A", "b first"); }) == "logic_error: polyak::A: b first");
}

TEST_CASE("a message names the block where there are several") {
  const auto message = [](std::size_t block, std::size_t blocks) {
    return error_of([&] { throw_bad_block("A", "rule", block, blocks, {2, 3}, {4, 5}); });
  };
  CHECK(message(0, 1) == "invalid_argument: A: rule, 2x3, got 4x5");
  CHECK(message(0, 2) == "invalid_argument: A: rule of block 0, 2x3, got 4x5");
  CHECK(message(7, 9) == "invalid_argument: A: rule of block 7, 2x3, got 4x5");
}

TEST_CASE("requirements pass good values and refuse the rest") {
  CHECK(error_of([] { require(true, "A", "rule", 1.0); }) == "nothing");
  CHECK(error_of([] { require(false, "A", "rule", std::uint64_t{0}); }) == "invalid_argument: A: rule, got 0");
}
