#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/clip_norm.hpp>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "optimizers/checks.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::infinity;
using support::not_a_number;
using support::whole_step;

TEST_CASE("ClipNorm scales a gradient that is longer than allowed") {
  ClipNorm clip{Sgd{{.learning_rate = 1}}, {.max_norm = 2.5}};
  VectorXd theta{{10, 20}};
  CHECK(clip.norm() == 0);
  CHECK(clip.step(theta, VectorXd{{3, -4}}));
  CHECK(clip.norm() == 5);
  CHECK(clip.clipped() == 1);
  const double scale = 2.5 / (5 + 1e-6);
  CHECK(theta == VectorXd{{10 - scale * 3, 20 + scale * 4}});

  // Shorter ones stay as they are.
  theta = VectorXd{{10, 20}};
  CHECK(clip.step(theta, VectorXd{{1.5, -2}}));  // 2.5 + 1e-6 is a hair too long
  CHECK(clip.clipped() == 2);
  CHECK(close(theta[0], 8.5, 1e-6));
  theta = VectorXd{{10, 20}};
  CHECK(clip.step(theta, VectorXd{{1.2, -1.6}}));
  CHECK(clip.norm() == 2);
  CHECK(clip.clipped() == 2);
  CHECK(theta == VectorXd{{8.8, 21.6}});
  CHECK(clip.step(theta, VectorXd{{0, 0}}));
  CHECK(clip.norm() == 0);
  CHECK(theta == VectorXd{{8.8, 21.6}});
}

TEST_CASE("ClipNorm's norm is that of all blocks together") {
  std::vector<VectorXd> theta{VectorXd::Zero(1), VectorXd::Zero(2), VectorXd::Zero(1)};
  const std::vector<VectorXd> gradient{VectorXd{{1}}, VectorXd{{-2, 4}}, VectorXd{{2}}};
  ClipNorm clip{Sgd{{.learning_rate = 1}}, {.max_norm = 1}};
  clip.step(theta, gradient);
  CHECK(clip.norm() == 5);
  CHECK(theta[1][1] == -4 * (1 / (5 + 1e-6)));
}

TEST_CASE("ClipNorm sums the squares of narrow scalars in double") {
  const Eigen::Index n = 300'000;
  Eigen::VectorXf theta = Eigen::VectorXf::Zero(n);
  const Eigen::VectorXf gradient = Eigen::VectorXf::Constant(n, 0.1f);
  ClipNorm clip{Sgd<float>{}, {.max_norm = 1e9}};
  clip.step(theta, gradient);
  CHECK(close(clip.norm(), static_cast<double>(0.1f) * std::sqrt(static_cast<double>(n)), 1e-12));

  Eigen::Matrix<Eigen::half, Eigen::Dynamic, 1> halves(1000);
  halves.setConstant(Eigen::half(60000));  // whose square no half and no sum of them can hold
  ClipNorm of_half{Sgd<Eigen::half>{{.learning_rate = 1}}, {.max_norm = 1}};
  of_half.step(halves, halves);
  CHECK(close(of_half.norm(), 60000 * std::sqrt(1000.0), 1e-14));
  CHECK(static_cast<double>(halves[0]) == 60000);  // less 0.03

  // And of long double in long double.
  Eigen::Matrix<long double, Eigen::Dynamic, 1> huge(2);
  huge << 3e300L, 4e300L;
  Eigen::Matrix<long double, Eigen::Dynamic, 1> weights(2);
  weights << 0, 0;
  ClipNorm of_long{Sgd<long double>{{.learning_rate = 1}}, {.max_norm = 5}};
  of_long.step(weights, huge);
  CHECK(close(of_long.norm(), 5e300));
  CHECK(close(static_cast<double>(weights[1]), -4));
}

TEST_CASE("ClipNorm's norm has the digits it should") {
  for (const Eigen::Index n : {1, 31, 32, 33, 100, 4097}) {
    const checks::Run<double> run(n);
    VectorXd theta = run.start;
    ClipNorm clip{Sgd{}};
    long double squares = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const long double g = run.gradients[0][i];
      squares += g * g;
    }
    clip.step(theta, run.gradients[0]);
    CHECK(close(clip.norm(), static_cast<double>(std::sqrt(squares)), 1e-15));
  }
}

TEMPLATE_TEST_CASE("ClipNorm hands on the scaled gradient, rounded once", "", float, double, long double) {
  using Vector = checks::Vector<TestType>;
  const checks::Run<TestType> run(100);
  ClipNorm clip{Adam<TestType>{{.learning_rate = 0.1}}, {.max_norm = 3}};
  Adam<TestType> adam{{.learning_rate = 0.1}};
  Vector a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    clip.step(a, g);
    const auto scale = static_cast<TestType>(3 / (clip.norm() + 1e-6));
    REQUIRE(scale < 1);
    adam.step(b, Vector(g * scale));
  }
  CHECK(checks::same_vectors(a, b));
}

TEST_CASE("a gradient that is short enough reaches the optimizer bit by bit") {
  const checks::Run<double> run(100);
  ClipNorm clip{Adam{}, {.max_norm = 1e6}};
  Adam adam;
  VectorXd a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    clip.step(a, g);
    adam.step(b, g);
  }
  CHECK(checks::same_vectors(a, b));
  CHECK(clip.clipped() == 0);
}

TEST_CASE("ClipNorm hides no gradient that is not finite") {
  // As torch: NaN times anything, and infinity times 0.
  for (const bool by_whole : {false, true}) {
    VectorXd theta{{1, 2, 3}};
    const auto check = [&](auto clip) {
      CHECK(clip.step(theta, VectorXd{{0.5, not_a_number, 1}}));
      CHECK(std::isnan(clip.norm()));
      for (const double x : theta) CHECK(std::isnan(x));
      theta = VectorXd{{1, 2, 3}};
      CHECK(clip.step(theta, VectorXd{{0.5, -infinity, 1}}));
      CHECK(clip.norm() == infinity);
      CHECK(theta[0] == 1);
      CHECK(std::isnan(theta[1]));
      CHECK(theta[2] == 3);
    };
    if (by_whole) {
      check(ClipNorm{whole_step(Sgd{})});
    } else {
      check(ClipNorm{Sgd{}});
    }
  }
}

TEST_CASE("ClipNorm around an optimizer that steps whole is the same") {
  const checks::Run<double> run(70);
  const Adam<double> adam{{.learning_rate = 0.1}};
  ClipNorm in_slices{adam, {.max_norm = 8}};
  ClipNorm by_whole{whole_step(adam), {.max_norm = 8}};
  VectorXd a = run.start, b = run.start;
  for (const auto& g : run.gradients) {
    CHECK(in_slices.step(a, g));
    CHECK(by_whole.step(b, g));
    CHECK(in_slices.norm() == by_whole.norm());
  }
  CHECK(checks::same_vectors(a, b));
  CHECK(in_slices.clipped() == by_whole.clipped());
  CHECK(in_slices.clipped() > 0);
  CHECK(in_slices.clipped() < 5);
}

TEST_CASE("a step of ClipNorm that throws counts for nothing") {
  bool fails = false;
  ClipNorm clip{Sgd{{.learning_rate =
                         [&](std::uint64_t) {
                           if (fails) throw std::runtime_error("no rate");
                           return 0.5;
                         }}},
                {.max_norm = 1}};
  VectorXd theta{{1, 1}};
  clip.step(theta, VectorXd{{3, 4}});
  const VectorXd before = theta;
  fails = true;
  CHECK_THROWS_WITH(clip.step(theta, VectorXd{{30, 40}}), "no rate");
  CHECK(theta == before);
  CHECK(clip.norm() == 5);
  CHECK(clip.clipped() == 1);
  CHECK(clip.optimizer().steps() == 1);
}

TEST_CASE("ClipNorm is copied and reset") {
  CHECK(ClipNorm{Sgd{}}.options().max_norm == 1);

  ClipNorm clip{Sgd{}, {.max_norm = 2}};
  VectorXd theta{{3, 4}};
  clip.step(theta, theta);
  const auto copy = clip;
  clip.reset();
  CHECK(copy.norm() == 5);
  CHECK(copy.clipped() == 1);
  CHECK(copy.optimizer().steps() == 1);
  CHECK(clip.norm() == 0);
  CHECK(clip.clipped() == 0);
  CHECK(clip.optimizer().steps() == 0);
  CHECK(clip.options().max_norm == 2);
}
