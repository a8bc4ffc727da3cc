#include "common/program.hpp"

#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "catch.hpp"
#include "common/command_line.hpp"
#include "common/table.hpp"

using namespace examples;

namespace {

/// Catches what goes to a stream while it lives.
class Caught {
 public:
  explicit Caught(std::ostream& stream) : stream_(stream), before_(stream.rdbuf(text_.rdbuf())) {}
  ~Caught() { stream_.rdbuf(before_); }
  Caught(const Caught&) = delete;
  Caught& operator=(const Caught&) = delete;

  [[nodiscard]] std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::ostream& stream_;
  std::streambuf* before_;
};

}  // namespace

TEST_CASE("a program ends with a status and, where it fails, a line that says why") {
  const Caught out(std::cout), err(std::cerr);
  CHECK(run_program("p", [] {}) == 0);
  CHECK(run_program("p", [] { throw Help{"how to\n"}; }) == 0);
  CHECK(run_program("p", [] { throw BadOption("--n: must be odd, got 2"); }) == 2);
  CHECK(run_program("p", [] { throw std::runtime_error("no disk"); }) == 1);
  CHECK(out.text() == "how to\n");
  CHECK(err.text() == "p: --n: must be odd, got 2 (--help lists the options)\np: no disk\n");
}

TEST_CASE("each rule for an option takes what it should and tells what it refuses") {
  const auto says = [](const CLI::Validator& validator, std::string value) { return validator(value); };
  CHECK(says(positive_number(), "1e-3").empty());
  for (const std::string bad : {"0", "-1", "nan", "inf", "1e60", "1x", ""}) {
    CHECK(says(positive_number(), bad) == "must be a positive number, got " + bad);
  }
  CHECK(says(fraction(), "0").empty());
  CHECK(says(fraction(), "0.9999").empty());
  CHECK(says(fraction(), "1") == "must be in [0, 1), got 1");
  CHECK(says(whole_number_from(2), "2").empty());
  for (const std::string bad : {"1", "2.0", "2000000000", "99999999999999999999", "", "two"}) {
    CHECK(says(whole_number_from(2), bad) == "must be a whole number from 2 to 1000000000, got " + bad);
  }
  CHECK(says(one_of({"a", "b"}), "b").empty());
  CHECK(says(one_of({"a", "b"}), "c").substr(0, 8) == "c not in");
  CHECK(says(not_empty(), "x").empty());
  CHECK_FALSE(says(not_empty(), "").empty());
  CHECK_NOTHROW(require_batch_within(3, 3));
  CHECK_THROWS_AS(require_batch_within(4, 3), BadOption);
}

TEST_CASE("numbers of a table") {
  CHECK(fixed(1.25, 1) == "1.2");
  CHECK(fixed(-0.001, 2) == "0.00");
  CHECK(fixed(-0.4, 0) == "0");
  CHECK(fixed(-0.01, 2) == "-0.01");
  CHECK(with_spread({1, 2, 3}, 1) == "2.0 ± 1.0");
  CHECK(with_spread({1}, 1) == "1.0");
}
