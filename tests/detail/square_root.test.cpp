#include <polyak/detail/square_root.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using polyak::detail::square_roots;

namespace {

/// Each as std::sqrt rounds it, bit by bit, wherever it stands among the others.
template <std::size_t N, class T>
void check(const std::vector<T>& values) {
  for (std::size_t from = 0; from < values.size(); ++from) {
    alignas(64) T x[N + 1];
    for (std::size_t i = 0; i <= N; ++i) x[i] = values[(from + i) % values.size()];
    T expected[N];
    for (std::size_t i = 0; i < N; ++i) expected[i] = std::sqrt(x[i]);
    const T behind = x[N];
    square_roots<N>(*reinterpret_cast<T(*)[N]>(x));
    for (std::size_t i = 0; i < N; ++i) {
      if (std::isnan(expected[i])) {
        REQUIRE(std::isnan(x[i]));
      } else {
        REQUIRE(support::same_bits(x[i], expected[i]));
      }
    }
    CHECK(support::same_bits(x[N], behind));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("square roots are rounded correctly, of subnormals, infinity and less than nothing too", "", float,
                   double, long double) {
  using Limits = std::numeric_limits<TestType>;
  std::vector<TestType> values{0,
                               TestType(-0.0),
                               1,
                               2,
                               4,
                               TestType(0.1),
                               Limits::min(),
                               Limits::denorm_min(),
                               3 * Limits::denorm_min(),
                               Limits::max(),
                               Limits::infinity(),
                               -1,
                               -Limits::infinity(),
                               Limits::quiet_NaN()};
  support::Random random(31);
  for (int i = 0; i < 400; ++i) values.push_back(static_cast<TestType>(std::exp(random.uniform(-80, 80))));
  check<16>(values);
  check<32>(values);
  check<48>(values);
}
