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

/// What an optimizer makes of a run of one vector by itself, with averages that are shown each iterate after the step.
template <class Optimizer>
struct Separate {
  using Scalar = typename Optimizer::scalar_type;
  using Shadow = polyak::wide_t<Scalar>;

  Separate(Optimizer optimizer, const Run<Scalar>& run) : theta(run.start) {
    textbook.start_from(theta);
    for (const auto& gradient : run.gradients) {
      CHECK(optimizer.step(theta, gradient));
      ema.update(theta);
      textbook.update(theta);
      tail.update(theta);
      lawa.update(theta);
    }
    moved = !same_vectors(theta, run.start);
  }

  Vector<Scalar> theta;
  polyak::Ema<Shadow> ema{{.decay = 0.9}};
  polyak::Ema<Shadow> textbook{{.decay = 0.5, .bias_correction = false}};
  polyak::TailAverage<Shadow> tail{{.start = 2}};
  polyak::Lawa<Shadow> lawa{{.window = 2}};
  bool moved = false;
};

template <class Optimizer>
bool counts(const Optimizer& optimizer, std::uint64_t steps) {
  if constexpr (requires { optimizer.steps(); }) return optimizer.steps() == steps;
  return true;
}

/// However the weights are held, their bits and those of their averages are the same.
template <class Optimizer>
void check_holders(const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  INFO(name_of<Scalar>());
  const Run<Scalar> run(holders::size);
  const Separate<Optimizer> expected(fresh, run);
  CHECK(expected.moved);
  // Assertions take long to compile, and what follows is compiled for every holder.
  std::string wrong;
  const auto expect = [&wrong](bool good, const char* holder, const char* what) {
    if (!good) wrong += std::string(holder) + ": " + what + '\n';
  };
  const auto check = [&](const char* holder, auto&& params, auto&& gradient, const auto& of_params,
                         const auto& of_gradient) {
    const auto train = [&](auto& optimizer) {
      of_params.write(run.start);
      for (const auto& g : run.gradients) {
        of_gradient.write(g);
        expect(optimizer.step(params, gradient), holder, "a step was not taken");
        expect(same_vectors(of_gradient.read(), g), holder, "a gradient was written to");
      }
      expect(same_vectors(of_params.read(), expected.theta), holder, "other weights");
    };
    if constexpr (std::is_same_v<Scalar, double>) {
      Optimizer alone = fresh;
      train(alone);
      expect(counts(alone, run.gradients.size()), holder, "another count of steps");
    }
    polyak::Averaged averaged{fresh, polyak::Ema{{.decay = 0.9}}, polyak::TailAverage{{.start = 2}}};
    train(averaged);
    expect(counts(averaged.optimizer(), run.gradients.size()), holder, "another count of steps, averaged");
    expect(same_vectors(averaged.template average<0>(), expected.ema.average()), holder, "another Ema");
    expect(same_vectors(averaged.template average<1>(), expected.tail.average()), holder, "another TailAverage");
  };
  // What holds the weights is one thing, the scalar another: all pairs of them are tried with Sgd.
  if constexpr (std::is_same_v<Scalar, double> || std::is_same_v<Optimizer, polyak::Sgd<Scalar>>) {
    holders::for_each<Scalar>(check);
  } else {
    holders::for_each_kind<Scalar>(check);
  }
  CHECK(wrong == "");
}

/// An average in the optimizer's loop is the one that is shown the weights afterwards, at every length the loops and
/// the slices may break at, and with the vector cut anywhere.
template <class Optimizer>
void check_sizes(const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  INFO(name_of<Scalar>());
  constexpr Eigen::Index slice = 4096 / sizeof(Scalar);
  for (const Eigen::Index n :
       {Eigen::Index(0), Eigen::Index(1), Eigen::Index(15), Eigen::Index(31), Eigen::Index(32), Eigen::Index(33),
        Eigen::Index(64), Eigen::Index(95), slice - 1, slice, slice + 1, 2 * slice, 2 * slice + 33}) {
    INFO(n << " coordinates");
    const Run<Scalar> run(n, static_cast<std::uint64_t>(n) + 1);
    const Separate<Optimizer> expected(fresh, run);
    const auto check = [&](auto averaged, auto compare) {
      Vector<Scalar> theta = run.start;
      for (const auto& g : run.gradients) CHECK(averaged.step(theta, g));
      CHECK(same_vectors(theta, expected.theta));
      compare(averaged);

      auto cut = averaged;
      cut.reset();
      theta = run.start;
      using Map = Eigen::Map<Vector<Scalar>>;
      using ConstMap = Eigen::Map<const Vector<Scalar>>;
      const Eigen::Index a = n / 3, b = n - n / 7;
      for (const auto& g : run.gradients) {
        CHECK(cut.step(
            polyak::ParameterSet{Map(theta.data(), a), Map(theta.data() + a, b - a), Map(theta.data() + b, n - b)},
            polyak::ParameterSet{ConstMap(g.data(), a), ConstMap(g.data() + a, b - a), ConstMap(g.data() + b, n - b)}));
      }
      CHECK(same_vectors(theta, expected.theta));
      compare(cut);
    };
    check(polyak::Averaged{fresh, polyak::Ema{{.decay = 0.9}}},
          [&](const auto& averaged) { CHECK(same_vectors(averaged.average(), expected.ema.average())); });
    // A window cannot be folded coordinate by coordinate, and a start must be seen before the step.
    check(polyak::Averaged{fresh, polyak::Ema{{.decay = 0.5, .bias_correction = false}}, polyak::Lawa{{.window = 2}}},
          [&](const auto& averaged) {
            CHECK(same_vectors(averaged.template average<0>(), expected.textbook.average()));
            CHECK(same_vectors(averaged.template average<1>(), expected.lawa.average()));
          });
  }
}

/// In any scalar it goes where it goes in double, but for rounding.
template <class Optimizer, class InDouble>
void check_against_double(Optimizer optimizer, InDouble in_double) {
  using Scalar = typename Optimizer::scalar_type;
  INFO(name_of<Scalar>());
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
  const double error = support::largest(theta.template cast<double>() - expected);
  CHECK(error <= 10 * epsilon * scale);
  CHECK(support::largest(expected) <= 10 * scale);
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
void check_life(const Optimizer& fresh) {
  using Scalar = typename Optimizer::scalar_type;
  const Run<Scalar> run(40), other(40, 8);
  const auto train = [](Optimizer& optimizer, Vector<Scalar> theta, const Run<Scalar>& along, std::size_t from,
                        std::size_t to) {
    for (std::size_t t = from; t < to; ++t) optimizer.step(theta, along.gradients[t]);
    return theta;
  };
  Optimizer whole = fresh;
  const auto expected = train(whole, run.start, run, 0, 5);
  CHECK(whole.steps() == 5);

  Optimizer first = fresh;
  const auto half = train(first, run.start, run, 0, 2);
  Optimizer copy = first;
  Optimizer assigned = fresh;
  train(assigned, other.start, other, 0, 3);
  assigned = first;
  train(first, other.start, other, 2, 5);
  CHECK(copy.steps() == 2);
  CHECK(same_vectors(train(copy, half, run, 2, 5), expected));
  CHECK(same_vectors(train(assigned, half, run, 2, 5), expected));

  copy.reset();
  CHECK(copy.steps() == 0);
  CHECK(same_vectors(train(copy, run.start, run, 0, 5), expected));
  copy.reset();
  const Run<Scalar> longer(77);  // a run of another size
  Optimizer again = fresh;
  CHECK(same_vectors(train(copy, longer.start, longer, 0, 5), train(again, longer.start, longer, 0, 5)));

  copy.set_learning_rate(0);
  CHECK(copy.learning_rate() == 0);
  copy.reset();
  CHECK(copy.learning_rate() == 0);
  copy.set_learning_rate([](std::uint64_t t) { return 0.5 / static_cast<double>(1 + t); });
  CHECK(copy.learning_rate() == 0.5);
  train(copy, run.start, run, 0, 3);
  CHECK(copy.learning_rate() == 0.125);
}

/// Options by block do what two optimizers would, each with its own.
template <class Optimizer, class Options>
void check_blocks(Options options) {
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
  CHECK(same_vectors(a, a_alone));
  CHECK(same_vectors(b, b_alone));
  Optimizer without = plain;
  Vector<Scalar> c = run.start;
  for (const auto& g : run.gradients) without.step(c, g);
  CHECK(!same_vectors(a, c));
}

struct Rule {
  std::string text;
  std::vector<double> good;
  std::vector<double> bad;
};

inline const std::vector<double> not_finite{support::not_a_number, support::infinity, -support::infinity};

inline Rule nonnegative(const std::string& member) {
  return {member + " must be finite and >= 0", {0, 1e-300, 1, 1e300}, {-1e-300, -1}};
}
inline Rule fraction(const std::string& member) {
  return {member + " must be in [0, 1)", {0, 1e-300, 0.5, 0.9999999999999999}, {-1e-300, -1, 1, 1.5}};
}

/// Refuses what breaks the rule, NaN and infinity, with the name, the rule and the value; takes the rest. set(options,
/// value) sets the member.
template <class Optimizer, class Options, class Set>
void check_option(const std::string& name, const Rule& rule, Set set) {
  const auto error = [&](double value) {
    return error_of([&] {
      Options options;
      set(options, value);
      Optimizer optimizer(options);
    });
  };
  for (const double value : rule.good) CHECK(error(value) == "nothing");
  for (const auto* values : {&rule.bad, &not_finite}) {
    for (const double value : *values) {
      const std::string expected = "invalid_argument: " + name + ": " + rule.text + ", got ";
      CHECK(error(value) == expected + polyak::detail::to_text(value));
    }
  }
}

/// The options that all have: the learning rate, as a number, set and from a schedule, and those of blocks.
template <class Optimizer, class Options>
void check_common_options(const std::string& name) {
  const std::string refused = "invalid_argument: " + name + ": ";
  check_option<Optimizer, Options>(name, nonnegative("learning_rate"),
                                   [](Options& o, double x) { o.learning_rate = x; });
  check_option<Optimizer, Options>(name, nonnegative("weight_decay"), [](Options& o, double x) { o.weight_decay = x; });
  check_option<Optimizer, Options>(name, nonnegative("learning_rate_factor of block 1"), [](Options& o, double x) {
    o.blocks = {{}, {.learning_rate_factor = x}};
  });
  check_option<Optimizer, Options>(name, nonnegative("weight_decay_factor of block 0"),
                                   [](Options& o, double x) { o.blocks = {{.weight_decay_factor = x}}; });

  Optimizer optimizer(Options{});
  CHECK(error_of([&] { optimizer.set_learning_rate(-1); }) ==
        refused + "learning_rate must be finite and >= 0, got -1");
  CHECK(error_of([&] { optimizer.set_learning_rate(support::not_a_number); }) ==
        refused + "learning_rate must be finite and >= 0, got nan");
  CHECK(optimizer.learning_rate() == Options{}.learning_rate(0));

  // What a schedule gives is seen in the step that meets it, which then changes nothing.
  using Scalar = typename Optimizer::scalar_type;
  Run<Scalar> run(3);
  Options scheduled;
  scheduled.learning_rate = [](std::uint64_t t) { return t == 2 ? support::not_a_number : 0.5; };
  Optimizer fails(scheduled);
  fails.step(run.start, run.gradients[0]);
  fails.step(run.start, run.gradients[1]);
  Optimizer before = fails;
  const Vector<Scalar> theta = run.start;
  CHECK(error_of([&] { fails.step(run.start, run.gradients[2]); }) ==
        refused + "learning_rate must be finite and >= 0, got nan");
  CHECK(same_vectors(run.start, theta));
  CHECK(fails.steps() == 2);
  fails.set_learning_rate(0.5);
  before.set_learning_rate(0.5);
  Vector<Scalar> other = theta;
  fails.step(run.start, run.gradients[2]);
  before.step(other, run.gradients[2]);
  CHECK(same_vectors(run.start, other));

  Options grouped;
  grouped.blocks = {{}, {}};
  Optimizer two(grouped);
  CHECK(error_of([&] { two.step(run.start, run.gradients[0]); }) ==
        refused + "options for each block need as many blocks, 2, got 1");
  CHECK(two.steps() == 0);
}

}  // namespace checks
