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

}  // namespace

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
  STATIC_REQUIRE(Schedule<Constant>);
  STATIC_REQUIRE(Schedule<InverseTime>);
  STATIC_REQUIRE(Schedule<BottouDecay>);
  STATIC_REQUIRE(Schedule<StepDecay>);
  STATIC_REQUIRE(Schedule<Cosine>);
  STATIC_REQUIRE(Schedule<LinearWarmup>);
  STATIC_REQUIRE(Schedule<Triangular>);
  STATIC_REQUIRE(Schedule<LinearCycle>);
  STATIC_REQUIRE(Schedule<SwaAnneal>);
  STATIC_REQUIRE(Schedule<DecayWarmup>);
  STATIC_REQUIRE(Schedule<InverseGammaDecay>);
  STATIC_REQUIRE(Schedule<HalfLife>);
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
  STATIC_REQUIRE(ComplementedDecay<DecayWarmup>);
  STATIC_REQUIRE(ComplementedDecay<InverseGammaDecay>);
  STATIC_REQUIRE(ComplementedDecay<HalfLife>);
  STATIC_REQUIRE_FALSE(ComplementedDecay<Constant>);
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

  STATIC_REQUIRE(SlicewiseOptimizer<Sgd<float>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Averaged<Sgd<Eigen::half>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Averaged<Averaged<Sgd<>>, Swa<>>>);
  STATIC_REQUIRE(SlicewiseOptimizer<support::SlicesOnly<double>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Adam<>>);
  STATIC_REQUIRE(SlicewiseOptimizer<AdamW<Eigen::bfloat16>>);
  STATIC_REQUIRE(SlicewiseOptimizer<NAdam<>>);
  STATIC_REQUIRE(SlicewiseOptimizer<RMSprop<long double>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Adagrad<>>);
  STATIC_REQUIRE(SlicewiseOptimizer<Lion<float>>);
  STATIC_REQUIRE(SlicewiseOptimizer<ClipNorm<Sgd<>>>);
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
  STATIC_REQUIRE_FALSE(SlicewiseOptimizer<ClipNorm<ByStep>>);
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
  STATIC_REQUIRE(AveragerLike<Ema<>>);
  STATIC_REQUIRE(AveragerLike<Ema<float>>);
  STATIC_REQUIRE(AveragerLike<TailAverage<>>);
  STATIC_REQUIRE(AveragerLike<Swa<Eigen::bfloat16>>);
  STATIC_REQUIRE(AveragerLike<GainAverage<>>);
  STATIC_REQUIRE(AveragerLike<PolynomialAverage<>>);
  STATIC_REQUIRE(AveragerLike<PowerEma<float>>);
  STATIC_REQUIRE(AveragerLike<AnytimeTailAverage<>>);
  STATIC_REQUIRE(AveragerLike<Lawa<>>);
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

  STATIC_REQUIRE(std::same_as<shadow_of<Ema<>>, double>);
  STATIC_REQUIRE(std::same_as<shadow_of<Swa<float>>, float>);
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
  STATIC_REQUIRE(moves_freely<Sgd<>>);
  STATIC_REQUIRE(moves_freely<Sgd<Eigen::half>>);
  STATIC_REQUIRE(moves_freely<Ema<>>);
  STATIC_REQUIRE(moves_freely<TailAverage<float>>);
  STATIC_REQUIRE(moves_freely<Swa<>>);
  STATIC_REQUIRE(moves_freely<GainAverage<>>);
  STATIC_REQUIRE(moves_freely<Averaged<Sgd<>, Ema<>, Swa<>>>);
  STATIC_REQUIRE(moves_freely<Averaged<Averaged<Sgd<float>>, Swa<>>>);
  STATIC_REQUIRE(moves_freely<AdamW<>>);
  STATIC_REQUIRE(moves_freely<Lawa<>>);
  STATIC_REQUIRE(moves_freely<SkipNonFinite<ClipNorm<Lookahead<Accumulate<RMSprop<float>>>>>>);
  STATIC_REQUIRE(moves_freely<SwapGuard<double>>);
  STATIC_REQUIRE(std::copyable<Sgd<>>);
  STATIC_REQUIRE(std::copyable<GainAverage<>>);
  STATIC_REQUIRE(std::copyable<Averaged<Sgd<>, Ema<>>>);
  STATIC_REQUIRE(std::copyable<Averaged<ClipValue<Lookahead<NAdam<>>>, Lawa<>>>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<SwapGuard<double>>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<SwapGuard<double>>);
}

TEST_CASE("options and scalars do not turn into optimizers by themselves") {
  STATIC_REQUIRE_FALSE(std::convertible_to<SgdOptions, Sgd<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<EmaOptions, Ema<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<TailAverageOptions, TailAverage<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<SwaOptions, Swa<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<GainAverageOptions, GainAverage<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<AdamOptions, Adam<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<LawaOptions, Lawa<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<PowerEmaOptions, PowerEma<>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Sgd<>, Averaged<Sgd<>>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Sgd<>, ClipNorm<Sgd<>>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Sgd<>, Accumulate<Sgd<>>>);
  STATIC_REQUIRE_FALSE(std::convertible_to<double, Constant>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<GainAverage<>>);
}
