#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/step.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using namespace polyak::detail;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::error_of;
using RowMajorXd = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

/// A layer that has f for its advance.
template <class F>
class Asking : public OptimizerLayer<Asking<F>> {
 public:
  using scalar_type = double;
  static constexpr std::string_view name = "Asking";
  explicit Asking(F f) : f_(std::move(f)) {}

  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    if constexpr (std::same_as<decltype(f_(step, folds...)), Outcome>) {
      return f_(step, folds...);
    } else {
      f_(step, folds...);
      return {.taken = true};
    }
  }

 private:
  F f_;
};

/// Shows f what a step of these shows its layers.
template <class P, class G, class F>
void with_step(P&& params, const G& grad, F f) {
  Asking<F>(std::move(f)).step(params, grad);
}

/// What a step shows its optimizer.
struct Seen {
  std::vector<std::size_t> blocks, offsets, sizes;
  std::vector<double> params, grads;
};

template <class View>
Seen look_at(const View& view) {
  Seen seen;
  view.for_each_unfiltered([&](const Slice<double>& slice) {
    seen.blocks.push_back(slice.block);
    seen.offsets.push_back(slice.offset);
    seen.sizes.push_back(slice.params.size());
    seen.params.insert(seen.params.end(), slice.params.begin(), slice.params.end());
    seen.grads.insert(seen.grads.end(), slice.grad, slice.grad + slice.params.size());
  });
  return seen;
}

}  // namespace

// --- the view of a step ---

TEST_CASE("a view of one block is that block") {
  VectorXd params{{1, 2, 3}};
  int calls = 0;
  with_step(params, VectorXd{{4, 5, 6}}, [&](const auto& view) {
    CHECK(view.size() == 3);
    CHECK(view.blocks() == 1);
    CHECK(view.shape(0).rows == 3);
    const Seen seen = look_at(view);
    CHECK(seen.offsets == std::vector<std::size_t>{0});
    CHECK(seen.params == std::vector<double>{1, 2, 3});
    CHECK(seen.grads == std::vector<double>{4, 5, 6});
    const VectorXd other{{7, 8, 9}};
    CHECK(look_at(view.along(other.data())).grads == std::vector<double>{7, 8, 9});
    CHECK(look_at(view.along(other.data())).params == std::vector<double>{1, 2, 3});
    ++calls;
  });
  CHECK(calls == 1);
}

TEST_CASE("a view of a set is its blocks in order") {
  MatrixXd w{{1, 3}, {2, 4}};
  VectorXd none(0), b{{5, 6, 7}};
  const MatrixXd gw{{10, 30}, {20, 40}};
  const VectorXd gnone(0), gb{{50, 60, 70}};
  with_step(ParameterSet{w, none, b}, ParameterSet{gw, gnone, gb}, [&](const auto& view) {
    CHECK(view.size() == 7);
    CHECK(view.blocks() == 3);
    CHECK(view.shape(0).cols == 2);
    CHECK(view.shape(1).size() == 0);
    CHECK(view.shape(2).rows == 3);
    const Seen seen = look_at(view);
    CHECK(seen.blocks == std::vector<std::size_t>{0, 1, 2});
    CHECK(seen.offsets == std::vector<std::size_t>{0, 4, 4});
    CHECK(seen.sizes == std::vector<std::size_t>{4, 0, 3});
    CHECK(seen.params == std::vector<double>{1, 2, 3, 4, 5, 6, 7});
    CHECK(seen.grads == std::vector<double>{10, 20, 30, 40, 50, 60, 70});
    const std::vector<double> other{1, 2, 3, 4, 5, 6, 0.5};
    CHECK(look_at(view.along(other.data())).grads == other);
    CHECK(look_at(view.along(other.data())).params == seen.params);
  });
}

TEST_CASE("filters of a view compose, the outer one first, and a gradient of its own has none") {
  VectorXd params{{1}};
  with_step(params, params, [](const auto& view) {
    CHECK(view.filter().scale == 1);
    CHECK(view.filter().limit == support::infinity);
    CHECK_FALSE(view.filter().changes());
    const auto once = view.filtered({.scale = 0.5, .limit = 3});
    CHECK(once.filter().scale == 0.5);
    CHECK(once.filter().limit == 3);
    CHECK(view.filter().scale == 1);
    const auto twice = once.filtered({.scale = 0.25});
    STATIC_REQUIRE(std::same_as<decltype(once), decltype(twice)>);  // however many filters
    CHECK(twice.filter().scale == 0.125);
    CHECK(twice.filter().limit == 0.75);  // what was clamped is scaled as well
    CHECK(once.filtered({.limit = 2}).filter().limit == 2);
    CHECK(once.filtered({.limit = 8}).filter().limit == 3);
    const double other = 1;
    CHECK(twice.along(&other).filter().scale == 1);
    CHECK(twice.along(&other).filter().limit == support::infinity);
    CHECK(twice.along(&other).gradient() == &other);
    CHECK(twice.along(&other).filtered({.scale = 0.5}).gradient() == &other);
  });
  CHECK(GradFilter{.scale = 2}.changes());
  CHECK(GradFilter{.limit = 2}.changes());
}

TEST_CASE("blocks that overlap are refused where an optimizer asks, and one block overlaps none") {
  std::vector<double> memory(6);
  const auto part = [&](std::size_t from) { return std::span(memory).subspan(from, 3); };
  const std::vector<double> gradient(3);
  const auto check = [&](std::size_t a, std::size_t b) {
    std::vector<std::span<double>> params{part(a), part(b)};
    const std::vector<std::vector<double>> gradients(2, gradient);
    return error_of([&] { with_step(params, gradients, [](const auto& step) { step.require_apart("A"); }); });
  };
  CHECK(check(0, 3) == "nothing");
  CHECK(check(0, 2) == "invalid_argument: A: block 1 must not overlap block 0 of the parameters");
  with_step(memory, memory, [](const auto& step) { step.require_apart("A"); });
}

// --- what stands for a gradient ---

TEST_CASE("a filtered gradient is scaled, then clamped, and hides no NaN") {
  const std::vector<double> g{1, -1, 3, -3, 8, -8, support::infinity, -support::infinity, support::not_a_number};
  const Filtered<double> filtered{g.data(), 0.5, 2};
  const std::vector<double> expected{0.5, -0.5, 1.5, -1.5, 2, -2, 2, -2};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(filtered[i] == expected[i]);
  CHECK(std::isnan(filtered[8]));
  CHECK((filtered + 2)[0] == 1.5);
  CHECK((filtered + 2 + 3)[0] == -2);
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

// --- a step taken as a whole ---

TEST_CASE("a whole step was taken unless it says otherwise") {
  VectorXd params{{1}};
  const auto taken = [&](auto optimizer) { return call(optimizer, params, params); };
  struct Counting {
    int step(VectorXd&, const VectorXd&) { return 0; }  // a number is no answer
  };
  struct Refusing {
    bool step(VectorXd&, const VectorXd&) { return false; }
    void operator()(VectorXd&, const VectorXd&) {}  // step comes first
  };
  CHECK(taken([](VectorXd&, const VectorXd&) {}));
  CHECK(taken([](VectorXd&, const VectorXd&) { return true; }));
  CHECK(taken(Counting{}));
  CHECK_FALSE(taken([](VectorXd&, const VectorXd&) { return false; }));
  CHECK_FALSE(taken(Refusing{}));
}

TEST_CASE("a whole step is handed the very parameters and gradient, or the gradient as it was left") {
  VectorXd params{{1, 2}};
  const VectorXd grad{{4, -8}};
  with_step(params, grad, [&](const auto& step) {
    step.whole([&](auto& p, const auto& g) {
      CHECK(&p == &params);
      STATIC_REQUIRE(std::same_as<decltype(g), const VectorXd&>);
      CHECK(&g == &grad);
    });
    const int result = step.filtered({.scale = 0.5, .limit = 3}).whole([&](auto& p, const auto& g) {
      CHECK(&p == &params);
      CHECK(g == VectorXd{{2, -3}});
      return 42;
    });
    CHECK(result == 42);
    const std::array<double, 2> other{5, 6};
    step.filtered({.scale = 0.5}).along(other.data()).whole([&](auto&, const auto& g) {
      CHECK(g == VectorXd{{5, 6}});
      CHECK(g.data() == other.data());
    });
    step.along(other.data()).filtered({.scale = 2}).whole([](auto&, const auto& g) { CHECK(g == VectorXd{{10, 12}}); });
  });
  // An expression is evaluated once, and in the order of the parameters.
  int evaluated = 0;
  const auto counted = grad.unaryExpr([&evaluated](double x) {
    ++evaluated;
    return 2 * x;
  });
  with_step(params, counted, [&](const auto& step) {
    for (int t = 0; t < 3; ++t) step.whole([](auto&, const auto& g) { CHECK(g == VectorXd{{8, -16}}); });
  });
  CHECK(evaluated == 2);
}

namespace {

using Log = std::vector<std::string>;

/// A fold that writes down what it is called for.
struct Logged {
  std::string name;
  Log* log;
  template <class Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    const std::string first = weights.empty() ? "" : " " + to_text(static_cast<double>(weights[0]));
    log->push_back(name + " after " + std::to_string(offset) + first);
  }
  void commit(Outcome&) const noexcept { log->push_back(name + " committed"); }
};

/// One of coordinates, or of both kinds.
struct Summed {
  double* sum;
  FoldBy how = FoldBy::coordinate;
  Log* log = nullptr;
  FoldBy by() const noexcept { return how; }
  auto at(std::size_t offset) const noexcept {
    if (log) log->push_back("at " + std::to_string(offset));
    return [total = sum](std::size_t, double weight) noexcept { *total += weight; };
  }
  void after(std::size_t offset, std::span<const double> weights) const noexcept {
    if (log) log->push_back("after " + std::to_string(offset));
    for (const double x : weights) *sum += x;
  }
  void commit(Outcome&) const noexcept {}
};

struct Twice {
  using moves_weights = void;
  double operator()(std::size_t, double weight) const noexcept { return 2 * weight; }
};

/// Doubles the weights where they are now.
struct Doubles {
  auto at(std::size_t) const noexcept { return Twice(); }
  void commit(Outcome&) const noexcept {}
};

constexpr std::size_t slice = slice_bytes / sizeof(double);

/// A step that adds 1 to every weight, and folds.
template <class P, class... Folds>
std::vector<std::size_t> moved_and_folded(P& params, const Folds&... folds) {
  std::vector<std::size_t> visited;  // offset and length of each visit
  with_step(params, params, [&](const auto& step) {
    const auto with_kernel = [&](const auto& part, const auto& f) {
      visited.push_back(part.offset);
      visited.push_back(part.params.size());
      f([weights = part.params.data()](std::size_t i) noexcept { return weights[i] += 1; });
    };
    move_and_fold(step, with_kernel, folds...);
  });
  return visited;
}

}  // namespace

TEST_CASE("a step by coordinates folds in the loop that moves, or slice by slice where a fold asks for that") {
  const std::size_t n = 2 * slice + 5;
  const std::vector<std::size_t> whole{0, n}, slices{0, slice, slice, slice, 2 * slice, 5};
  const auto total = 2 * static_cast<double>(n);
  const auto check = [&](const std::vector<std::size_t>& expected, double weight, const auto&... folds) {
    std::vector<double> params(n, 1);
    CHECK(moved_and_folded(params, folds...) == expected);
    CHECK(params == std::vector<double>(n, weight));
  };
  double sum = 0, other = 0;
  check(whole, 2);
  check(whole, 2, Summed{&sum, FoldBy::nothing});
  CHECK(sum == 0);
  check(whole, 2, Summed{&sum}, Summed{&other});
  CHECK(sum == total);
  CHECK(other == total);
  sum = other = 0;
  check(slices, 2, Summed{&sum}, Summed{&other, FoldBy::slice});
  CHECK(sum == total);
  CHECK(other == total);
  sum = other = 0;
  // One that folds nothing in this step: the others need not wait for it, but are called apart.
  check(slices, 2, Summed{&sum, FoldBy::nothing}, Summed{&other});
  CHECK(sum == 0);
  CHECK(other == total);
  sum = other = 0;
  // What moves the weights once more does so between the folds before it and behind it.
  check(whole, 4, Summed{&sum}, Doubles{}, Summed{&other});
  CHECK(sum == total);
  CHECK(other == 2 * total);
  sum = other = 0;
  check(slices, 4, Summed{&sum}, Doubles{}, Summed{&other, FoldBy::slice});
  CHECK(sum == total);
  CHECK(other == 2 * total);
}

TEST_CASE("a slice moves, and then all fold it in order") {
  std::vector<std::vector<double>> params{std::vector<double>(slice + 1, 1), {}, {7}};
  Log log;
  double sum = 0;
  moved_and_folded(params, Logged{"a", &log}, Summed{&sum, FoldBy::coordinate, &log}, Logged{"b", &log});
  const auto of_slice = [](const std::string& offset, const std::string& to) {
    return Log{"a after " + offset + " " + to, "at " + offset, "b after " + offset + " " + to};
  };
  Log expected;
  for (const Log& each : {of_slice("0", "2"), of_slice("512", "2"), of_slice("513", "8")}) {
    expected.insert(expected.end(), each.begin(), each.end());
  }
  CHECK(log == expected);
}

TEST_CASE("the gradient of a step by coordinates has gone through the filters") {
  std::vector<double> params{1, 1, 1};
  const std::vector<double> grad{1, 2, 8};
  with_step(params, grad, [](const auto& step) {
    const auto with_kernel = [](const auto& part, const auto& f) {
      f([&part](std::size_t i) noexcept { return part.params[i] -= part.grad[i]; });
    };
    move_and_fold(step.filtered({.scale = 0.5, .limit = 2}), with_kernel);
    move_and_fold(step, with_kernel);
  });
  CHECK(params == std::vector<double>{-0.5, -2, -9});
}

TEST_CASE("folds follow a whole step, and without it nothing is folded") {
  VectorXd theta{{1}};
  Log log;
  double sum = 0;
  const auto take = [&](bool takes) {
    auto optimizer = [&](VectorXd& params, const VectorXd& g) {
      log.push_back("step");
      if (takes) params -= g;
      return takes;
    };
    Asking opt{[&](const auto& step) {
      return polyak::advance(optimizer, step, Logged{"a", &log}, Summed{&sum, FoldBy::coordinate, &log}, Doubles{},
                             Summed{&sum, FoldBy::nothing, &log}, Logged{"b", &log});
    }};
    return opt.step(theta, VectorXd{{-2}});
  };
  CHECK_FALSE(take(false));
  CHECK(log == Log{"step"});
  log.clear();
  CHECK(take(true));
  CHECK(log == Log{"step", "a after 0 3", "at 0", "b after 0 6"});
  CHECK(sum == 3);
  CHECK(theta[0] == 6);
}

namespace {

struct Replaces {
  std::vector<std::vector<double>> next;
  void operator()(std::vector<std::vector<double>>& params, const auto&) { params = next; }
};

}  // namespace

TEST_CASE("weights that a whole step has moved elsewhere are looked for again, and as many") {
  const std::vector<std::vector<double>> grad{{0}, {0, 0}};
  const auto result = [&](std::vector<std::vector<double>> next) {
    double sum = 0;
    Asking opt{[&](const auto& step) {
      Replaces replaces{next};
      return polyak::advance(replaces, step, Summed{&sum});
    }};
    std::vector<std::vector<double>> params{{1}, {2, 3}};
    const std::string error = error_of([&] { opt.step(params, grad); });
    return error == "nothing" ? "sum " + to_text(sum) : error;
  };
  const std::string refused = "logic_error: Asking: the optimizer changed the number of parameters";
  CHECK(result({{4}, {5, 6}}) == "sum 15");
  CHECK(result({{4}, {5}}) == refused);
  CHECK(result({{4}, {5, 6}, {}}) == refused);
  CHECK(result({{4, 5, 6}}) == refused);
  CHECK(result({{4, 5}, {6}}) == refused);
  CHECK(result({{4, 5}, {6}, {7, 8}}) == refused);
  // Where nothing folds it is the optimizer's own business.
  std::vector<std::vector<double>> params{{1}, {2, 3}};
  Asking opt{[&](const auto& step) {
    Replaces replaces{{{4}}};
    return polyak::advance(replaces, step);
  }};
  CHECK(opt.step(params, grad));
  CHECK(params.size() == 1);
}

// --- layers ---

TEST_CASE("a layer checks parameters and gradient before it advances") {
  bool advanced = false;
  Asking opt{[&](const auto&) { advanced = true; }};
  VectorXd theta{{1, 2}};
  std::vector<VectorXd> set(2, theta);
  CHECK(error_of([&] { opt.step(theta, VectorXd{{1}}); }) ==
        "invalid_argument: Asking: the gradient must have the shape of the parameters, 2x1, got 1x1");
  CHECK(error_of([&] { opt.step(set, std::vector<VectorXd>(1, theta)); }) ==
        "invalid_argument: Asking: the gradient must have as many blocks as the parameters, 2, got 1");
  MatrixXd strided(4, 4);
  Eigen::Ref<MatrixXd, 0, Eigen::OuterStride<>> block = strided.topRows(2);
  CHECK(error_of([&] { opt.step(block, MatrixXd::Zero(2, 4)); }).starts_with("invalid_argument: Asking: "));
  CHECK_FALSE(advanced);
  CHECK(opt.step(set, set));
  CHECK(advanced);
}

TEST_CASE("a step returns what its layer says, and throws once what was held back") {
  VectorXd theta{{1}};
  Outcome outcome{.taken = true};
  int committed = 0;
  Asking inner{[&](const auto&, const auto&...) { return outcome; }};
  Asking outer{[&](const auto& step) {
    const Outcome of_inner = polyak::advance(inner, step);
    ++committed;
    return of_inner;
  }};
  CHECK(outer.step(theta, theta));
  outcome.taken = false;
  CHECK_FALSE(outer.step(theta, theta));
  outcome = {.taken = true, .raised = std::make_exception_ptr(std::runtime_error("later"))};
  CHECK_THROWS_WITH(outer.step(theta, theta), "later");
  CHECK(committed == 3);  // the layers around have done what they do after
  CHECK_THROWS_WITH(inner.step(theta, theta), "later");
}

namespace {

struct Both : OptimizerLayer<Both> {
  using scalar_type = double;
  static constexpr std::string_view name = "Both";
  int advanced = 0;
  Outcome advance(const Layout&) {
    ++advanced;
    return {.taken = true};
  }
};

}  // namespace

TEST_CASE("an optimizer has advance or steps whole, and what has both advances") {
  Both both;
  VectorXd theta{{1}};
  Asking opt{[&](const auto& step) { return polyak::advance(both, step); }};
  CHECK(opt.step(theta, theta));
  CHECK(both.advanced == 1);
  CHECK(both.step(theta, theta));
  CHECK(both.advanced == 2);
}

// --- folds that look first ---

namespace {

/// Looks in the first pass, if it is asked to, and folds in a second.
struct Looks {
  Logged looks, folds;
  bool looks_first = true, accepts_it = true;
  FoldBy by() const noexcept { return FoldBy::slice; }
  void after(std::size_t offset, std::span<const double> weights) const noexcept {
    (looks_first ? looks : folds).after(offset, weights);
  }
  bool looking() const noexcept { return looks_first; }
  bool accepts() const noexcept { return accepts_it; }
  const Logged& accepted() const noexcept { return folds; }
  void commit(Outcome&) const noexcept { looks.log->push_back("look committed"); }
};

/// The folds of a layer, as Averaged hands them on.
template <class... Folds>
auto pack(Folds... folds) {
  return [=](const auto& f) { return f(folds...); };
}

/// What is called for in a step from 1 to 2 of a layer with these folds, in one with a fold "outer" that moves the
/// weights to 4 and one behind that.
template <class Optimizer, class Own>
Log called(Optimizer optimizer, Log& log, const Own& own) {
  log.clear();
  Asking opt{[&](const auto& step) {
    return advance_folding(optimizer, step, own, Logged{"inner", &log}, Doubles{}, Logged{"outer", &log});
  }};
  VectorXd theta{{1}};
  opt.step(theta, VectorXd{{-1}});
  return log;
}

}  // namespace

TEST_CASE("what looks first keeps the folds around waiting, and only them") {
  Log log;
  const Logged plain{"plain", &log};
  const auto looks = [&](bool looks_first, bool accepts) {
    return pack(plain, Looks{{"look", &log}, {"late", &log}, looks_first, accepts});
  };
  const auto check = [&](const auto& optimizer) {
    const auto joined = [&](Log log_of_folds) {
      log_of_folds.insert(log_of_folds.end(), {"plain committed", "look committed"});
      return log_of_folds;
    };
    CHECK(called(optimizer, log, looks(true, true)) ==
          joined({"plain after 0 2", "look after 0 2", "late after 0 2", "inner after 0 2", "outer after 0 4"}));
    CHECK(called(optimizer, log, looks(true, false)) ==
          joined({"plain after 0 2", "look after 0 2", "inner after 0 2", "outer after 0 4"}));
    CHECK(called(optimizer, log, looks(false, true)) ==
          joined({"plain after 0 2", "late after 0 2", "inner after 0 2", "outer after 0 4"}));
  };
  check(Sgd{{.learning_rate = 1}});
  check(support::whole_step(Sgd{{.learning_rate = 1}}));
}

TEST_CASE("what looks first sees all there is before it accepts") {
  Log log;
  const std::size_t n = 2 * slice;
  std::vector<double> theta(n, 1);
  Sgd sgd{{.learning_rate = 1}};
  Asking opt{[&](const auto& step) { return advance_folding(sgd, step, pack(Looks{{"look", &log}, {"late", &log}})); }};
  opt.step(theta, std::vector<double>(n, -1));
  CHECK(log == Log{"look after 0 2", "look after 512 2", "late after 0 2", "late after 512 2", "look committed"});
}

TEST_CASE("without a step nothing that was looked at is folded or committed") {
  Log log;
  const auto refuses = [](VectorXd&, const VectorXd&) { return false; };
  CHECK(called(refuses, log, pack(Logged{"plain", &log}, Looks{{"look", &log}, {"late", &log}})) == Log{});
}

// --- passes over parameters ---

TEST_CASE("parameters that are read are shown block by block") {
  const std::vector<std::vector<double>> set{{1, 2}, {}, {3}};
  BlockList list;
  Seen seen;
  read(list, set, "A", [&](const auto& view) { seen = look_at(view); });
  CHECK(seen.params == std::vector<double>{1, 2, 3});
  CHECK(seen.offsets == std::vector<std::size_t>{0, 2, 2});
  const VectorXd one{{4, 5}};
  read(list, one, "A", [&](const auto& view) {
    CHECK(view.shape(0).rows == 2);
    seen = look_at(view);
  });
  CHECK(seen.params == std::vector<double>{4, 5});

  double sum = 0;
  read(list, set, "A", [&](const auto& view) {
    fold_all(view, Summed{&sum}, Summed{&sum, FoldBy::slice}, Summed{&sum, FoldBy::nothing});
  });
  CHECK(sum == 12);

  std::vector<std::vector<double>> written = set;
  std::size_t blocks = 0;
  for_each_part(written, 3, [&](const auto& part) {
    blocks += part.block;
    for (double& x : part.params) x += static_cast<double>(part.offset);
  });
  CHECK(written == std::vector<std::vector<double>>{{1, 2}, {}, {5}});
  CHECK(blocks == 3);
}

// --- what is done to a coordinate ---

TEMPLATE_TEST_CASE("a fold moves the shadow towards the weight by the gain", "", POLYAK_TEST_SCALARS) {
  std::vector<TestType> shadow{TestType(2), TestType(2), TestType(2)};
  const detail::FoldKernel<TestType> fold{shadow.data(), 0.25f};
  fold(lanes::At<1>{1}, 10.0);
  fold(lanes::At<1>{2}, Eigen::half(-6));
  CHECK(static_cast<double>(shadow[0]) == 2);
  CHECK(static_cast<double>(shadow[1]) == 4);
  CHECK(static_cast<double>(shadow[2]) == 0);
}

TEST_CASE("moves and folds chain from left to right") {
  std::vector<double> weights{8}, first{0};
  std::vector<float> second{0};
  const auto halve = [&](std::size_t i) noexcept { return weights[i] /= 2; };
  move_then_fold(std::span(weights), halve, detail::FoldKernel<double>{first.data(), 0.5},
                 detail::FoldKernel<float>{second.data(), 0.25f});
  CHECK(weights[0] == 4);
  CHECK(first[0] == 2);
  CHECK(second[0] == 1);
  move_then_fold(std::span(weights), halve);
  CHECK(weights[0] == 2);
  fold_each(std::span<const double>(weights), detail::FoldKernel<double>{first.data(), 1});
  CHECK(first[0] == 2);
}

namespace {

struct Negate {
  using moves_weights = void;
  double operator()(std::size_t, double weight) const noexcept { return -weight; }
};

/// Notes how many coordinates it is called with.
template <class Scalar>
struct Widest {
  static constexpr std::size_t width = lanes::width<Scalar>;
  std::size_t* widest;
  template <std::size_t N, class W>
  void operator()(lanes::At<N>, W) const noexcept {
    *widest = std::max(*widest, N);
  }
};

}  // namespace

TEST_CASE("what moves and folds together has the lanes of the widest, and one where one of them has") {
  std::vector<float> weights(64);
  std::size_t widest = 0;
  fold_each(std::span(weights), Widest<float>{&widest});
  CHECK(widest == lanes::width<float>);
  widest = 0;
  fold_each(std::span(weights), Widest<double>{&widest});
  CHECK(widest == lanes::width<double>);
  widest = 0;
  move_then_fold(
      std::span(weights), [](std::size_t) noexcept { return 0.0f; }, Widest<float>{&widest});
  CHECK(widest == 1);
}

TEST_CASE("what a fold returns is where the weight goes, and what the next fold sees") {
  std::vector<double> weights{8, 16};
  std::vector<double> before(2), after(2);
  const auto halve = [&](std::size_t i) noexcept { return weights[i] /= 2; };
  const Negate negate;
  const detail::FoldKernel<double> earlier{before.data(), 1}, later{after.data(), 1};
  move_then_fold(std::span(weights), halve, earlier, negate, later);
  CHECK(before == std::vector<double>{4, 8});
  CHECK(weights == std::vector<double>{-4, -8});
  CHECK(after == weights);
  move_then_fold(std::span(weights), halve, negate, negate);
  CHECK(weights == std::vector<double>{-2, -4});
  fold_each(std::span(weights), negate);
  CHECK(weights == std::vector<double>{2, 4});
}

TEMPLATE_TEST_CASE("slices cover the whole, one after the other, and fit the cache", "", float, double, Eigen::half) {
  constexpr std::size_t length = slice_bytes / sizeof(TestType);
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{1}, length - 1, length, length + 1, 3 * length, 3 * length + 5}) {
    std::vector<TestType> params(n);
    const std::vector<TestType> grad(n);
    std::size_t covered = 0;
    for_each_slice(Slice<TestType>{2, 100, params, grad.data()}, [&](const Slice<TestType>& part) {
      CHECK(part.block == 2);
      CHECK(part.offset == 100 + covered);
      CHECK(part.params.data() == params.data() + covered);
      CHECK(part.grad == grad.data() + covered);
      CHECK(part.params.size() >= 1);
      CHECK(part.params.size_bytes() <= 8192);
      covered += part.params.size();
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
