#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/concepts.hpp>
#include <polyak/detail/parallel.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/lookahead.hpp>

#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "slices_only.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;

TEST_CASE("shares take every coordinate of every block once, in order, cut at whole slices") {
  constexpr std::size_t length = slice_bytes / sizeof(float);
  const std::vector<std::vector<std::size_t>> layouts{{0},
                                                      {1},
                                                      {length},
                                                      {length + 1},
                                                      {7 * length - 1},
                                                      {7 * length},
                                                      {0, 3 * length + 5, 1, 0, length - 1, 9 * length}};
  for (const auto& sizes : layouts) {
    std::size_t all = 0;
    for (const std::size_t size : sizes) all += size;
    for (std::size_t count = 1; count <= 9; ++count) {
      std::size_t offset = 0;
      std::vector<std::size_t> taken(count);
      for (const std::size_t size : sizes) {
        std::size_t next = 0;
        for (std::size_t i = 0; i < count; ++i) {
          const Part part = part_of<float>({i, count}, all, offset, size);
          REQUIRE(part.from == next);
          REQUIRE(part.from <= part.to);
          REQUIRE((part.to % length == 0 || part.to == size));
          next = part.to;
          taken[i] += part.to - part.from;
        }
        REQUIRE(next == size);
        offset += size;
      }
      for (const std::size_t n : taken) REQUIRE(n <= all / count + 2 * length);
    }
  }
}

TEST_CASE("shares are about equal, and their bounds do not overflow") {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  const Part middle = part_of<double>({6, 13}, all, 0, all);
  const double share = static_cast<double>(all) / 13;
  CHECK(static_cast<double>(middle.from) == Approx(6 * share));
  CHECK(static_cast<double>(middle.to) == Approx(7 * share));
  CHECK(part_of<double>({12, 13}, all, 0, all).to == all);
}

TEST_CASE("a share of a set of parameters is shown with its place in the whole") {
  std::vector<std::vector<double>> set{std::vector<double>(700, 1), {}, std::vector<double>(1500, 2)};
  std::vector<int> seen(2200);
  for (std::size_t i = 0; i < 3; ++i) {
    for_each_in(Share{i, 3}, 2200, set, "test", [&](std::size_t offset, std::span<double> part) {
      CHECK(!part.empty());
      for (std::size_t j = 0; j < part.size(); ++j) {
        CHECK(part[j] == (offset + j < 700 ? 1 : 2));
        ++seen[offset + j];
      }
    });
  }
  CHECK(seen == std::vector<int>(2200, 1));
}

TEST_CASE("what the library offers is concurrent, and what does not say so is not") {
  using AverageOf = Averaged<ClipNorm<Lookahead<Accumulate<AdamW<>>>>, Ema<>, Lawa<>>;
  using View = const StepView<double>&;
  STATIC_REQUIRE(Concurrent<decltype(std::declval<AverageOf&>().begin_step(std::declval<View>()))>);
  using Unknown = Averaged<support::SlicesOnly<double>, Ema<>>;
  STATIC_REQUIRE_FALSE(Concurrent<decltype(std::declval<Unknown&>().begin_step(std::declval<View>()))>);
}
