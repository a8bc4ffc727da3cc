#include <polyak/detail/kernel.hpp>

#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;

TEST_CASE("16-bit scalars are computed in float, the others in themselves") {
  STATIC_REQUIRE(std::same_as<compute_t<Eigen::half>, float>);
  STATIC_REQUIRE(std::same_as<compute_t<Eigen::bfloat16>, float>);
  STATIC_REQUIRE(std::same_as<compute_t<float>, float>);
  STATIC_REQUIRE(std::same_as<compute_t<double>, double>);
  STATIC_REQUIRE(std::same_as<compute_t<long double>, long double>);
}

TEMPLATE_TEST_CASE("mul_add is a b + c", "", float, double, long double) {
  CHECK(mul_add<TestType>(3, 4, 5) == 17);
  CHECK(mul_add<TestType>(TestType(-0.5), 4, 2) == 0);
  CHECK(mul_add<TestType>(0, 7, TestType(0.25)) == TestType(0.25));
}

namespace {

struct Count {
  static constexpr bool vectorised = true;
  double* visits;
  void operator()(std::size_t i) const noexcept { visits[i] += 1; }
};

}  // namespace

TEST_CASE("for_each_index visits each index once, whatever the length") {
  for (std::size_t n = 0; n < 200; ++n) {
    std::vector<double> expected(n + 1, 1);
    expected[n] = 0;
    std::vector<double> visits(n + 1, 0);
    for_each_index(n, Count{visits.data()});
    REQUIRE(visits == expected);
    visits.assign(n + 1, 0);
    for_each_index(n, [&](std::size_t i) { visits[i] += 1; });
    REQUIRE(visits == expected);
  }
}

namespace {

/// y[i] = 1 + √(2 x[i]), which notes what each half was called for.
struct RootOfTwice {
  const double* x;
  double* y;
  int* firsts;
  int* seconds;
  double radicand(std::size_t i) const noexcept {
    ++firsts[i];
    return 2 * x[i];
  }
  double operator()(std::size_t i, double root) const noexcept {
    ++seconds[i];
    return y[i] = 1 + root;
  }
};

}  // namespace

TEST_CASE("a kernel with a root in its middle gets the root of its own radicand, once an index") {
  STATIC_REQUIRE(RootKernel<RootOfTwice>);
  STATIC_REQUIRE_FALSE(RootKernel<Count>);
  for (std::size_t n = 0; n < 200; ++n) {
    std::vector<double> x(n), y(n + 1, -1), expected(n + 1, -1);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<double>(i * i) * 2;
      expected[i] = 1 + 2 * static_cast<double>(i);
    }
    std::vector<int> firsts(n + 1), seconds(n + 1), once(n + 1, 1);
    once[n] = 0;
    for_each_index(n, RootOfTwice{x.data(), y.data(), firsts.data(), seconds.data()});
    REQUIRE(y == expected);
    REQUIRE(firsts == once);
    REQUIRE(seconds == once);
  }
}

TEST_CASE("folds chain behind a move with a root as behind any other") {
  const std::vector<double> x{2, 8, 18};
  std::vector<double> y(3), average(3, 10);
  std::vector<float> other(3, 1);
  std::vector<int> calls(3);
  const RootOfTwice move{x.data(), y.data(), calls.data(), calls.data()};
  const auto loop =
      then(y.data(), move, detail::FoldKernel<double>{average.data(), 0.5}, detail::FoldKernel<float>{other.data(), 1});
  STATIC_REQUIRE(RootKernel<decltype(loop)>);
  for_each_index(3, loop);
  CHECK(y == std::vector<double>{3, 5, 7});
  CHECK(average == std::vector<double>{6.5, 7.5, 8.5});
  CHECK(other == std::vector<float>{3, 5, 7});
}

TEST_CASE("compilers are promised nothing about scalars they cannot vectorise") {
  STATIC_REQUIRE(VectorKernel<Count>);
  STATIC_REQUIRE(VectorKernel<Assign<double, float>>);
  float* const weights = nullptr;
  Eigen::half* const halves = nullptr;
  STATIC_REQUIRE(VectorKernel<decltype(then(weights, Read<float>{}, detail::FoldKernel<double>{}))>);
  STATIC_REQUIRE_FALSE(VectorKernel<Assign<float, Eigen::half>>);
  STATIC_REQUIRE_FALSE(VectorKernel<Assign<long double, double>>);
  STATIC_REQUIRE_FALSE(VectorKernel<decltype(then(weights, Read<float>{}, detail::FoldKernel<Eigen::bfloat16>{}))>);
  STATIC_REQUIRE_FALSE(VectorKernel<decltype(then(halves, Read<Eigen::half>{}, detail::FoldKernel<float>{}))>);
  STATIC_REQUIRE_FALSE(VectorKernel<decltype([](std::size_t) {})>);
  const auto fold = [](std::size_t, float) noexcept {};
  STATIC_REQUIRE_FALSE(VectorKernel<decltype(then(weights, Read<float>{}, fold))>);
}

TEMPLATE_TEST_CASE("assign rounds to the narrower scalar", "", POLYAK_TEST_SCALARS) {
  const std::vector<double> from{0, -0.5, 3, 1.0 / 3};
  std::vector<TestType> to(5, TestType(9));
  assign(to.data(), from.data(), from.size());
  for (std::size_t i = 0; i < from.size(); ++i) CHECK(support::same_bits(to[i], static_cast<TestType>(from[i])));
  CHECK(static_cast<double>(to[4]) == 9);

  std::vector<TestType> none;
  assign(none.data(), from.data(), 0);
}

TEMPLATE_TEST_CASE("a fold moves the shadow towards the weight by the gain", "", POLYAK_TEST_SCALARS) {
  std::vector<TestType> shadow{TestType(2), TestType(2), TestType(2)};
  const detail::FoldKernel<TestType> fold{shadow.data(), 0.25f};
  fold(1, 10.0);
  fold(2, Eigen::half(-6));
  CHECK(static_cast<double>(shadow[0]) == 2);
  CHECK(static_cast<double>(shadow[1]) == 4);
  CHECK(static_cast<double>(shadow[2]) == 0);
}

TEST_CASE("moves and folds chain from left to right") {
  double weight = 8;
  double first = 0;
  float second = 0;
  const auto halve = [&weight](std::size_t) { return weight /= 2; };
  const auto loop =
      then(&weight, halve, detail::FoldKernel<double>{&first, 0.5}, detail::FoldKernel<float>{&second, 0.25f});
  CHECK(loop(0) == 4);
  CHECK(first == 2);
  CHECK(second == 1);
  CHECK(then(&weight, halve)(0) == 2);
  CHECK(Read<double>{&weight}(0) == 2);
}

namespace {

struct Negate {
  using moves_weights = void;
  double operator()(std::size_t, double weight) const noexcept { return -weight; }
};

}  // namespace

TEST_CASE("what a fold returns is where the weight goes, and what the next fold sees") {
  std::vector<double> weights{8, 16};
  std::vector<double> before(2), after(2);
  const auto halve = [&](std::size_t i) { return weights[i] /= 2; };
  const Negate negate;
  for_each_index(2, then(weights.data(), halve, detail::FoldKernel<double>{before.data(), 1}, negate,
                         detail::FoldKernel<double>{after.data(), 1}));
  CHECK(before == std::vector<double>{4, 8});
  CHECK(weights == std::vector<double>{-4, -8});
  CHECK(after == weights);
  // Two of one type are two.
  CHECK(then(weights.data(), Read<double>{weights.data()}, negate, negate)(0) == -4);
}

TEMPLATE_TEST_CASE("slices cover the whole, one after the other, and fit the cache", "", float, double, Eigen::half) {
  constexpr std::size_t length = slice_bytes / sizeof(TestType);
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{1}, length - 1, length, length + 1, 3 * length, 3 * length + 5}) {
    std::vector<TestType> params(n);
    const std::vector<TestType> grad(n);
    std::size_t covered = 0;
    for_each_slice(Slice<TestType>{2, 100, params, grad.data()}, [&](const Slice<TestType>& slice) {
      CHECK(slice.block == 2);
      CHECK(slice.offset == 100 + covered);
      CHECK(slice.params.data() == params.data() + covered);
      CHECK(slice.grad == grad.data() + covered);
      CHECK(slice.params.size() >= 1);
      CHECK(slice.params.size_bytes() <= 8192);
      covered += slice.params.size();
    });
    CHECK(covered == n);
  }
}

TEST_CASE("a part of a slice knows where it lies") {
  std::vector<double> params(10);
  const std::vector<double> grad(10);
  const auto part = Slice<double>{5, 7, params, grad.data()}.sub(3, 4);
  CHECK(part.block == 5);
  CHECK(part.offset == 10);
  CHECK(part.params.data() == params.data() + 3);
  CHECK(part.params.size() == 4);
  CHECK(part.grad == grad.data() + 3);
}

TEST_CASE("a slice of what stands for a gradient has parts as well") {
  std::vector<double> params(10);
  const auto squares = [](double at) { return at * at; };
  struct Computed {
    double (*of)(double);
    double from;
    double operator[](std::size_t i) const { return of(from + static_cast<double>(i)); }
    Computed operator+(std::ptrdiff_t n) const { return {of, from + static_cast<double>(n)}; }
  };
  const auto part = Slice<double, Computed>{0, 0, params, {squares, 1}}.sub(2, 5).sub(1, 3);
  CHECK(part.offset == 3);
  CHECK(part.params.size() == 3);
  CHECK(part.grad[0] == 16);
  CHECK(part.grad[2] == 36);
}
