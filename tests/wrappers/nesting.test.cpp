#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "optimizers/checks.hpp"

// Every wrapper in every other one, with averages inside, between and around them, against models of them in a few
// lines each; of one block and of two, of an optimizer that works slice by slice and of one that steps whole.

using namespace polyak;
using Eigen::VectorXd;

namespace {

/// A step, as the models see it: true where it is taken.
using ModelStep = std::function<bool(VectorXd&, const VectorXd&)>;

/// The mean of what it is shown.
struct Mean {
  std::uint64_t count = 0;
  VectorXd value;
};

ModelStep model_of_sgd(double rate, double momentum) {
  return [=, velocity = VectorXd()](VectorXd& theta, const VectorXd& g) mutable {
    if (velocity.size() == 0) velocity = VectorXd::Zero(g.size());
    velocity = momentum * velocity + g;
    theta -= rate * velocity;
    return true;
  };
}

ModelStep model_of_average(ModelStep inner, Mean& mean) {
  return [inner, &mean](VectorXd& theta, const VectorXd& g) {
    if (!inner(theta, g)) return false;
    if (++mean.count == 1) mean.value = theta;
    mean.value += (theta - mean.value) / static_cast<double>(mean.count);
    return true;
  };
}

constexpr double max_norm = 7, max_value = 0.8;
constexpr std::uint64_t micro_batches = 2, every = 3;

struct NormClipping {
  static constexpr const char* name = "ClipNorm";
  static auto wrap(auto inner) { return ClipNorm{std::move(inner), {.max_norm = max_norm}}; }
  static ModelStep model(ModelStep inner) {
    return [=](VectorXd& theta, const VectorXd& g) {
      const double scale = max_norm / (g.norm() + 1e-6);
      return inner(theta, scale > 1 ? g : VectorXd(scale * g));
    };
  }
};

struct ValueClipping {
  static constexpr const char* name = "ClipValue";
  static auto wrap(auto inner) { return ClipValue{std::move(inner), {.max_value = max_value}}; }
  static ModelStep model(ModelStep inner) {
    return [=](VectorXd& theta, const VectorXd& g) {
      VectorXd clipped = g;
      for (double& x : clipped) x = std::isnan(x) ? x : std::clamp(x, -max_value, max_value);
      return inner(theta, clipped);
    };
  }
};

struct Accumulation {
  static constexpr const char* name = "Accumulate";
  static auto wrap(auto inner) { return Accumulate{std::move(inner), {.micro_batches = micro_batches}}; }
  static ModelStep model(ModelStep inner) {
    return [=, sum = VectorXd(), count = std::uint64_t(0)](VectorXd& theta, const VectorXd& g) mutable {
      sum = count == 0 ? g : VectorXd(sum + g);
      if (++count < micro_batches) return false;
      count = 0;
      return inner(theta, sum / static_cast<double>(micro_batches));
    };
  }
};

struct LookingAhead {
  static constexpr const char* name = "Lookahead";
  static auto wrap(auto inner) { return Lookahead{std::move(inner), {.every = every, .alpha = 0.25}}; }
  static ModelStep model(ModelStep inner) {
    return [=, slow = VectorXd(), count = std::uint64_t(0)](VectorXd& theta, const VectorXd& g) mutable {
      if (count == 0) slow = theta;
      if (!inner(theta, g)) return false;
      if (++count % every == 0) theta = slow += 0.25 * (theta - slow);
      return true;
    };
  }
};

struct Skipping {
  static constexpr const char* name = "SkipNonFinite";
  static auto wrap(auto inner) { return SkipNonFinite{std::move(inner)}; }
  static ModelStep model(ModelStep inner) {
    return [=](VectorXd& theta, const VectorXd& g) { return g.allFinite() && inner(theta, g); };
  }
};

constexpr Eigen::Index size = 70, first = 33;

/// Gradients longer and shorter than the limits; where they are to be skipped, some are not finite.
std::vector<VectorXd> gradients(bool with_nan) {
  support::Random random(11);
  std::vector<VectorXd> result;
  for (int t = 0; t < 16; ++t) {
    result.push_back(random.vector(size) * (t % 3 == 1 ? 0.25 : 1.5));
    if (with_nan && (t == 0 || t == 5 || t == 6 || t == 13)) result.back()[(7 * t) % size] = support::not_a_number;
  }
  return result;
}

/// Takes a step of theta as a set of one block or of two, which are one type: what holds the weights is gone before a
/// wrapper sees them.
template <class Optimizer>
bool step(Optimizer& opt, VectorXd& theta, const VectorXd& g, bool in_two) {
  const std::vector<Eigen::Index> starts = in_two ? std::vector<Eigen::Index>{0, first} : std::vector<Eigen::Index>{0};
  std::vector<Eigen::Map<VectorXd>> params;
  std::vector<Eigen::Map<const VectorXd>> gradient;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const Eigen::Index n = (i + 1 < starts.size() ? starts[i + 1] : size) - starts[i];
    params.emplace_back(theta.data() + starts[i], n);
    gradient.emplace_back(g.data() + starts[i], n);
  }
  return opt.step(params, gradient);
}

double distance(const VectorXd& a, const VectorXd& b) {
  const double gap = support::largest(a - b);
  return std::isnan(gap) ? support::infinity : gap;
}

/// What is left when all is done.
struct Result {
  VectorXd theta;
  std::vector<bool> taken;
  std::vector<VectorXd> averages;
  std::vector<std::uint64_t> counts;
};

struct Failures {
  std::size_t count = 0, that_changed_something = 0;
};

/// Trains; where `fails` is given, each step is first tried with *fails set, and must change nothing if it throws.
template <class Optimizer>
Result train(Optimizer opt, bool with_nan, bool in_two, const std::shared_ptr<bool>& fails, Failures& failures) {
  Result outcome;
  outcome.theta = VectorXd::LinSpaced(size, -3, 2);
  for (const VectorXd& g : gradients(with_nan)) {
    if (fails) {
      const VectorXd before = outcome.theta;
      const std::uint64_t count = opt.averager().count(), steps = opt.averager().steps();
      *fails = true;
      try {
        // A step that does not get as far as the optimizer cannot fail.
        outcome.taken.push_back(step(opt, outcome.theta, g, in_two));
        *fails = false;
        continue;
      } catch (const std::runtime_error&) {
        *fails = false;
        ++failures.count;
        failures.that_changed_something += !checks::same_vectors(outcome.theta, before) ||
                                           opt.averager().count() != count || opt.averager().steps() != steps;
      }
    }
    outcome.taken.push_back(step(opt, outcome.theta, g, in_two));
  }
  const auto& between = opt.optimizer().optimizer();
  const auto& inside = between.optimizer().optimizer();
  const auto note = [&](const auto& averaged) {
    outcome.counts.push_back(averaged.averager().count());
    outcome.averages.push_back(averaged.has_average() ? averaged.average() : VectorXd());
  };
  note(opt);
  note(between);
  note(inside);
  return outcome;
}

/// With an optimizer that steps whole, too, if asked to.
template <class Outer, class Inner, bool StepsWhole>
void check_nesting() {
  INFO(Outer::name << " around " << Inner::name);
  const bool with_nan = std::is_same_v<Outer, Skipping> || std::is_same_v<Inner, Skipping>;

  Mean around, between, inside;
  const ModelStep model = model_of_average(
      Outer::model(model_of_average(Inner::model(model_of_average(model_of_sgd(0.1, 0.5), inside)), between)), around);
  Result expected;
  expected.theta = VectorXd::LinSpaced(size, -3, 2);
  for (const VectorXd& g : gradients(with_nan)) expected.taken.push_back(model(expected.theta, g));
  REQUIRE(expected.theta.allFinite());
  expected.averages = {around.value, between.value, inside.value};
  expected.counts = {around.count, between.count, inside.count};

  const auto fails = std::make_shared<bool>(false);
  const auto rate = [fails](std::uint64_t) {
    if (*fails) throw std::runtime_error("no rate");
    return 0.1;
  };
  Sgd<double> sgd{{.learning_rate = rate, .momentum = 0.5}};
  const auto nest = [](auto optimizer) {
    Averaged innermost{std::move(optimizer), TailAverage{}};
    Averaged middle{Inner::wrap(std::move(innermost)), TailAverage{}};
    return Averaged{Outer::wrap(std::move(middle)), TailAverage{}};
  };
  const auto in_slices = nest(sgd);

  std::vector<Result> outcomes;
  Failures failures;
  for (const bool in_two : {false, true}) {
    for (const auto& flag : {std::shared_ptr<bool>(), fails}) {
      INFO((in_two ? "two blocks" : "one block") << (flag ? ", failing now and then" : ""));
      outcomes.push_back(train(in_slices, with_nan, in_two, flag, failures));
      if constexpr (StepsWhole) {
        const auto by_whole = nest([sgd](auto& params, const auto& g) mutable { return sgd.step(params, g); });
        outcomes.push_back(train(by_whole, with_nan, in_two, flag, failures));
      }
    }
  }
  CHECK(failures.count > 0);
  CHECK(failures.that_changed_something == 0);
  for (const Result& outcome : outcomes) {
    CHECK(outcome.taken == expected.taken);
    CHECK(outcome.counts == expected.counts);
    CHECK(distance(outcome.theta, expected.theta) < 1e-12);
    CHECK(checks::same_vectors(outcome.theta, outcomes[0].theta));
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(distance(outcome.averages[i], expected.averages[i]) < 1e-12);
      CHECK(checks::same_vectors(outcome.averages[i], outcomes[0].averages[i]));
    }
  }
}

/// Outer around each wrapper; the next in the list, so that each is once outside and once inside, around an optimizer
/// that steps whole, too.
template <class Outer, class Next, class... Others>
void check_nestings() {
  check_nesting<Outer, Next, true>();
  (check_nesting<Outer, Others, false>(), ...);
}

}  // namespace

TEST_CASE("around every other wrapper: ClipNorm") {
  check_nestings<NormClipping, ValueClipping, Accumulation, LookingAhead, Skipping>();
}
TEST_CASE("around every other wrapper: ClipValue") {
  check_nestings<ValueClipping, Accumulation, LookingAhead, Skipping, NormClipping>();
}
TEST_CASE("around every other wrapper: Accumulate") {
  check_nestings<Accumulation, LookingAhead, Skipping, NormClipping, ValueClipping>();
}
TEST_CASE("around every other wrapper: Lookahead") {
  check_nestings<LookingAhead, Skipping, NormClipping, ValueClipping, Accumulation>();
}
TEST_CASE("around every other wrapper: SkipNonFinite") {
  check_nestings<Skipping, NormClipping, ValueClipping, Accumulation, LookingAhead>();
}

TEST_CASE("a wrapper around itself") {
  check_nesting<NormClipping, NormClipping, false>();
  check_nesting<Accumulation, Accumulation, true>();
  check_nesting<LookingAhead, LookingAhead, true>();
}

TEST_CASE("an average inside a wrapper keeps one outside from being swapped in") {
  const auto check = [](auto wrapper) {
    polyak::Averaged outer{std::move(wrapper), polyak::TailAverage{}};
    Eigen::VectorXd theta = Eigen::VectorXd::Ones(3);
    const Eigen::VectorXd gradient = theta;
    for (int t = 0; t < 4; ++t) outer.step(theta, gradient);
    const Eigen::VectorXd trained = theta;
    {
      auto inner_guard = outer.optimizer().optimizer().swap_in(theta);
      CHECK(support::error_of([&] { auto guard = outer.swap_in(theta); }) ==
            "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
    }
    CHECK(theta == trained);
  };
  const polyak::Averaged inner{polyak::Sgd{{.learning_rate = 0.5}}, polyak::Ema{}};
  check(polyak::ClipNorm{inner});
  check(polyak::ClipValue{inner});
  check(polyak::SkipNonFinite{inner});
  check(polyak::Accumulate{inner});
  check(polyak::Lookahead{inner});
}

TEST_CASE("an optimizer of arrays is given arrays behind a wrapper too") {
  const auto move = [](auto& theta, const auto& gradient) {
    if constexpr (requires { theta -= 0.5 * gradient; }) {
      theta -= 0.5 * gradient;
    } else {
      for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= 0.5 * gradient[i];
    }
  };
  Eigen::ArrayXd theta = Eigen::ArrayXd::Ones(2);
  std::vector<Eigen::ArrayXXd> blocks(2, Eigen::ArrayXXd::Ones(2, 2));
  const Eigen::ArrayXd gradient = theta;
  const auto gradients = blocks;
  polyak::ClipNorm{move, {.max_norm = 10}}.step(theta, gradient);
  polyak::ClipNorm{move, {.max_norm = 10}}.step(blocks, gradients);
  CHECK(theta.matrix() == Eigen::VectorXd::Constant(2, 0.5));
  CHECK(blocks[1].matrix() == Eigen::MatrixXd::Constant(2, 2, 0.5));
}
