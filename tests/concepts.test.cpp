#include <polyak/polyak.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/schedules.hpp"
#include "parts/wrappers.hpp"
#include "slices_only.hpp"
#include "support.hpp"

// What each concept lets in and what it keeps out. All of it is decided at compile time.

using namespace polyak;
using Eigen::VectorXd;
using Eigen::VectorXf;

namespace {

template <class T>
inline constexpr bool moves_freely = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;

struct NotAScheduleObject {
  double operator()(std::uint64_t);  // not const
};
struct MoveOnlySchedule {
  std::unique_ptr<int> cannot_be_copied;
  double operator()(std::uint64_t) const;
};

struct PlainUpdate {
  void operator()(const Slice<double>&) noexcept;
  bool taken() const noexcept;
  void commit() noexcept;
};
struct ThrowingUpdate : PlainUpdate {
  void operator()(const Slice<double>&);
};
struct ThrowingCommit : PlainUpdate {
  void commit();
};
struct ThrowingTaken : PlainUpdate {
  bool taken() const;
};
struct UpdateThatDoesNotSayWhetherItWasTaken {
  void operator()(const Slice<double>&) noexcept;
  void commit() noexcept;
};
struct VisitThatReturnsNothing : PlainUpdate {
  void visit(const Slice<double>&, auto) noexcept;
};
struct VisitedUpdate : PlainUpdate {
  bool visit(const Slice<double>&, auto) noexcept;
};

template <class Update>
struct OptimizerWith {
  using scalar_type = double;
  Update begin_step(const StepView<double>&);
};
struct OptimizerOfNoScalar {
  PlainUpdate begin_step(const StepView<double>&);
};

struct OptimizerThatIsToldTheSizeAlone {
  using scalar_type = double;
  PlainUpdate begin_step(std::size_t);
};

struct ByStep {
  void step(VectorXd&, const VectorXd&);
};

struct PlainFold {
  void before(std::size_t, std::span<const double>) const noexcept;
  void after(std::size_t, std::span<const double>) const noexcept;
  bool idle() const noexcept;
  void commit() const noexcept;
};
struct FoldThatMayThrow : PlainFold {
  void after(std::size_t, std::span<const double>) const;
};
struct FoldThatChanges : PlainFold {
  void commit() noexcept;
};
struct CoordinateFold : PlainFold {
  bool simple() const noexcept;
  struct At {
    void operator()(std::size_t, double) const noexcept;
  };
  At at(std::size_t) const noexcept;
};
struct CoordinateFoldThatMayThrow : CoordinateFold {
  bool simple() const;
};
template <class Fold>
struct AveragerWith {
  Fold begin_fold(const Layout&);
  bool has_average() const;
  const VectorXd& average() const;
};
struct AveragerWithoutAverage {
  PlainFold begin_fold(const Layout&);
  bool has_average() const;
};
struct AveragerThatIsToldTheSizeAlone {
  PlainFold begin_fold(std::size_t);
  bool has_average() const;
  const VectorXd& average() const;
};

template <class Averager>
using shadow_of = typename Averager::shadow_type;
template <class Optimizer, class... Averagers>
using averaged_shadow = typename std::remove_cvref_t<
    decltype(std::declval<Averaged<Optimizer, Averagers...>&>().template average<0>())>::Scalar;

/// What every part is: a value, which its options do not turn into by themselves.
template <class Part, class Options>
inline constexpr bool is_part = moves_freely<Part> && std::copyable<Part> && !std::convertible_to<Options, Part>;

/// The parts of every row, of any scalar or shadow.
template <class Scalar>
void check_parts() {
  parts::for_each(parts::optimizers, [](auto row) {
    using Row = decltype(row);
    using Optimizer = typename Row::template type<Scalar>;
    static_assert(is_part<Optimizer, typename Row::Options>);
    static_assert(std::same_as<typename Optimizer::scalar_type, Scalar>);
    static_assert(SlicewiseOptimizer<Optimizer>);
    static_assert(OptimizerOf<Optimizer, std::vector<Scalar>, std::vector<Scalar>>);
  });
  parts::for_each(parts::averagers, [](auto row) {
    using Row = decltype(row);
    using Averager = typename Row::template type<default_shadow>;
    using Named = typename Row::template type<Scalar>;
    static_assert(is_part<Averager, typename Row::Options> && is_part<Named, typename Row::Options>);
    static_assert(AveragerLike<Averager> && AveragerLike<Named>);
    static_assert(std::same_as<shadow_of<Averager>, double> && std::same_as<shadow_of<Named>, Scalar>);
    static_assert(std::same_as<averaged_shadow<Sgd<Scalar>, Averager>, wide_t<Scalar>>);
    static_assert(std::same_as<averaged_shadow<Sgd<Scalar>, Named>, Scalar>);
  });
  parts::for_each(parts::wrappers, [](auto row) {
    using Row = decltype(row);
    using Wrapper = typename Row::template type<Sgd<Scalar>>;
    static_assert(is_part<Wrapper, typename Row::Options> && !std::convertible_to<Sgd<Scalar>, Wrapper>);
    static_assert(SlicewiseOptimizer<Wrapper>);
    static_assert(!SlicewiseOptimizer<typename Row::template type<ByStep>>);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("every part of every scalar is what its kind must be", "", float, double, long double, Eigen::half,
                   Eigen::bfloat16) {
  check_parts<TestType>();
  SUCCEED("it compiles");
}

TEST_CASE("every schedule is one, and every decay knows its complement") {
  const auto check = [](auto row, auto knows_complement) {
    using Row = decltype(row);
    static_assert(is_part<typename Row::type, typename Row::Options>);
    static_assert(Schedule<typename Row::type>);
    static_assert(ComplementedDecay<typename Row::type> == knows_complement());
  };
  parts::for_each(parts::schedules, [&](auto row) { check(row, std::false_type()); });
  parts::for_each(parts::decays, [&](auto row) { check(row, std::true_type()); });
  SUCCEED("it compiles");
}

TEST_CASE("five scalars are floating point") {
  STATIC_REQUIRE(FloatingPoint<float>);
  STATIC_REQUIRE(FloatingPoint<double>);
  STATIC_REQUIRE(FloatingPoint<long double>);
  STATIC_REQUIRE(FloatingPoint<Eigen::half>);
  STATIC_REQUIRE(FloatingPoint<Eigen::bfloat16>);
  STATIC_REQUIRE_FALSE(FloatingPoint<int>);
  STATIC_REQUIRE_FALSE(FloatingPoint<const double>);
  STATIC_REQUIRE_FALSE(FloatingPoint<double&>);
  STATIC_REQUIRE_FALSE(FloatingPoint<std::complex<double>>);
  STATIC_REQUIRE_FALSE(FloatingPoint<default_shadow>);
}

TEST_CASE("a schedule is a copyable function of the step") {
  STATIC_REQUIRE(Schedule<Hyperparameter>);
  STATIC_REQUIRE(Schedule<double (*)(std::uint64_t)>);
  STATIC_REQUIRE(Schedule<std::function<float(std::uint64_t)>>);
  STATIC_REQUIRE_FALSE(Schedule<double>);
  STATIC_REQUIRE_FALSE(Schedule<double (*)(std::string)>);
  STATIC_REQUIRE_FALSE(Schedule<std::string (*)(std::uint64_t)>);
  STATIC_REQUIRE_FALSE(Schedule<double (*)()>);
  STATIC_REQUIRE_FALSE(Schedule<NotAScheduleObject>);
  STATIC_REQUIRE_FALSE(Schedule<MoveOnlySchedule>);
}

TEST_CASE("a decay may know its complement") {
  STATIC_REQUIRE_FALSE(ComplementedDecay<double>);
  STATIC_REQUIRE(std::convertible_to<double, Decay>);
  STATIC_REQUIRE(std::convertible_to<HalfLife, Decay>);
  STATIC_REQUIRE(std::convertible_to<double (*)(std::uint64_t), Decay>);
  STATIC_REQUIRE_FALSE(std::convertible_to<bool, Decay>);
  STATIC_REQUIRE_FALSE(std::convertible_to<const char*, Decay>);
}

TEST_CASE("an optimizer is slice-wise when its update cannot throw") {
  STATIC_REQUIRE(UpdateOf<Sgd<double>::Update, double>);
  STATIC_REQUIRE(ElementwiseUpdateOf<Sgd<double>::Update, double>);
  STATIC_REQUIRE_FALSE(UpdateOf<Sgd<double>::Update, float>);
  STATIC_REQUIRE(UpdateOf<PlainUpdate, double>);
  STATIC_REQUIRE_FALSE(UpdateOf<ThrowingUpdate, double>);
  STATIC_REQUIRE_FALSE(UpdateOf<ThrowingCommit, double>);
  STATIC_REQUIRE_FALSE(UpdateOf<ThrowingTaken, double>);
  STATIC_REQUIRE_FALSE(UpdateOf<UpdateThatDoesNotSayWhetherItWasTaken, double>);
  STATIC_REQUIRE_FALSE(ElementwiseUpdateOf<PlainUpdate, double>);
  STATIC_REQUIRE_FALSE(ElementwiseUpdateOf<VisitThatReturnsNothing, double>);
  STATIC_REQUIRE(ElementwiseUpdateOf<VisitedUpdate, double>);

  STATIC_REQUIRE(SlicewiseOptimizer<Averaged<Sgd<Eigen::half>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Averaged<Averaged<Sgd<>>, Swa<>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<support::SlicesOnly<double>>);
  STATIC_REQUIRE(SlicewiseOptimizer<ClipValue<Averaged<Sgd<float>>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<SkipNonFinite<Lookahead<Accumulate<Adam<>>>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<OptimizerWith<PlainUpdate>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerWith<ThrowingUpdate>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerWith<ThrowingCommit>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerWith<int>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerWith<UpdateThatDoesNotSayWhetherItWasTaken>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerOfNoScalar>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<OptimizerThatIsToldTheSizeAlone>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<ByStep>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<Averaged<ByStep>>);
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<Lookahead<Accumulate<ByStep>>>);
}

TEST_CASE("an optimizer of some parameters has step or can be called") {
  STATIC_REQUIRE(OptimizerOf<Sgd<>, VectorXd, VectorXd>);
  STATIC_REQUIRE(OptimizerOf<Sgd<>, std::vector<double>, VectorXd>);
  STATIC_REQUIRE(OptimizerOf<Averaged<Sgd<>>, VectorXd, VectorXd>);
  STATIC_REQUIRE(OptimizerOf<ByStep, VectorXd, VectorXd>);
  STATIC_REQUIRE(OptimizerOf<void (*)(VectorXd&, const VectorXd&), VectorXd, VectorXd>);
  STATIC_REQUIRE(OptimizerOf<std::function<void(VectorXd&, const VectorXd&)>, VectorXd, VectorXd>);
  STATIC_REQUIRE_FALSE(OptimizerOf<ByStep, VectorXd, std::string>);
  STATIC_REQUIRE_FALSE(OptimizerOf<ByStep, const VectorXd, VectorXd>);
  STATIC_REQUIRE_FALSE(OptimizerOf<ByStep, VectorXf, VectorXd>);
  STATIC_REQUIRE_FALSE(OptimizerOf<void (*)(VectorXd&), VectorXd, VectorXd>);
  STATIC_REQUIRE_FALSE(OptimizerOf<int, VectorXd, VectorXd>);
}

// An optimizer of polyak's takes whatever it is handed and then says in a sentence what is wrong with it.
TEST_CASE("weights have the scalar of their optimizer, and a gradient that of its weights") {
  STATIC_REQUIRE(ParametersOf<VectorXd&, double>);
  STATIC_REQUIRE(ParametersOf<std::vector<float>&, float>);
  STATIC_REQUIRE(ParametersOf<std::vector<std::vector<float>>&, float>);
  STATIC_REQUIRE(ParametersOf<ParameterSet<Eigen::half, 2>, Eigen::half>);
  STATIC_REQUIRE_FALSE(ParametersOf<VectorXf&, double>);
  STATIC_REQUIRE_FALSE(ParametersOf<std::vector<VectorXd>&, float>);
  STATIC_REQUIRE_FALSE(ParametersOf<const VectorXd&, double>);
  STATIC_REQUIRE_FALSE(ParametersOf<ParameterSet<const double, 2>, double>);
  STATIC_REQUIRE(GradientOf<VectorXd, VectorXd&>);
  STATIC_REQUIRE(GradientOf<std::vector<VectorXd>, ParameterSet<double, 2>>);
  STATIC_REQUIRE_FALSE(GradientOf<VectorXf, VectorXd&>);
  STATIC_REQUIRE_FALSE(GradientOf<VectorXd, const VectorXd&>);
}

TEST_CASE("an averager begins folds that cannot throw, and has an average") {
  STATIC_REQUIRE(AveragerLike<AveragerWith<PlainFold>>);
  STATIC_REQUIRE(AveragerLike<AveragerWith<CoordinateFold>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<FoldThatMayThrow>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<FoldThatChanges>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerThatIsToldTheSizeAlone>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<PlainUpdate>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWithoutAverage>);
  STATIC_REQUIRE_FALSE(AveragerLike<Sgd<>>);
  STATIC_REQUIRE_FALSE(AveragerLike<int>);
}

TEST_CASE("a fold that can be made coordinate by coordinate is elementwise") {
  STATIC_REQUIRE(ElementwiseFold<Ema<>::Fold>);
  STATIC_REQUIRE(ElementwiseFold<PowerEma<float>::Fold>);
  STATIC_REQUIRE(ElementwiseFold<CoordinateFold>);
  STATIC_REQUIRE_FALSE(ElementwiseFold<CoordinateFoldThatMayThrow>);
  STATIC_REQUIRE_FALSE(ElementwiseFold<PlainFold>);
  STATIC_REQUIRE_FALSE(ElementwiseFold<Lawa<>::Fold>);
}

TEST_CASE("the shadow is as wide as the weights need") {
  STATIC_REQUIRE(std::same_as<wide_t<Eigen::half>, float>);
  STATIC_REQUIRE(std::same_as<wide_t<Eigen::bfloat16>, float>);
  STATIC_REQUIRE(std::same_as<wide_t<float>, double>);
  STATIC_REQUIRE(std::same_as<wide_t<double>, double>);
  STATIC_REQUIRE(std::same_as<wide_t<long double>, long double>);

  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<Eigen::half>, Ema<>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<Eigen::bfloat16>, TailAverage<>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<float>, Swa<>>, double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<double>, GainAverage<>>, double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<long double>, Ema<>>, long double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<Eigen::half>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<long double>>, long double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Averaged<Sgd<Eigen::half>>, Swa<>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Adam<Eigen::half>, PowerEma<>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<ClipNorm<Sgd<Eigen::bfloat16>>, Lawa<>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Lookahead<Accumulate<Sgd<long double>>>>, long double>);
  // A shadow that is named stays.
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<Eigen::half>, Ema<double>>, double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<float>, Ema<float>>, float>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<Sgd<long double>, Ema<double>>, double>);
  // Of an optimizer that names no scalar nothing is known.
  STATIC_REQUIRE(std::same_as<averaged_shadow<ByStep, Ema<>>, double>);
  STATIC_REQUIRE(std::same_as<averaged_shadow<void (*)(VectorXf&, const VectorXf&)>, double>);
}

TEST_CASE("optimizers and averagers are values") {
  STATIC_REQUIRE(moves_freely<Averaged<Sgd<>, Ema<>, Swa<>>>);
  STATIC_REQUIRE(moves_freely<Averaged<Averaged<Sgd<float>>, Swa<>>>);
  STATIC_REQUIRE(moves_freely<SkipNonFinite<ClipNorm<Lookahead<Accumulate<RMSprop<float>>>>>>);
  STATIC_REQUIRE(moves_freely<SwapGuard<double>>);
  STATIC_REQUIRE(std::copyable<Averaged<Sgd<>, Ema<>>>);
  STATIC_REQUIRE(std::copyable<Averaged<ClipValue<Lookahead<NAdam<>>>, Lawa<>>>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<SwapGuard<double>>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<SwapGuard<double>>);
}

TEST_CASE("numbers and optimizers do not turn into something else by themselves") {
  STATIC_REQUIRE_FALSE(std::convertible_to<Sgd<>, Averaged<Sgd<>>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<double, Constant>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<GainAverage<>>);
}
