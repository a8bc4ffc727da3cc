#pragma once

#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "holders.hpp"
#include "support.hpp"

/// What every optimizer that moves coordinate by coordinate must pass, whatever its formula, and what wraps one too.

namespace checks {

using holders::Vector;
using support::error_of;

template <class Scalar>
std::string name_of() {
  return std::is_same_v<Scalar, float>         ? "float"
         : std::is_same_v<Scalar, double>      ? "double"
         : std::is_same_v<Scalar, long double> ? "long double"
         : std::is_same_v<Scalar, Eigen::half> ? "half"
                                               : "bfloat16";
}

template <class Scalar>
bool same_vectors(const Vector<Scalar>& a, const Vector<Scalar>& b) {
  if (a.size() != b.size()) return false;
  for (Eigen::Index i = 0; i < a.size(); ++i) {
    if (!support::same_bits<Scalar>(a[i], b[i])) return false;
  }
  return true;
}

/// Weights and gradients of five steps.
template <class Scalar>
struct Run {
  explicit Run(Eigen::Index n, std::uint64_t seed = 7) {
    support::Random random(seed);
    start = random.vector<Scalar>(n);
    for (int t = 0; t < 5; ++t) gradients.push_back(random.vector<Scalar>(n));
  }

  Vector<Scalar> start;
  std::vector<Vector<Scalar>> gradients;
};

/// What is wrong, each in a line of its own. It is asserted once and outside of templates, since assertions take long
/// to compile.
class Errors {
 public:
  explicit Errors(std::string of) : of_(std::move(of)) {}

  void expect(bool good, const std::string& what) {
    if (!good) text_ += of_ + ": " + what + '\n';
  }
  void expect(bool good, const std::string& where, const char* what) {
    if (!good) expect(good, where + ": " + what);
  }
  void check() const { CHECK(text_ == ""); }

 private:
  std::string of_;
  std::string text_;
};

/// One of the hyperparameters of an optimizer that can be read and set while training.
template <class Optimizer>
struct Setting {
  const char* name;
  polyak::Hyperparameter Optimizer::Options::*option;
  double (Optimizer::*read)() const;
  void (Optimizer::*set)(polyak::Hyperparameter);
};

/// All that an optimizer has.
template <class Optimizer>
std::vector<Setting<Optimizer>> settings() {
  using Options = typename Optimizer::Options;
  std::vector<Setting<Optimizer>> all{
      {"learning_rate", &Options::learning_rate, &Optimizer::learning_rate, &Optimizer::set_learning_rate},
      {"weight_decay", &Options::weight_decay, &Optimizer::weight_decay, &Optimizer::set_weight_decay}};
  if constexpr (requires(const Optimizer& optimizer) { optimizer.momentum(); }) {
    all.push_back({"momentum", &Options::momentum, &Optimizer::momentum, &Optimizer::set_momentum});
  }
  return all;
}

/// What an optimizer makes of a run of one vector by itself, with averages that are shown the iterate after each step
/// that was taken.
template <class Optimizer>
struct Separate {
  using Scalar = typename Optimizer::scalar_type;
  using Shadow = polyak::wide_t<Scalar>;

  Separate(Optimizer optimizer, const Run<Scalar>& run) : theta(run.start) {
    textbook.start_from(theta);
    for (const auto& gradient : run.gradients) {
      taken.push_back(optimizer.step(theta, gradient));
      if (!taken.back()) continue;
      ++steps;
      ema.update(theta);
      textbook.update(theta);
      tail.update(theta);
      lawa.update(theta);
    }
    moved = !same_vectors(theta, run.start);
  }

  Vector<Scalar> theta;
  std::vector<bool> taken;
  std::uint64_t steps = 0;
  polyak::Ema<Shadow> ema{{.decay = 0.9}};
  polyak::Ema<Shadow> textbook{{.decay = 0.5, .bias_correction = false}};
  polyak::TailAverage<Shadow> tail{{.start = 2}};
  polyak::Lawa<Shadow> lawa{{.window = 2}};
  bool moved = false;
};

template <class A, class B>
bool same_averages(const A& a, const B& b) {
  return a.has_average() == b.has_average() && (!a.has_average() || same_vectors(a.average(), b.average()));
}

template <class Optimizer>
bool counts(const Optimizer& optimizer, std::uint64_t steps) {
  if constexpr (requires { optimizer.steps(); }) return optimizer.steps() == steps;
  return true;
}

/// However the weights are held, their bits and those of their averages are the same.
template <class Optimizer>
void check_holders(const std::string& name, const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  Errors errors(name + " of " + name_of<Scalar>());
  const Run<Scalar> run(holders::size);
  const Separate<Optimizer> expected(fresh, run);
  errors.expect(expected.moved, "no weight has moved");
  const auto check = [&](const char* holder, auto&& params, auto&& gradient, const auto& of_params,
                         const auto& of_gradient) {
    const auto train = [&](auto& optimizer) {
      of_params.write(run.start);
      for (std::size_t t = 0; t < run.gradients.size(); ++t) {
        of_gradient.write(run.gradients[t]);
        errors.expect(optimizer.step(params, gradient) == expected.taken[t], holder, "a step was not taken, or was");
        errors.expect(same_vectors(of_gradient.read(), run.gradients[t]), holder, "a gradient was written to");
      }
      errors.expect(same_vectors(of_params.read(), expected.theta), holder, "other weights");
    };
    if constexpr (std::is_same_v<Scalar, double>) {
      Optimizer alone = fresh;
      train(alone);
      errors.expect(counts(alone, expected.steps), holder, "another count of steps");
    }
    polyak::Averaged averaged{fresh, polyak::Ema{{.decay = 0.9}}, polyak::TailAverage{{.start = 2}}};
    train(averaged);
    errors.expect(counts(averaged.optimizer(), expected.steps), holder, "another count of steps, averaged");
    errors.expect(same_averages(averaged.template averager<0>(), expected.ema), holder, "another Ema");
    errors.expect(same_averages(averaged.template averager<1>(), expected.tail), holder, "another TailAverage");
  };
  // What holds the weights is one thing, the rule and the scalar are another: every holder is tried with Sgd, of two.
  if constexpr (std::is_same_v<Optimizer, polyak::Sgd<double>> || std::is_same_v<Optimizer, polyak::Sgd<float>>) {
    holders::for_each<Scalar>(check);
  } else {
    holders::for_each_kind<Scalar>(check);
  }
  errors.check();
}

/// An average in the optimizer's loop is the one that is shown the weights afterwards, at every length the loops and
/// the slices may break at, and with the vector cut anywhere.
template <class Optimizer>
void check_sizes(const std::string& name, const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  Errors errors(name + " of " + name_of<Scalar>());
  constexpr Eigen::Index slice = 4096 / sizeof(Scalar);
  for (const Eigen::Index n :
       {Eigen::Index(0), Eigen::Index(1), Eigen::Index(15), Eigen::Index(31), Eigen::Index(32), Eigen::Index(33),
        Eigen::Index(64), Eigen::Index(95), slice - 1, slice, slice + 1, 2 * slice, 2 * slice + 33}) {
    const std::string size = std::to_string(n) + " coordinates";
    const Run<Scalar> run(n, static_cast<std::uint64_t>(n) + 1);
    const Separate<Optimizer> expected(fresh, run);
    const auto check = [&](auto averaged, auto compare) {
      Vector<Scalar> theta = run.start;
      for (std::size_t t = 0; t < run.gradients.size(); ++t) {
        errors.expect(averaged.step(theta, run.gradients[t]) == expected.taken[t], size,
                      "a step was not taken, or was");
      }
      errors.expect(same_vectors(theta, expected.theta), size, "other weights");
      errors.expect(compare(averaged), size, "another average");

      auto cut = averaged;
      cut.reset();
      theta = run.start;
      using Map = Eigen::Map<Vector<Scalar>>;
      using ConstMap = Eigen::Map<const Vector<Scalar>>;
      const Eigen::Index a = n / 3, b = n - n / 7;
      for (const auto& g : run.gradients) {
        cut.step(
            polyak::ParameterSet{Map(theta.data(), a), Map(theta.data() + a, b - a), Map(theta.data() + b, n - b)},
            polyak::ParameterSet{ConstMap(g.data(), a), ConstMap(g.data() + a, b - a), ConstMap(g.data() + b, n - b)});
      }
      errors.expect(same_vectors(theta, expected.theta), size, "other weights of the vector in parts");
      errors.expect(compare(cut), size, "another average of the vector in parts");
    };
    check(polyak::Averaged{fresh, polyak::Ema{{.decay = 0.9}}, polyak::TailAverage{{.start = 2}}},
          [&](const auto& averaged) {
            return same_averages(averaged.template averager<0>(), expected.ema) &&
                   same_averages(averaged.template averager<1>(), expected.tail);
          });
    // A window cannot be folded coordinate by coordinate, and a start must be seen before the step.
    check(polyak::Averaged{fresh, polyak::Ema{{.decay = 0.5, .bias_correction = false}}, polyak::Lawa{{.window = 2}}},
          [&](const auto& averaged) {
            return (expected.steps == 0 || same_averages(averaged.template averager<0>(), expected.textbook)) &&
                   same_averages(averaged.template averager<1>(), expected.lawa);
          });
  }
  errors.check();
}

/// In any scalar it goes where it goes in double, but for rounding.
template <class Optimizer, class InDouble>
void check_against_double(const std::string& name, Optimizer optimizer, InDouble in_double) {
  using Scalar = typename Optimizer::scalar_type;
  const Run<Scalar> run(100);
  Vector<Scalar> theta = run.start;
  Eigen::VectorXd expected = theta.template cast<double>();
  const double scale = support::largest(expected);
  const double epsilon =
      std::max(static_cast<double>(Eigen::NumTraits<Scalar>::epsilon()), std::numeric_limits<double>::epsilon());
  for (const auto& g : run.gradients) {
    optimizer.step(theta, g);
    in_double.step(expected, g.template cast<double>().eval());
  }
  Errors errors(name + " of " + name_of<Scalar>());
  errors.expect(support::largest(theta.template cast<double>() - expected) <= 10 * epsilon * scale,
                "goes elsewhere than in double");
  errors.expect(support::largest(expected) <= 10 * scale, "diverges in double");
  errors.check();
}

/// Where one weight goes along these gradients.
template <class Optimizer>
std::vector<double> path(Optimizer optimizer, double theta, const std::vector<double>& gradients) {
  using Scalar = typename Optimizer::scalar_type;
  Eigen::Matrix<Scalar, 1, 1> params(static_cast<Scalar>(theta));
  std::vector<double> result;
  for (const double g : gradients) {
    CHECK(optimizer.step(params, Eigen::Matrix<Scalar, 1, 1>(static_cast<Scalar>(g))));
    result.push_back(static_cast<double>(params[0]));
  }
  return result;
}

/// The path, to rounding.
template <class Optimizer>
void check_path(const Optimizer& optimizer, double theta, const std::vector<double>& gradients,
                const std::vector<double>& expected) {
  const double epsilon = static_cast<double>(Eigen::NumTraits<typename Optimizer::scalar_type>::epsilon());
  const auto actual = path(optimizer, theta, gradients);
  REQUIRE(actual.size() == expected.size());
  for (std::size_t t = 0; t < expected.size(); ++t) {
    INFO("step " << t << ": expected " << expected[t] << ", got " << actual[t]);
    CHECK(support::close(actual[t], expected[t], 4 * std::max(epsilon, std::numeric_limits<double>::epsilon())));
  }
}

/// Copies go their own way from where they are made, and reset goes back to the beginning.
template <class Optimizer>
void check_life(const std::string& name, const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  Errors errors(name + " of " + name_of<Scalar>());
  const Run<Scalar> run(40), other(40, 8);
  const auto train = [](Optimizer& optimizer, Vector<Scalar> theta, const Run<Scalar>& along, std::size_t from,
                        std::size_t to) {
    for (std::size_t t = from; t < to; ++t) optimizer.step(theta, along.gradients[t]);
    return theta;
  };
  Optimizer whole = fresh;
  const auto expected = train(whole, run.start, run, 0, 5);
  errors.expect(whole.steps() == 5, "five steps are counted otherwise");

  Optimizer first = fresh;
  const auto half = train(first, run.start, run, 0, 2);
  Optimizer copy = first;
  Optimizer assigned = fresh;
  train(assigned, other.start, other, 0, 3);
  assigned = first;
  train(first, other.start, other, 2, 5);
  errors.expect(copy.steps() == 2, "a copy counts the steps of the original");
  errors.expect(same_vectors(train(copy, half, run, 2, 5), expected), "a copy goes on elsewhere");
  errors.expect(same_vectors(train(assigned, half, run, 2, 5), expected), "what was assigned to goes on elsewhere");

  copy.reset();
  errors.expect(copy.steps() == 0, "reset leaves the count of steps");
  errors.expect(same_vectors(train(copy, run.start, run, 0, 5), expected), "reset leaves a state");
  copy.reset();
  const Run<Scalar> longer(77);  // a run of another size
  Optimizer again = fresh;
  errors.expect(same_vectors(train(copy, longer.start, longer, 0, 5), train(again, longer.start, longer, 0, 5)),
                "reset leaves a state that shows in a longer run");

  for (const auto& [setting, option, read, set] : settings<Optimizer>()) {
    (copy.*set)(0.25);
    errors.expect((copy.*read)() == 0.25, setting, "is not the one that was set");
    errors.expect((copy.options().*option)(0) == 0.25, setting, "is not among the options");
    copy.reset();
    errors.expect((copy.*read)() == 0.25, setting, "is changed by reset");
    (copy.*set)([](std::uint64_t t) { return 0.5 / static_cast<double>(1 + t); });
    errors.expect((copy.*read)() == 0.5, setting, "starts otherwise than the schedule that was set");
    train(copy, run.start, run, 0, 3);
    errors.expect((copy.*read)() == 0.125, setting, "goes on otherwise than the schedule that was set");
    copy.reset();
  }
  errors.check();
}

/// Options by block do what two optimizers would, each with its own.
template <class Optimizer, class Options>
void check_blocks(const std::string& name, Options options) {
  using Scalar = typename Optimizer::scalar_type;
  options.learning_rate = 0.25;
  options.weight_decay = 0.5;
  const Optimizer plain(options);
  options.blocks = {{.learning_rate_factor = 0.5, .weight_decay_factor = 0}, {.learning_rate_factor = 2}};
  Optimizer joint(options);
  options.blocks = {};
  options.learning_rate = 0.125;
  options.weight_decay = 0;
  Optimizer first(options);
  options.learning_rate = 0.5;
  options.weight_decay = 0.5;
  Optimizer second(options);

  const Run<Scalar> run(50), other(90, 9);
  Vector<Scalar> a = run.start, b = other.start, a_alone = a, b_alone = b;
  for (std::size_t t = 0; t < 5; ++t) {
    joint.step(polyak::ParameterSet{a, b}, polyak::ParameterSet{run.gradients[t], other.gradients[t]});
    first.step(a_alone, run.gradients[t]);
    second.step(b_alone, other.gradients[t]);
  }
  Errors errors(name + " of " + name_of<Scalar>());
  errors.expect(same_vectors(a, a_alone), "the first block goes elsewhere than alone");
  errors.expect(same_vectors(b, b_alone), "the second block goes elsewhere than alone");
  Optimizer without = plain;
  Vector<Scalar> c = run.start;
  for (const auto& g : run.gradients) without.step(c, g);
  errors.expect(!same_vectors(a, c), "the options of a block change nothing");
  errors.check();
}

/// A schedule does what setting each of its numbers before the step does, and is asked once a step.
template <class Optimizer, class Options>
void check_schedules(const std::string& name, const Options& options) {
  using Scalar = typename Optimizer::scalar_type;
  Errors errors(name + " of " + name_of<Scalar>());
  const Run<Scalar> run(40);
  for (const auto& [setting, option, read, set] : settings<Optimizer>()) {
    std::vector<std::uint64_t> asked;
    const auto growing = [](std::uint64_t t) { return 0.0625 * static_cast<double>(1 + t); };
    Options scheduled = options;
    scheduled.*option = [&](std::uint64_t t) {
      asked.push_back(t);
      return growing(t);
    };
    Optimizer by_schedule(scheduled), by_hand(options), unchanged(options);
    (by_hand.*set)(growing(0));
    (unchanged.*set)(growing(0));
    Vector<Scalar> a = run.start, b = a, c = a;
    for (std::uint64_t t = 0; t < 5; ++t) {
      (by_hand.*set)(growing(t));
      by_schedule.step(a, run.gradients[t]);
      by_hand.step(b, run.gradients[t]);
      unchanged.step(c, run.gradients[t]);
    }
    errors.expect(same_vectors(a, b), setting, "by a schedule goes elsewhere than when it is set");
    errors.expect(!same_vectors(a, c), setting, "by a schedule changes nothing");
    errors.expect(asked == std::vector<std::uint64_t>{0, 1, 2, 3, 4}, setting, "is not asked once a step");
  }
  errors.check();
}

/// What a schedule gives is checked in the step that meets it, which then changes nothing, and a number when it is set.
/// Options for blocks need as many blocks.
template <class Optimizer, class Options>
void check_refusals(const std::string& name) {
  using Scalar = typename Optimizer::scalar_type;
  Errors errors(name);
  const auto expect_error = [&](const std::string& expected, const std::string& error) {
    errors.expect(error == "invalid_argument: polyak::" + name + ": " + expected, error);
  };
  Run<Scalar> run(3);
  for (const auto& [setting, option, read, set] : settings<Optimizer>()) {
    const std::string rule = std::string(setting) + " must be finite and >= 0, got ";
    Optimizer optimizer(Options{});
    for (const double bad : {-1.0, support::infinity, support::not_a_number}) {
      expect_error(rule + polyak::detail::to_text(bad), error_of([&, set = set] { (optimizer.*set)(bad); }));
    }
    errors.expect((optimizer.*read)() == (Options{}.*option)(0), setting, "is set though it is refused");

    for (const double bad : {-0.5, support::infinity, support::not_a_number}) {
      Options scheduled;
      scheduled.*option = [bad](std::uint64_t t) { return t == 2 ? bad : 0.5; };
      Optimizer fails(scheduled);
      fails.step(run.start, run.gradients[0]);
      fails.step(run.start, run.gradients[1]);
      Optimizer before = fails;
      const Vector<Scalar> theta = run.start;
      expect_error(rule + polyak::detail::to_text(bad), error_of([&] { fails.step(run.start, run.gradients[2]); }));
      errors.expect(same_vectors(run.start, theta), setting, "moves though the step is refused");
      errors.expect(fails.steps() == 2, setting, "counts though the step is refused");
      (fails.*set)(0.5);
      (before.*set)(0.5);
      Vector<Scalar> other = theta;
      fails.step(run.start, run.gradients[2]);
      before.step(other, run.gradients[2]);
      errors.expect(same_vectors(run.start, other), setting, "changes the state though the step is refused");
    }
  }

  Options grouped;
  grouped.blocks = {{}, {}};
  Optimizer two(grouped);
  expect_error("options for each block need as many blocks, 2, got 1",
               error_of([&] { two.step(run.start, run.gradients[0]); }));
  errors.expect(two.steps() == 0, "a step of too few blocks counts");
  errors.check();
}

}  // namespace checks
