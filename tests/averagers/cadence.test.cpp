#include <polyak/averagers/cadence.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

using namespace polyak;
using polyak::detail::StepCount;
using support::error_of;

TEST_CASE("a step t folds from start on where t − start is a multiple of every") {
  for (std::uint64_t start = 0; start <= 7; ++start) {
    for (std::uint64_t every = 1; every <= 5; ++every) {
      const auto due = [&](std::uint64_t t) {
        return t >= std::max<std::uint64_t>(start, 1) && (t - start) % every == 0;
      };
      const Cadence cadence{start, every};
      CHECK(due(cadence.first()));
      StepCount count(cadence), missed(cadence);
      std::uint64_t folds = 0;
      for (std::uint64_t t = 1; t <= 23; ++t) {
        INFO("start " << start << ", every " << every << ", t " << t);
        REQUIRE(count.due_in(1) == due(t));
        REQUIRE(missed.due_in(1) == due(t));
        // Of the steps ahead it knows the first that folds.
        if (!due(t)) REQUIRE(count.due_in(2) == (due(t + 1)));
        folds += due(t);
        due(t) ? missed.count_missed() : missed.count(false);
        count.count(due(t));
        REQUIRE(count.steps() == t);
        REQUIRE(missed.steps() == t);
        REQUIRE(count.folds() == folds);
        REQUIRE(missed.folds() == 0);
      }
    }
  }
}

TEST_CASE("a cadence of every step and one that is never due") {
  constexpr auto never = std::numeric_limits<std::uint64_t>::max();
  CHECK(Cadence{}.first() == 1);
  CHECK(Cadence{0, 5}.first() == 5);
  CHECK(Cadence{3, 5}.first() == 3);
  CHECK(Cadence{0, never}.first() == never);
  StepCount count(Cadence{1, never});
  CHECK(count.due_in(1));
  count.count(true);
  for (int t = 0; t < 5; ++t) {
    CHECK_FALSE(count.due_in(1));
    count.count(false);
  }
}

TEST_CASE("a count is saved") {
  StepCount count(Cadence{2, 3});
  for (int t = 1; t <= 5; ++t) count.count(count.due_in(1));
  StepCount loaded(Cadence{2, 3});
  serialize::load(serialize::save(count), loaded);
  CHECK(loaded.steps() == 5);
  CHECK(loaded.folds() == 2);
  CHECK_FALSE(loaded.due_in(1));
  CHECK(loaded.due_in(3));
}
