#include <polyak/concepts.hpp>
#include <polyak/detail/parallel.hpp>

#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"

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

TEST_CASE("what is done in parts is done once to every coordinate, each with its place in the whole") {
  std::vector<std::vector<double>> set{std::vector<double>(700, 1), {}, std::vector<double>(1500, 2)};
  // As many threads as there may be where OpenMP is on.
  for (const std::size_t size : {std::size_t{2200}, std::size_t{1} << 20}) {
    std::vector<int> seen(size);
    set[2].resize(size - 700, 2);
    const auto blocks = [&](const auto& body) {
      std::size_t offset = 0;
      for (std::size_t i = 0; i < set.size(); ++i) {
        body(Slice<double>{i, offset, set[i], set[i].data()});
        offset += set[i].size();
      }
    };
    in_parts<double>(size, blocks, [&](const Slice<double>& part) {
      for (std::size_t j = 0; j < part.params.size(); ++j) {
        const bool first = part.offset + j < 700;
        if (part.params[j] == (first ? 1 : 2) && part.block == (first ? 0 : 2)) ++seen[part.offset + j];
      }
    });
    CHECK(seen == std::vector<int>(size, 1));
  }
}

TEST_CASE("what is done one at a time is done") {
  int calls = 0;
  one_at_a_time([&] { ++calls; });
  CHECK(calls == 1);
}
