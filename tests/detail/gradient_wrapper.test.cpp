#include <polyak/detail/gradient_wrapper.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;
using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// --- what stands for a gradient ---

TEST_CASE("a filtered gradient is scaled, then clamped, and hides no NaN") {
  const std::vector<double> g{1, -1, 3, -3, 8, -8, support::infinity, -support::infinity, support::not_a_number};
  const Filtered<double, const double*> filtered{g.data(), 0.5, 2};
  const std::vector<double> expected{0.5, -0.5, 1.5, -1.5, 2, -2, 2, -2};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(filtered[i] == expected[i]);
  CHECK(std::isnan(filtered[8]));
  CHECK((filtered + 2)[0] == 1.5);
  CHECK((filtered + 2 + 3)[0] == -2);
}

TEST_CASE("filters around filters") {
  const double g = 8;
  const Filtered<double, const double*> inner{&g, 0.5, 3};
  const Filtered<double, Filtered<double, const double*>> outer{inner, 2, 5};
  CHECK(outer[0] == 5);
  CHECK((Filtered<double, decltype(inner)>{inner, 0.5, 5}[0]) == 1.5);
}

TEMPLATE_TEST_CASE("16-bit gradients are filtered in float", "", Eigen::half, Eigen::bfloat16) {
  const std::vector<TestType> g{TestType(1), TestType(-3)};
  std::vector<TestType> params(2);
  const auto slice = filtered(Slice<TestType>{3, 7, params, g.data()}, GradFilter{.scale = 1 + 0x1p-20, .limit = 2.5});
  STATIC_REQUIRE(std::same_as<std::remove_cvref_t<decltype(slice.grad[0])>, float>);
  CHECK(slice.block == 3);
  CHECK(slice.offset == 7);
  CHECK(slice.params.data() == params.data());
  CHECK(slice.grad[0] == 1 + 0x1p-20f);
  CHECK(slice.grad[1] == -2.5f);
  CHECK(slice.sub(1, 1).grad[0] == -2.5f);
}

// --- a flat gradient in the shape of the parameters ---

namespace {

/// What with_shaped makes of 1, 2, … for such parameters.
template <class P, class Check>
void shaped(P&& params, Check check) {
  std::vector<double> gradient(20);
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<double>(i + 1);
  int calls = 0;
  const int result = with_shaped(params, gradient.data(), [&](const auto& g) {
    STATIC_REQUIRE(GradientOf<std::remove_cvref_t<decltype(g)>, P>);
    check(g, gradient.data());
    return ++calls;
  });
  CHECK(result == 1);
}

}  // namespace

TEST_CASE("a gradient for Eigen objects is a Map of their kind, shape and order") {
  MatrixXd columns(2, 3);
  shaped(columns, [](const auto& g, const double* memory) {
    CHECK(g == MatrixXd{{1, 3, 5}, {2, 4, 6}});
    CHECK(g.data() == memory);
  });
  RowMajorXd rows(2, 3);
  shaped(rows, [](const auto& g, const double*) { CHECK(g == MatrixXd{{1, 2, 3}, {4, 5, 6}}); });
  Eigen::Array<double, 3, 1> fixed;
  shaped(fixed, [](const auto& g, const double*) {
    CHECK((g == Eigen::Array3d(1, 2, 3)).all());
    STATIC_REQUIRE(std::remove_cvref_t<decltype(g)>::RowsAtCompileTime == 3);
  });
  Eigen::RowVectorXd row(4);
  shaped(row, [](const auto& g, const double*) { CHECK(g == Eigen::RowVectorXd{{1, 2, 3, 4}}); });
  VectorXd vector(9);
  shaped(vector.segment(2, 5), [](const auto& g, const double*) { CHECK(g == VectorXd{{1, 2, 3, 4, 5}}); });
}

TEST_CASE("a gradient for a range is a span") {
  std::vector<double> range(3);
  shaped(range, [](const auto& g, const double* memory) {
    STATIC_REQUIRE(std::same_as<decltype(g), const std::span<const double>&>);
    CHECK(g.data() == memory);
    CHECK(g.size() == 3);
  });
}

TEST_CASE("a gradient for a set is a set of the same shapes") {
  MatrixXd w(2, 3);
  RowMajorXd r(2, 2);
  std::vector<double> b(4);
  shaped(ParameterSet{w, r, b}, [](const auto& g, const double* memory) {
    REQUIRE(g.size() == 3);
    CHECK(g[0].data == memory);
    CHECK(g[0].shape.cols == 3);
    CHECK(g[1].data == memory + 6);
    CHECK(g[1].shape.row_major);
    CHECK(g[2].data == memory + 10);
    CHECK(g[2].flat().size() == 4);
  });
  std::vector<MatrixXd> matrices{MatrixXd(2, 3), MatrixXd(0, 2), MatrixXd(2, 1)};
  shaped(matrices, [](const auto& g, const double* memory) {
    REQUIRE(g.size() == 3);
    CHECK(g[0] == MatrixXd{{1, 3, 5}, {2, 4, 6}});
    CHECK(g[1].size() == 0);
    CHECK(g[2] == MatrixXd{{7}, {8}});
    CHECK(g[2].data() == memory + 6);
  });
  std::vector<std::vector<double>> vectors{{0, 0}, {}, {0, 0, 0}};
  shaped(vectors, [](const auto& g, const double* memory) {
    REQUIRE(g.size() == 3);
    CHECK(g[0].size() == 2);
    CHECK(g[1].empty());
    CHECK(g[2].data() == memory + 2);
  });
  std::array<VectorXd, 2> arrays{VectorXd(1), VectorXd(2)};
  shaped(arrays, [](const auto& g, const double*) {
    REQUIRE(g.size() == 2);
    CHECK(g[1] == VectorXd{{2, 3}});
  });
}

// --- the wrapper ---

namespace {

/// Skips, scales or clamps as it is told, and notes what became of it.
template <class Optimizer>
class Told : public GradientWrapper<Told<Optimizer>, Optimizer> {
 public:
  static constexpr std::string_view name = "Told";
  explicit Told(Optimizer trainer, Verdict next = {})
      : GradientWrapper<Told<Optimizer>, Optimizer>(std::move(trainer)), verdict(next) {}

  template <FloatingPoint Scalar>
  Verdict inspect(const StepView<Scalar>&) const {
    return verdict;
  }
  void note(const Verdict&) noexcept { ++notes; }

  Verdict verdict;
  int notes = 0;
};

struct Whole {
  std::uint64_t steps = 0;
  void step(VectorXd& params, const auto& gradient) {
    params -= gradient;
    ++steps;
  }
};

template <class Optimizer>
void check_told(Optimizer optimizer, const VectorXd& gradient, auto taken_by) {
  const VectorXd start{{8, 8, 8}};
  const auto steps = [&](auto& told, const VectorXd& expected, bool taken = true) {
    VectorXd theta = start;
    const int notes = told.notes;
    CHECK(told.step(theta, gradient) == taken);
    CHECK(theta == expected);
    CHECK(told.notes == notes + 1);
  };
  Told told{optimizer};
  steps(told, start - gradient);
  told.verdict = {.filter = {.scale = 0.5}};
  steps(told, start - gradient / 2);
  told.verdict = {.filter = {.limit = 1.5}};
  steps(told, start - gradient.cwiseMin(1.5).cwiseMax(-1.5));
  CHECK(taken_by(told.optimizer()) == 3);
  told.verdict.skip = true;
  steps(told, start, false);
  CHECK(taken_by(told.optimizer()) == 3);
  VectorXd theta = start;
  CHECK(support::error_of([&] { told.step(theta, VectorXd{{1}}); }) ==
        "invalid_argument: Told: the gradient must have the shape of the parameters, 3x1, got 1x1");
  CHECK(told.notes == 4);

  // The outer filter first: scaled by 1/2, then clamped, and the other way round.
  Told scales_first{Told{optimizer, {.filter = {.limit = 1}}}, {.filter = {.scale = 0.5}}};
  steps(scales_first, start - (gradient / 2).cwiseMin(1).cwiseMax(-1));
  CHECK(scales_first.optimizer().notes == 1);
  Told clamps_first{Told{optimizer, {.filter = {.scale = 0.5}}}, {.filter = {.limit = 1}}};
  steps(clamps_first, start - gradient.cwiseMin(1).cwiseMax(-1) / 2);
  Told skips_inside{Told{optimizer, {.skip = true}}, Verdict{}};
  steps(skips_inside, start, false);
  CHECK(skips_inside.optimizer().notes == 1);
  Told skips_outside{Told{optimizer}, {.skip = true}};
  steps(skips_outside, start, false);
  CHECK(skips_outside.optimizer().notes == 0);
}

}  // namespace

TEST_CASE("a wrapper's verdict reaches the optimizer, however it steps") {
  const VectorXd gradient{{1, -2, 4}};
  const Sgd sgd{{.learning_rate = 1}};
  check_told(sgd, gradient, [](const Sgd<>& inner) { return inner.steps(); });
  check_told(Whole{}, gradient, [](const Whole& whole) { return whole.steps; });
  int calls = 0;
  const auto called = [&calls](VectorXd& params, const auto& g) {
    params -= g;
    ++calls;
  };
  check_told(called, gradient, [&](const auto&) { return calls; });
}
