#include <polyak/averaged.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "slices_only.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using polyak::detail::GradientWrapper;
using polyak::detail::Verdict;

namespace {

/// Skips, scales or clamps as it is told, and notes what became of it.
template <class Optimizer>
class Told : public GradientWrapper<Told<Optimizer>, Optimizer, SkipNonFiniteOptions> {
 public:
  static constexpr std::string_view name = "Told";
  explicit Told(Optimizer trainer, Verdict next = {})
      : GradientWrapper<Told<Optimizer>, Optimizer, SkipNonFiniteOptions>(std::move(trainer), {}), verdict(next) {}

  template <FloatingPoint Scalar, bool Filters>
  Verdict inspect(const StepView<Scalar, Filters>&) const {
    return verdict;
  }
  void record(const Verdict&) noexcept { ++notes; }

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

TEST_CASE("a wrapper whose optimizer throws has noted nothing") {
  bool fails = true;
  Told told{[&fails](VectorXd& params, const auto& gradient) {
    if (fails) throw std::runtime_error("no step");
    params -= gradient;
  }};
  VectorXd theta{{8}};
  const VectorXd gradient{{1}};
  CHECK_THROWS_WITH(told.step(theta, gradient), "no step");
  CHECK(told.notes == 0);
  fails = false;
  CHECK(told.step(theta, gradient));
  CHECK(told.notes == 1);
  CHECK(theta[0] == 7);
}

// --- a wrapper of one's own, which has nothing but advance ---

namespace {

/// Hands all on.
template <class Optimizer>
class Passing : public Wrapper<Passing<Optimizer>, Optimizer> {
 public:
  static constexpr std::string_view name = "Passing";
  explicit Passing(Optimizer trainer) : Wrapper<Passing<Optimizer>, Optimizer>(std::move(trainer)) {}

  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    return polyak::advance(this->optimizer_, step, folds...);
  }
};

/// Takes every other step.
template <class Optimizer>
class EveryOther : public Wrapper<EveryOther<Optimizer>, Optimizer> {
 public:
  static constexpr std::string_view name = "EveryOther";
  explicit EveryOther(Optimizer trainer) : Wrapper<EveryOther<Optimizer>, Optimizer>(std::move(trainer)) {}

  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    takes_ = !takes_;
    return takes_ ? polyak::advance(this->optimizer_, step, folds...) : Outcome{};
  }

 private:
  bool takes_ = false;
};

struct Plainly {
  auto operator()(auto optimizer) const { return optimizer; }
};
struct Wrapped {
  auto operator()(auto optimizer) const { return Passing{std::move(optimizer)}; }
};

/// Averages of all kinds around and inside of a Lookahead, with or without wrappers between the layers, on 1100 weights
/// that begin as 0 and follow a gradient of −4 by a rate of 1.
template <class Between, class Optimizer>
void check_by_hand(const Between& between, const Optimizer& optimizer) {
  const LookaheadOptions slow{.every = 2, .alpha = 0.5};
  auto opt = between(
      Averaged{between(Lookahead{between(Averaged{between(optimizer), Guarded{TailAverage{}}, TailAverage{}}), slow}),
               Guarded{TailAverage{}}, Lawa{{.window = 2}}});
  const auto all = [](const auto& vector, double value) {
    for (const double x : vector) {
      if (!support::close(x, value)) return false;
    }
    return true;
  };
  constexpr bool plainly = std::is_same_v<Between, Plainly>;
  auto& outer = [&]() -> auto& {
    if constexpr (plainly) return opt;
    if constexpr (!plainly) return opt.optimizer();
  }();
  auto& inner = [&]() -> auto& {
    auto& below = outer.optimizer().optimizer();
    if constexpr (plainly) return below;
    if constexpr (!plainly) return below.optimizer().optimizer();
  }();
  VectorXd theta = VectorXd::Zero(1100);
  const VectorXd gradient = VectorXd::Constant(1100, -4);
  // The fast weights come to 4, 8, 8, 12, of which the averages inside are; every other time the slow ones take their
  // place, so that those outside see 4, 4, 8, 8.
  for (int t = 0; t < 4; ++t) CHECK(opt.step(theta, gradient));
  CHECK(all(theta, 8));
  CHECK(all(inner.template average<0>(), 8));
  CHECK(all(inner.template average<1>(), 8));
  CHECK(all(outer.template average<0>(), 6));
  CHECK(all(outer.template average<1>(), 8));

  VectorXd wild = gradient;
  wild[700] = support::infinity;
  CHECK(opt.step(theta, wild));
  CHECK(theta[700] == -support::infinity);
  CHECK(inner.template averager<0>().skipped() == 1);
  CHECK(outer.template averager<0>().skipped() == 1);
  CHECK(inner.template averager<1>().count() == 5);
  theta.setConstant(8);

  // On to 12, and back to 10, half of the way from the slow weights at 8.
  CHECK(opt.step(theta, gradient));
  CHECK(all(theta, 10));
  CHECK(all(inner.template average<0>(), 44.0 / 5));
  CHECK(all(outer.template average<0>(), 34.0 / 5));
  CHECK(inner.template averager<0>().steps() == 6);
  CHECK(outer.template averager<0>().count() == 5);
  CHECK(support::close(outer.template average<1>()[0], 11));  // of 12, in step 5, and 10
  CHECK_FALSE(std::isfinite(outer.template average<1>()[700]));
}

}  // namespace

TEST_CASE("wrappers of one's own leave averages around and inside of them as they are") {
  const Sgd sgd{{.learning_rate = 1}};
  check_by_hand(Plainly{}, sgd);
  check_by_hand(Wrapped{}, sgd);
  check_by_hand(Plainly{}, support::SlicesOnly<double>(sgd));
  check_by_hand(Wrapped{}, support::SlicesOnly<double>(sgd));
  check_by_hand(Plainly{}, support::whole_step(sgd));
  check_by_hand(Wrapped{}, support::whole_step(sgd));
}

TEST_CASE("what a wrapper of one's own does not take is no step") {
  Averaged opt{EveryOther{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}}, TailAverage{}};
  VectorXd theta{{8}};
  std::vector<bool> taken;
  for (int t = 0; t < 5; ++t) taken.push_back(opt.step(theta, VectorXd{{1}}));
  CHECK(taken == std::vector<bool>{true, false, true, false, true});
  CHECK(theta[0] == 5);
  CHECK(opt.average()[0] == 6);
  CHECK(opt.averager().steps() == 3);
  CHECK(opt.optimizer().optimizer().averager().steps() == 3);
}

TEST_CASE("a wrapper says what its optimizer says of itself") {
  STATIC_REQUIRE(std::same_as<Passing<Sgd<float>>::scalar_type, float>);
  STATIC_REQUIRE(std::same_as<polyak::detail::scalar_or_any<Passing<Whole>>, polyak::detail::AnyScalar>);
  Passing passing{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}};
  VectorXd theta{{8}};
  CHECK(passing.step(theta, VectorXd{{1}}));
  CHECK(theta[0] == 7);
  CHECK(std::as_const(passing).optimizer().average()[0] == 7);
  {
    const auto guard = passing.optimizer().swap_in(theta);
    CHECK(support::error_of([&] { passing.require_not_swapped(); }) ==
          "logic_error: polyak::TailAverage: the average is swapped in; restore the trained weights first");
  }
  CHECK(support::error_of([&] { passing.require_not_swapped(); }) == "nothing");
  CHECK(support::error_of([&] {
          passing.step(theta, VectorXd{{1, 1}});
        }) == "invalid_argument: Passing: the gradient must have the shape of the parameters, 1x1, got 2x1");
}
