#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/lookahead.hpp>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "optimizers/checks.hpp"

using namespace polyak;
using checks::path;
using Eigen::VectorXd;
using support::error_of;
using support::whole_step;

namespace {

using Values = std::vector<double>;

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them.

TEMPLATE_TEST_CASE("Lookahead follows its formula", "", POLYAK_TEST_SCALARS) {
  const Sgd<TestType> sgd{{.learning_rate = 1}};
  // φ = 8; θ = 7, 4: φ = 6; θ = 5, 1: φ = 7/2
  CHECK(path(Lookahead{sgd, {.every = 2, .alpha = 0.5}}, 8, {1, 3, 1, 4}) == Values{7, 6, 5, 3.5});
  CHECK(path(Lookahead{sgd, {.every = 2, .alpha = 0.25}}, 8, {1, 3, 1, 2}) == Values{7, 7, 6, 6.25});
  CHECK(path(Lookahead{sgd, {.every = 3, .alpha = 0.5}}, 8, {1, 1, 1, 1}) == Values{7, 6, 6.5, 5.5});
  CHECK(path(Lookahead{sgd, {.every = 1, .alpha = 0.5}}, 8, {1, 1}) == Values{7.5, 7});
  CHECK(path(Lookahead{sgd, {.every = 2, .alpha = 1}}, 8, {1, 3, 1}) == Values{7, 4, 3});
  // By default the fifth step is halved.
  CHECK(path(Lookahead{sgd}, 8, {1, 1, 1, 1, 2, 1}) == Values{7, 6, 5, 4, 5, 4});
}

TEST_CASE("Lookahead keeps the slow weights of 16-bit scalars in float") {
  // Each synchronisation moves the slow weight by 2^-10 of itself, which a bfloat16 does not have; after 16 of them it
  // shows.
  Lookahead lookahead{Sgd<Eigen::bfloat16>{{.learning_rate = 1}}, {.every = 1, .alpha = 0.125}};
  Eigen::Matrix<Eigen::bfloat16, 1, 1> theta(Eigen::bfloat16(1));
  for (int t = 0; t < 16; ++t) {
    theta[0] = Eigen::bfloat16(1);
    lookahead.step(theta, Eigen::Matrix<Eigen::bfloat16, 1, 1>(Eigen::bfloat16(0.5)));
  }
  // φ ← φ + (1/2 − φ)/8
  CHECK(static_cast<double>(theta[0]) == static_cast<double>(Eigen::bfloat16(0.5 + 0.5 * std::pow(0.875, 16))));
}

TEST_CASE("Lookahead leaves the state of its optimizer alone") {
  // v = 1, 3/2: θ = 7, 11/2, φ = 27/4; v = 7/4.
  CHECK(path(Lookahead{Sgd{{.learning_rate = 1, .momentum = 0.5}}, {.every = 2}}, 8, {1, 1, 1}) == Values{7, 6.75, 5});
}

TEST_CASE("Lookahead around an optimizer that steps whole is the same") {
  const checks::Run<double> run(70);
  const Adam<double> adam{{.learning_rate = 0.1}};
  Lookahead in_slices{adam, {.every = 2}};
  Lookahead by_whole{whole_step(adam), {.every = 2}};
  VectorXd a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    CHECK(in_slices.step(a, g));
    CHECK(by_whole.step(b, g));
    CHECK(checks::same_vectors(a, b));
  }
  CHECK(in_slices.steps() == 5);
  CHECK(by_whole.steps() == 5);

  std::vector<VectorXd> blocks{run.start.head(20), run.start.tail(50)};
  Lookahead of_set{whole_step(adam), {.every = 2}};
  for (const auto& g : run.gradients) of_set.step(blocks, std::vector<VectorXd>{g.head(20), g.tail(50)});
  CHECK(blocks[0] == a.head(20));
  CHECK(blocks[1] == a.tail(50));

  Eigen::VectorXf narrow = run.start.cast<float>();
  Lookahead<decltype(whole_step(Sgd<float>{})), float> named{whole_step(Sgd<float>{{.learning_rate = 1}}),
                                                             {.every = 1}};
  const Eigen::VectorXf g = run.gradients[0].cast<float>();
  const Eigen::VectorXf before = narrow;
  named.step(narrow, g);
  CHECK(support::largest((before - g / 2) - narrow) < 1e-6f);
}

TEST_CASE("Lookahead counts the steps that were taken") {
  bool takes = true;
  Lookahead lookahead{[&](VectorXd& theta, const VectorXd& gradient) {
                        if (takes) theta -= gradient;
                        return takes;
                      },
                      {.every = 2}};
  VectorXd theta{{8}};
  const VectorXd one{{1}};
  CHECK(lookahead.step(theta, one));
  takes = false;
  CHECK_FALSE(lookahead.step(theta, one));
  CHECK(lookahead.steps() == 1);
  CHECK(theta[0] == 7);
  takes = true;
  CHECK(lookahead.step(theta, one));
  CHECK(theta[0] == 7);  // half way to 6
  CHECK(lookahead.steps() == 2);
}

// The moves of Adam have a square root in their middle.
TEMPLATE_TEST_CASE("Lookahead around Adam is the same for every size and average", "", float, double, Eigen::half) {
  checks::check_sizes("Lookahead of Adam",
                      Lookahead{Adam<TestType>{{.learning_rate = 0.1}}, {.every = 2, .alpha = 0.75}});
}

TEST_CASE("an average around Lookahead sees where it goes back to, one inside where the optimizer went") {
  Averaged around{Lookahead{Sgd{{.learning_rate = 1}}, {.every = 2}}, TailAverage{}};
  Lookahead inside{Averaged{Sgd{{.learning_rate = 1}}, TailAverage{}}, {.every = 2}};
  VectorXd a{{8}}, b{{8}};
  for (const double g : {1.0, 3.0, 1.0, 4.0}) {
    around.step(a, VectorXd{{g}});
    inside.step(b, VectorXd{{g}});
  }
  CHECK(a[0] == 3.5);
  CHECK(b[0] == 3.5);
  CHECK(around.average()[0] == (7 + 6 + 5 + 3.5) / 4);
  CHECK(inside.optimizer().average()[0] == (7 + 4 + 5 + 1) / 4.0);
}

TEST_CASE("a step of Lookahead that throws changes nothing") {
  bool fails = false;
  const auto rate = [&](std::uint64_t) {
    if (fails) throw std::runtime_error("no rate");
    return 1.0;
  };
  Lookahead lookahead{Sgd{{.learning_rate = rate}}, {.every = 2}};
  VectorXd theta{{8}};
  const VectorXd one{{1}}, three{{3}};
  fails = true;
  CHECK_THROWS_WITH(lookahead.step(theta, one), "no rate");
  CHECK(lookahead.steps() == 0);
  theta[0] = 9;  // not yet where the slow weights start
  fails = false;
  lookahead.step(theta, one);
  fails = true;
  CHECK_THROWS_WITH(lookahead.step(theta, three), "no rate");
  CHECK(theta[0] == 8);
  CHECK(lookahead.steps() == 1);
  fails = false;
  lookahead.step(theta, three);
  CHECK(theta[0] == 7);
}

TEST_CASE("Lookahead can be copied and reset") {
  Lookahead lookahead{Sgd{{.learning_rate = 1}}, {.every = 2}};
  VectorXd theta{{8}};
  const VectorXd one{{1}};
  lookahead.step(theta, one);
  auto copy = lookahead;
  lookahead.reset();
  CHECK(lookahead.steps() == 0);
  CHECK(lookahead.optimizer().steps() == 0);
  VectorXd other = theta;
  copy.step(theta, one);
  CHECK(theta[0] == 7);
  lookahead.step(other, one);  // starts again, from 7
  CHECK(other[0] == 6);
  lookahead.step(other, one);
  CHECK(other[0] == 6);
  lookahead.reset();
  VectorXd longer = VectorXd::Ones(3);
  lookahead.step(longer, longer);
  CHECK(longer == VectorXd::Zero(3));
}

TEST_CASE("the defaults of Lookahead are those of its authors") {
  CHECK(Lookahead{Sgd{}}.options().every == 5);
  CHECK(Lookahead{Sgd{}}.options().alpha == 0.5);
}

TEST_CASE("Lookahead refuses an optimizer that changes the number of weights") {
  Lookahead lookahead{[](auto& weights, const auto&) { weights.resize(100, 1.0); }, {.every = 1}};
  std::vector<double> theta(3, 1.0);
  const std::vector<double> gradient(3, 1.0);
  CHECK(error_of([&] { lookahead.step(theta, gradient); }) ==
        "logic_error: polyak::Lookahead: the optimizer changed the number of parameters");
}

TEST_CASE("slow weights of a frozen block are what its weights are") {
  VectorXd frozen = VectorXd::Zero(1), other = VectorXd::Zero(1);
  const VectorXd none = VectorXd::Zero(1);
  Lookahead lookahead{Sgd{{.blocks = {{.frozen = true}, {}}}}, {.every = 2}};
  lookahead.step(ParameterSet{frozen, other}, ParameterSet{none, none});
  frozen[0] = 100;  // a statistic, or a layer that was loaded
  lookahead.step(ParameterSet{frozen, other}, ParameterSet{none, none});
  frozen[0] = 200;
  lookahead.step(ParameterSet{frozen, other}, ParameterSet{none, none});
  lookahead.optimizer().set_frozen(0, false);
  for (int t = 0; t < 4; ++t) lookahead.step(ParameterSet{frozen, other}, ParameterSet{none, none});
  CHECK(frozen[0] == 200);
}
