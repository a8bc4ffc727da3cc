#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/clip_value.hpp>

#include <cmath>
#include <vector>

#include "optimizers/checks.hpp"

using namespace polyak;
using checks::path;
using Eigen::VectorXd;
using support::infinity;
using support::not_a_number;
using support::whole_step;

TEMPLATE_TEST_CASE("ClipValue clamps every coordinate of the gradient", "", POLYAK_TEST_SCALARS) {
  const ClipValue clip{Sgd<TestType>{{.learning_rate = 0.5}}, {.max_value = 1.5}};
  CHECK(path(clip, 8, {1, 1.5, 2, -1, -1.5, -100, 0}) == std::vector<double>{7.5, 6.75, 6, 6.5, 7.25, 8, 8});
  const double inf = infinity;
  CHECK(path(clip, 8, {inf, -inf}) == std::vector<double>{7.25, 8});
}

TEST_CASE("ClipValue lets what is not a number through") {
  ClipValue clip{Sgd{{.learning_rate = 1}}};
  VectorXd theta{{1, 2, 3}};
  CHECK(clip.step(theta, VectorXd{{not_a_number, infinity, -0.5}}));
  CHECK(std::isnan(theta[0]));
  CHECK(theta[1] == 1);
  CHECK(theta[2] == 3.5);
}

TEST_CASE("ClipValue clips what momentum and decay are made of, not what they make") {
  // v = 1, then 1/2 + 1
  ClipValue clip{Sgd{{.learning_rate = 1, .momentum = 0.5}}, {.max_value = 1}};
  CHECK(path(clip, 8, {5, 7}) == std::vector<double>{7, 5.5});
  // d = 1 + 8/4
  ClipValue decayed{Sgd{{.learning_rate = 1, .weight_decay = 0.25}}, {.max_value = 1}};
  CHECK(path(decayed, 8, {5}) == std::vector<double>{5});
}

TEST_CASE("ClipValue around an optimizer that steps whole is the same") {
  const checks::Run<double> run(70);
  const Adam<double> adam{{.learning_rate = 0.1}};
  ClipValue in_slices{adam, {.max_value = 0.5}};
  ClipValue by_whole{whole_step(adam), {.max_value = 0.5}};
  VectorXd a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    CHECK(in_slices.step(a, g));
    CHECK(by_whole.step(b, g));
  }
  CHECK(checks::same_vectors(a, b));
  CHECK(a != run.start);

  // Where it says so, no step was taken.
  ClipValue refuses{[](VectorXd&, const VectorXd&) { return false; }};
  CHECK_FALSE(refuses.step(a, b));
  ClipValue says_nothing{[](VectorXd&, const VectorXd&) {}};
  CHECK(says_nothing.step(a, b));
}

TEST_CASE("ClipValue forgets nothing of its own") {
  CHECK(ClipValue{Sgd{}}.options().max_value == 1);

  ClipValue clip{Sgd{{.learning_rate = 0.5}}, {.max_value = 2}};
  VectorXd theta{{1}};
  clip.step(theta, theta);
  CHECK(clip.optimizer().steps() == 1);
  CHECK(clip.options().max_value == 2);
  clip.optimizer().set_learning_rate(0.25);
  clip.reset();
  CHECK(clip.optimizer().steps() == 0);
  CHECK(clip.optimizer().learning_rate() == 0.25);
  ClipValue of_lambda{[](auto&, const auto&) {}};
  of_lambda.reset();
}
