#include <polyak/averaged.hpp>
#include <polyak/averagers/compensated.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"
#include "parts/optimizers.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

// A coordinate whose gradient is exactly 0 lets what decays decay, but not into subnormal numbers for long.

using namespace polyak;

TEMPLATE_TEST_CASE("what is subnormal becomes 0, and nothing else", "", float, double) {
  using Limits = std::numeric_limits<TestType>;
  const TestType least = Limits::min(), tiny = Limits::denorm_min();
  const std::vector<TestType> kept{least,
                                   -least,
                                   1,
                                   -2,
                                   Limits::max(),
                                   Limits::infinity(),
                                   -Limits::infinity(),
                                   Limits::quiet_NaN(),
                                   std::nextafter(least, TestType(1))};
  const std::vector<TestType> gone{tiny, -tiny, least - tiny, tiny - least, 0};
  for (std::size_t n = 0; n < 40; ++n) {
    std::vector<TestType> x(n + 1, tiny), expected(n + 1, 0);
    expected[n] = tiny;
    for (std::size_t i = 0; i < n; ++i) {
      const bool keeps = i % 3 != 0;
      x[i] = keeps ? kept[i % kept.size()] : gone[i % gone.size()];
      expected[i] = keeps ? x[i] : TestType(0);
    }
    detail::flush_subnormals(x.data(), n);
    for (std::size_t i = 0; i <= n; ++i) REQUIRE(support::same_bits(x[i], expected[i]));
  }
}

TEST_CASE("narrower and wider scalars are left alone") {
  Eigen::half half = Eigen::half_impl::raw_uint16_to_half(1);
  detail::flush_subnormals(&half, 1);
  CHECK(half.x == 1);
  long double wide = std::numeric_limits<long double>::denorm_min();
  detail::flush_subnormals(&wide, 1);
  CHECK(wide > 0);
}

namespace {

/// Coordinates of saved vectors of Scalar that are subnormal, as "name i".
template <class Scalar, class Object>
std::string subnormals(Object& object) {
  serialize::NamedOutput output;
  output& object;
  std::string found;
  for (const auto& [name, array] : output.saved().arrays) {
    REQUIRE(array.bytes.size() == array.count * sizeof(Scalar));
    for (std::size_t i = 0; i < array.count; ++i) {
      Scalar x;
      std::memcpy(&x, array.bytes.data() + i * sizeof x, sizeof x);
      if (std::fpclassify(x) == FP_SUBNORMAL) found += name + " " + std::to_string(i) + " ";
    }
  }
  return found;
}

}  // namespace

TEMPLATE_TEST_CASE("no optimizer keeps subnormal numbers of coordinates without a gradient", "", float, double) {
  std::size_t seen = 0;  // steps after which there were some, so that there was something to do
  parts::for_each_optimizer<TestType>([&](const char* name, auto optimizer) {
    using Vector = Eigen::VectorX<TestType>;
    const Vector alive = Vector::Ones(3);  // a block before that which is looked at
    Vector before = alive, theta = Vector::Ones(5), dead(5);
    dead << TestType(1e-18), 1, 0, TestType(1e-30), TestType(-1e-10);
    ParameterSet params{before, theta};
    const ParameterSet grad{alive, dead};
    optimizer.step(params, grad);
    dead << 0, 1, 0, 0, 0;
    for (std::uint64_t t = 2; t <= 64 * 40; ++t) {
      optimizer.step(params, grad);
      if (t % 64 > 1) continue;
      const std::string found = subnormals<TestType>(optimizer);
      INFO(name << " after step " << t);
      if (t % 64 == 0) REQUIRE(found.empty());
      seen += found.empty() ? 0 : 1;
    }
  });
  if (std::is_same_v<TestType, float>) CHECK(seen > 0);
}

TEMPLATE_TEST_CASE("no average keeps subnormal numbers, alone or in a step, guarded or not", "", float, double) {
  const TestType decay = std::is_same_v<TestType, float> ? TestType(0.9) : TestType(0.5);
  const EmaOptions options{.decay = decay};
  Ema<TestType> alone{options};
  Averaged opt{support::whole_step(Sgd<TestType>{}), Ema<TestType>{options}, Guarded{Ema<TestType>{options}}};
  Averaged fused{Sgd<TestType>{}, Ema<TestType>{options}, Ema<TestType>{{.decay = 0.99}}};
  Eigen::VectorX<TestType> theta = Eigen::VectorX<TestType>::Ones(3), other = theta;
  const Eigen::VectorX<TestType> grad = Eigen::VectorX<TestType>::Zero(3);
  bool seen = false;
  for (std::uint64_t k = 1; k <= 64 * 25; ++k) {
    if (k == 2) theta = other = Eigen::VectorX<TestType>{{0, 1, 0}};
    alone.update(theta);
    opt.step(theta, grad);
    fused.step(other, grad);
    const TestType s = alone.average()[0];
    seen = seen || std::fpclassify(s) == FP_SUBNORMAL;
    if (k % 64 == 0) REQUIRE(std::fpclassify(s) != FP_SUBNORMAL);
    REQUIRE(opt.template average<0>() == alone.average());
    REQUIRE(opt.template average<1>() == alone.average());
    REQUIRE(fused.template average<0>() == alone.average());
    // Nothing else changes: the plain recursion, but for what is smaller than any normal number.
    if (k == 1) continue;
    const long double expected = std::pow(static_cast<long double>(decay), static_cast<long double>(k - 1)) *
                                 (1 - static_cast<long double>(decay)) /
                                 (1 - std::pow(static_cast<long double>(decay), static_cast<long double>(k)));
    REQUIRE(std::abs(static_cast<long double>(s) - expected) <=
            std::numeric_limits<TestType>::min() + 1e-4L * expected);
  }
  CHECK(seen);
  CHECK(alone.average() == Eigen::VectorX<TestType>{{0, 1, 0}});
}

TEST_CASE("a compensated average is flushed too, and keeps its residue") {
  Ema<Compensated<float>> ema{{.decay = 0.9}};
  ema.update(std::vector<float>{1});
  for (int k = 2; k <= 64 * 20; ++k) ema.update(std::vector<float>{0});
  std::vector<double> value(1);
  ema.copy_average_to(value);
  CHECK(std::fpclassify(ema.average()[0]) != FP_SUBNORMAL);
  CHECK(std::abs(value[0]) < 1e-37);
}
