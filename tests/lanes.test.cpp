#include <polyak/lanes.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using lanes::At;
using lanes::Packet;

TEST_CASE("16-bit scalars are computed in float, the others in themselves") {
  STATIC_REQUIRE(std::same_as<lanes::compute_t<Eigen::half>, float>);
  STATIC_REQUIRE(std::same_as<lanes::compute_t<Eigen::bfloat16>, float>);
  STATIC_REQUIRE(std::same_as<lanes::compute_t<float>, float>);
  STATIC_REQUIRE(std::same_as<lanes::compute_t<double>, double>);
  STATIC_REQUIRE(std::same_as<lanes::compute_t<long double>, long double>);
}

TEST_CASE("there are as many lanes as Eigen's packets have of the widest scalar, and one of what they lack") {
  STATIC_REQUIRE(lanes::width<float> == std::size_t{Eigen::internal::packet_traits<float>::size});
  STATIC_REQUIRE(lanes::width<float, double> == lanes::width<double>);
  STATIC_REQUIRE(lanes::width<double, float> == lanes::width<double>);
  STATIC_REQUIRE(lanes::width<Eigen::half> == 1);
  STATIC_REQUIRE(lanes::width<float, Eigen::bfloat16> == 1);
  STATIC_REQUIRE(lanes::width<long double> == 1);
  STATIC_REQUIRE(lanes::width_of<decltype([](std::size_t) {})> == 1);
}

namespace {

/// Numbers of every kind, enough to fill the lanes at every place.
template <class T>
std::vector<T> numbers(std::uint64_t seed) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> all{0,
                     T(-0.0),
                     1,
                     2,
                     4,
                     T(0.1),
                     Limits::min(),
                     Limits::denorm_min(),
                     3 * Limits::denorm_min(),
                     Limits::max(),
                     Limits::infinity(),
                     -1,
                     -Limits::infinity(),
                     Limits::quiet_NaN()};
  support::Random random(seed);
  for (int i = 0; i < 400; ++i) all.push_back(static_cast<T>(std::exp(random.uniform(-80, 80))));
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.integer(0, i - 1)]);
  return all;
}
/// The same bits, or both NaN.
template <class T>
bool alike(T a, T b) {
  return support::same_bits(a, b) || (std::isnan(static_cast<double>(a)) && std::isnan(static_cast<double>(b)));
}

/// Whether f gives in all lanes of To what it gives for each coordinate of three vectors of From alone.
template <class To, class From, class F>
bool same_in_all_lanes(const F& f) {
  constexpr std::size_t n = lanes::width<From, To>;
  const auto a = numbers<From>(1), b = numbers<From>(2), c = numbers<From>(3);
  std::size_t wrong = 0;
  for (std::size_t from = 0; from + n <= a.size(); ++from) {
    std::vector<To> together(n), alone(n);
    const auto at = [from]<std::size_t N>(At<N> i) { return At<N>{from + i.first}; };
    const auto kernel = [&](To* to, auto i) {
      lanes::store(to, i, f(lanes::load(a.data(), at(i)), lanes::load(b.data(), at(i)), lanes::load(c.data(), at(i))));
    };
    kernel(together.data(), At<n>{0});
    for (std::size_t i = 0; i < n; ++i) kernel(alone.data(), At<1>{i});
    for (std::size_t i = 0; i < n; ++i) wrong += alike(together[i], alone[i]) ? 0u : 1u;
  }
  return wrong == 0;
}

}  // namespace

TEMPLATE_TEST_CASE("several coordinates at once give the bits that each gives alone", "", float, double) {
  using T = TestType;
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto) { return a + b; }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto) { return a * b; }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto) {
    using V = decltype(a);
    return a / (b == V{} ? lanes::all<V>(3) : b);
  }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto c) { return lanes::mul_add(a, b, c); }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto) { return lanes::mul_add(T(0.3), a, b); }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto, auto) { return lanes::square_root(a); }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto b, auto c) { return a < b ? c : a; }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto, auto) { return lanes::all<decltype(a)>(T(0.1)); }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto, auto) { return lanes::all<decltype(a)>(T(-0.0)); }));
  CHECK(same_in_all_lanes<T, T>([](auto a, auto, auto) { return lanes::from_bits<decltype(a)>(lanes::bits(a) ^ 1u); }));
  CHECK(same_in_all_lanes<float, T>([](auto a, auto, auto) { return lanes::convert<float>(a); }));
  CHECK(same_in_all_lanes<double, T>([](auto a, auto, auto) { return lanes::convert<double>(a); }));
  CHECK(same_in_all_lanes<float, T>([](auto a, auto, auto) { return a; }));
  CHECK(same_in_all_lanes<double, T>([](auto a, auto, auto) { return a; }));
}

TEMPLATE_TEST_CASE("square roots are rounded correctly, of subnormals, infinity and less than nothing too", "", float,
                   double, long double) {
  for (const TestType x : numbers<TestType>(4)) CHECK(alike(lanes::square_root(x), std::sqrt(x)));
  CHECK((same_in_all_lanes<TestType, TestType>([](auto a, auto, auto) { return lanes::square_root(a); })));
}

TEMPLATE_TEST_CASE("float and double share the lanes of the wider one", "", float, double) {
  // Half the lanes of float, which a processor may have no registers for.
  constexpr std::size_t n = lanes::width<float, double>;
  const std::vector<float> x{1, 4, 9, 16, 25, 36, 49, 64};
  std::vector<float> roots(8, -1);
  lanes::store(roots.data(), At<n>{0}, lanes::square_root(lanes::load(x.data(), At<n>{0})));
  for (std::size_t i = 0; i < 8; ++i) CHECK(roots[i] == (i < n ? static_cast<float>(i + 1) : -1.0f));
  std::vector<TestType> sums(8, -1);
  const auto packet = lanes::load<TestType>(x.data(), At<n>{0});
  lanes::store(sums.data(), At<n>{0}, lanes::mul_add(TestType(2), packet, packet));
  for (std::size_t i = 0; i < 8; ++i) CHECK(sums[i] == (i < n ? 3 * static_cast<TestType>(x[i]) : TestType(-1)));
}

TEMPLATE_TEST_CASE("mul_add is a b + c", "", float, double, long double) {
  CHECK(lanes::mul_add(TestType(3), TestType(4), TestType(5)) == 17);
  CHECK(lanes::mul_add(TestType(-0.5), TestType(4), TestType(2)) == 0);
  CHECK(lanes::mul_add(TestType(0), TestType(7), TestType(0.25)) == TestType(0.25));
}

TEST_CASE("integers are cut off, and become numbers") {
  constexpr std::size_t n = lanes::width<float>;
  const std::vector<std::int16_t> from{-1, 300, 32767, -32768, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  std::vector<float> to(n);
  lanes::store(to.data(), At<n>{0}, lanes::convert<float>(lanes::load(from.data(), At<n>{0})));
  std::vector<std::int8_t> narrow(n);
  lanes::store(narrow.data(), At<n>{0}, lanes::convert<std::int8_t>(lanes::load(from.data(), At<n>{0})));
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(to[i] == static_cast<float>(from[i]));
    CHECK(narrow[i] == static_cast<std::int8_t>(from[i]));
  }
  CHECK(lanes::convert<float>(std::int16_t{-3}) == -3);
}

TEST_CASE("integers of eight bytes become numbers whole, and are cut off where it is narrower") {
  constexpr std::size_t n = lanes::width<double>;
  constexpr std::int64_t large = (std::int64_t{1} << 40) + 5;
  const std::vector<std::int64_t> from{large, -large, 300, -1, 0, 7, 32767, -32768};
  std::vector<double> to(n);
  lanes::store(to.data(), At<n>{0}, lanes::convert<double>(lanes::load(from.data(), At<n>{0})));
  std::vector<std::int16_t> narrow(n);
  lanes::store(narrow.data(), At<n>{0}, lanes::convert<std::int16_t>(lanes::load(from.data(), At<n>{0})));
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(to[i] == static_cast<double>(from[i]));
    CHECK(narrow[i] == static_cast<std::int16_t>(from[i]));
  }
}

namespace {

struct Count {
  static constexpr std::size_t width = lanes::width<double>;
  double* visits;
  template <std::size_t N>
  void operator()(At<N> i) const noexcept {
    lanes::store(visits, i, 1.0 + lanes::load(visits, i));
  }
};

}  // namespace

TEST_CASE("for_each visits each index once, whatever the length") {
  for (std::size_t n = 0; n < 200; ++n) {
    std::vector<double> expected(n + 1, 1);
    expected[n] = 0;
    std::vector<double> visits(n + 1, 0);
    lanes::for_each(n, Count{visits.data()});
    REQUIRE(visits == expected);
    visits.assign(n + 1, 0);
    lanes::for_each(n, [&](std::size_t i) { visits[i] += 1; });
    REQUIRE(visits == expected);
  }
}

TEMPLATE_TEST_CASE("copy rounds to the narrower scalar", "", POLYAK_TEST_SCALARS) {
  for (std::size_t n = 0; n < 40; ++n) {
    std::vector<double> from(n);
    for (std::size_t i = 0; i < n; ++i) from[i] = (static_cast<double>(i) - 3.5) / 3;
    std::vector<TestType> to(n + 1, TestType(9)), expected = to;
    lanes::copy(to.data(), from.data(), n);
    for (std::size_t i = 0; i < n; ++i) expected[i] = static_cast<TestType>(from[i]);
    REQUIRE(to == expected);
    std::vector<double> back(n);
    lanes::copy(back.data(), to.data(), n);
    for (std::size_t i = 0; i < n; ++i) REQUIRE(back[i] == static_cast<double>(to[i]));
  }
}
