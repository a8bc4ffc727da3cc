#include <polyak/polyak.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
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

struct ByStep {
  void step(VectorXd&, const VectorXd&);
};

struct Moving {
  double operator()(std::size_t, double) const noexcept;
};
struct BySlice {
  void after(std::size_t, std::span<const double>) const noexcept;
  void commit(Outcome&) const noexcept;
};
struct ByCoordinate {
  Moving at(std::size_t) const noexcept;
  void commit(Outcome&) const noexcept;
};
struct ByEither : BySlice {
  Moving at(std::size_t) const noexcept;
  FoldBy by() const noexcept;
};
struct BothWithoutSaying : BySlice {
  Moving at(std::size_t) const noexcept;
};
struct SaysSomethingElse : BothWithoutSaying {
  bool by() const noexcept;
};
struct SayingMayThrow : BothWithoutSaying {
  FoldBy by() const;
};
struct NothingButCommit {
  void commit(Outcome&) const noexcept;
};
struct AfterMayThrow : BySlice {
  void after(std::size_t, std::span<const double>) const;
};
struct AtMayThrow : ByCoordinate {
  Moving at(std::size_t) const;
};
struct CommitMayThrow : BySlice {
  void commit(Outcome&) const;
};
struct CommitWithoutOutcome : BySlice {
  void commit() const noexcept;
};
struct CommitThatChanges : BySlice {
  void commit(Outcome&) noexcept;
};
struct AtThatChanges : ByCoordinate {
  Moving at(std::size_t) noexcept;
};
struct NeverCommitted {
  Moving at(std::size_t) const noexcept;
};
template <class Fold>
struct AveragerWith {
  Fold begin_fold(const Layout&);
  bool has_average() const;
  const VectorXd& average() const;
};
struct AveragerWithoutAverage {
  BySlice begin_fold(const Layout&);
  bool has_average() const;
};
struct AveragerThatIsToldTheSizeAlone {
  BySlice begin_fold(std::size_t);
  bool has_average() const;
  const VectorXd& average() const;
};

/// Whether it advances in a step of vectors with such folds behind it.
template <class O, class... Folds>
concept Advances =
    requires(O& optimizer, const detail::Step<StepView<typename O::scalar_type>, VectorXd, VectorXd>& step,
             const Folds&... folds) {
      { optimizer.advance(step, folds...) } -> std::same_as<Outcome>;
    };

/// Whether a call compiles, as a requires-expression of a user tells it.
template <class A, class... Params>
concept Updates = requires(A& averager, Params&&... params) { averager.update(std::forward<Params>(params)...); };
template <class A, class... Params>
concept Starts = requires(A& averager, Params&&... params) { averager.start_from(std::forward<Params>(params)...); };
template <class A, class Params>
concept Reads = requires(const A& average, Params&& params) {
  average.average_or(params);
  average.copy_average_to(std::forward<Params>(params));
};
template <class A, class Params>
concept Swaps = requires(A& average, Params&& params) { average.swap_in(std::forward<Params>(params)); };

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
    static_assert(Advances<Optimizer> && Advances<Optimizer, BySlice, ByCoordinate, ByEither>);
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
    static_assert(Advances<Wrapper> && Advances<Wrapper, BySlice, ByCoordinate, ByEither>);
    static_assert(OptimizerOf<Wrapper, std::vector<Scalar>, std::vector<Scalar>>);
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

TEST_CASE("whatever is in them, layers of the library advance") {
  STATIC_REQUIRE(Advances<Averaged<Sgd<double>>>);
  STATIC_REQUIRE(Advances<Averaged<Averaged<Sgd<>>, Swa<>>>);
  STATIC_REQUIRE(Advances<support::SlicesOnly<double>>);
  STATIC_REQUIRE(Advances<SkipNonFinite<Lookahead<Accumulate<Adam<>>>>, ByEither>);
  STATIC_REQUIRE(Advances<Lookahead<Accumulate<ByStep>>, ByEither>);  // their scalar is double where nobody says it
  STATIC_REQUIRE_FALSE(Advances<ByStep>);
  STATIC_REQUIRE_FALSE(Advances<int>);
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

// The overloads that have the compiler say a sentence are no calls that a requires-expression would take for one.
TEMPLATE_TEST_CASE("what an averager takes, a requires-expression tells", "", Ema<>, Lawa<>, Guarded<Ema<>>,
                   Guarded<Lawa<float>>, (Averaged<Sgd<>, Ema<>>)) {
  constexpr bool alone = Updates<TestType, const VectorXd&>;
  STATIC_REQUIRE(alone == AveragerLike<TestType>);
  STATIC_REQUIRE(Updates<TestType, VectorXf> == alone);
  STATIC_REQUIRE(Updates<TestType, const std::vector<VectorXd>&> == alone);
  STATIC_REQUIRE(Updates<TestType, ParameterSet<const double, 2>> == alone);
  STATIC_REQUIRE_FALSE(Updates<TestType>);
  STATIC_REQUIRE_FALSE(Updates<TestType, Eigen::VectorXi&>);
  STATIC_REQUIRE_FALSE(Updates<TestType, double>);
  STATIC_REQUIRE_FALSE(Updates<TestType, VectorXd&, VectorXd&>);
  STATIC_REQUIRE_FALSE(Updates<TestType, double*, std::size_t>);
  STATIC_REQUIRE_FALSE(Updates<TestType, decltype(2 * VectorXd())>);
  STATIC_REQUIRE_FALSE(Starts<TestType, double*>);
  STATIC_REQUIRE(Reads<TestType, VectorXd&>);
  STATIC_REQUIRE(Reads<TestType, std::span<float>>);
  STATIC_REQUIRE_FALSE(Reads<TestType, const VectorXd&>);
  STATIC_REQUIRE_FALSE(Reads<TestType, double*>);
  STATIC_REQUIRE(Swaps<TestType, VectorXd&>);
  STATIC_REQUIRE_FALSE(Swaps<TestType, VectorXd>);
  STATIC_REQUIRE_FALSE(Swaps<TestType, const VectorXd&>);
}

TEST_CASE("an average has a start to be told where its gains need one") {
  STATIC_REQUIRE(Starts<Ema<>, const VectorXd&>);
  STATIC_REQUIRE(Starts<Guarded<Ema<>>, const VectorXd&>);
  STATIC_REQUIRE_FALSE(Starts<Lawa<>, const VectorXd&>);
  STATIC_REQUIRE_FALSE(Starts<Guarded<Lawa<>>, const VectorXd&>);
}

TEST_CASE("a fold is by coordinate or by slice, is committed, and cannot throw") {
  STATIC_REQUIRE(FoldLike<BySlice>);
  STATIC_REQUIRE(FoldLike<ByCoordinate>);
  STATIC_REQUIRE(FoldLike<ByEither>);
  STATIC_REQUIRE_FALSE(FoldLike<BothWithoutSaying>);
  STATIC_REQUIRE_FALSE(FoldLike<SaysSomethingElse>);
  STATIC_REQUIRE_FALSE(FoldLike<SayingMayThrow>);
  STATIC_REQUIRE_FALSE(FoldLike<NothingButCommit>);
  STATIC_REQUIRE_FALSE(FoldLike<AfterMayThrow>);
  STATIC_REQUIRE_FALSE(FoldLike<AtMayThrow>);
  STATIC_REQUIRE_FALSE(FoldLike<CommitMayThrow>);
  STATIC_REQUIRE_FALSE(FoldLike<CommitWithoutOutcome>);
  STATIC_REQUIRE_FALSE(FoldLike<CommitThatChanges>);
  STATIC_REQUIRE_FALSE(FoldLike<AtThatChanges>);
  STATIC_REQUIRE_FALSE(FoldLike<NeverCommitted>);
  STATIC_REQUIRE_FALSE(FoldLike<int>);
}

TEST_CASE("a fold says how it folds, or it is said by what it has") {
  STATIC_REQUIRE(FoldsByCoordinate<Ema<>::Fold> && FoldsBySlice<Ema<>::Fold>);
  STATIC_REQUIRE(FoldsByCoordinate<PowerEma<float>::Fold>);
  STATIC_REQUIRE(FoldsByCoordinate<Guarded<Ema<>>::Fold> && FoldsBySlice<Guarded<Ema<>>::Fold>);
  STATIC_REQUIRE(FoldsBySlice<Lawa<>::Fold>);
  STATIC_REQUIRE_FALSE(FoldsByCoordinate<Lawa<>::Fold>);
  STATIC_REQUIRE_FALSE(FoldsByCoordinate<Guarded<Lawa<>>::Fold>);
  STATIC_REQUIRE(FoldsByCoordinate<ByCoordinate> && !FoldsBySlice<ByCoordinate>);
  STATIC_REQUIRE(FoldsBySlice<BySlice> && !FoldsByCoordinate<BySlice>);
}

TEST_CASE("an averager begins folds that cannot throw, and has an average") {
  STATIC_REQUIRE(AveragerLike<AveragerWith<BySlice>>);
  STATIC_REQUIRE(AveragerLike<AveragerWith<ByCoordinate>>);
  STATIC_REQUIRE(AveragerLike<AveragerWith<ByEither>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<AfterMayThrow>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<CommitThatChanges>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerThatIsToldTheSizeAlone>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWith<int>>);
  STATIC_REQUIRE_FALSE(AveragerLike<AveragerWithoutAverage>);
  STATIC_REQUIRE_FALSE(AveragerLike<Sgd<>>);
  STATIC_REQUIRE_FALSE(AveragerLike<int>);
}

TEST_CASE("the averagers of the library can be guarded, and most have a sequence of gains") {
  STATIC_REQUIRE(Guardable<Ema<>> && Guardable<Lawa<float>>);
  STATIC_REQUIRE_FALSE(Guardable<AveragerWith<ByEither>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Guarded<Ema<>>&, Ema<>&>);  // no fold without the guard
  STATIC_REQUIRE(GainAverager<Ema<>> && GainAverager<PowerEma<float>>);
  STATIC_REQUIRE_FALSE(GainAverager<Lawa<>>);
  STATIC_REQUIRE_FALSE(GainAverager<Guarded<Ema<>>>);
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
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Ema<>, double>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<double, Sgd<float>>);
}
