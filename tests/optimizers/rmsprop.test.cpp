#include <polyak/optimizers/rmsprop.hpp>

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "checks.hpp"

using namespace polyak;
using checks::check_path;
using checks::path;

namespace {

using Values = std::vector<double>;

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them.

TEMPLATE_TEST_CASE("RMSprop follows its formula", "", POLYAK_TEST_SCALARS) {
  // v = g²/4, step 2/(1 + 1)
  CHECK(path(RMSprop<TestType>{{.learning_rate = 0.5, .alpha = 0.75, .epsilon = 1}}, 8, {2}) == Values{7.5});
  CHECK(path(RMSprop<TestType>{{.learning_rate = 0}}, 8, {2, 3}) == Values{8, 8});
  // v = 8, then 4 + 7²/2 = 57/2
  check_path(RMSprop<TestType>{{.learning_rate = 1, .alpha = 0.5, .epsilon = 0}}, 10, {4, 7},
             {10 - std::sqrt(2.0), 10 - std::sqrt(2.0) - 7 / std::sqrt(28.5)});

  SECTION("weight decay") {
    // g = 2 + 8/4 = 4, √v = 4, step 4/(4 + 4)
    CHECK(path(RMSprop<TestType>{{.learning_rate = 1, .alpha = 0, .epsilon = 4, .weight_decay = 0.25}}, 8, {2}) ==
          Values{7.5});
  }
  SECTION("momentum") {
    // b = 2/(2 + 2), then 1/4 + 6/(6 + 2)
    const RMSpropOptions options{.learning_rate = 0.5, .alpha = 0, .epsilon = 2, .momentum = 0.5};
    CHECK(path(RMSprop<TestType>(options), 8, {2, 6}) == Values{7.75, 7.25});
  }
  SECTION("centered") {
    // v = 8, m = 2, √(8 − 4) = 2; then v = 17/2, m = 5/2, √(9/4) = 3/2
    const RMSpropOptions options{.learning_rate = 0.5, .alpha = 0.5, .epsilon = 0, .centered = true};
    CHECK(path(RMSprop<TestType>(options), 8, {4, 3}) == Values{7, 6});
  }
  SECTION("centered, with momentum") {
    // b = 2, then 1 + 2
    const RMSpropOptions options{.learning_rate = 0.5, .alpha = 0.5, .epsilon = 0, .momentum = 0.5, .centered = true};
    CHECK(path(RMSprop<TestType>(options), 8, {4, 3}) == Values{7, 5.5});
  }
}

TEST_CASE("RMSprop's momentum is warmed up, and rests where it is 0") {
  const auto with_momentum = [](Hyperparameter momentum) {
    return RMSprop<>{{.learning_rate = 0.5, .alpha = 0, .epsilon = 2, .momentum = std::move(momentum)}};
  };
  // g / (|g| + 2) = 1/2, 3/4, 1/2. μ = 0, 1/4, 1/2: b = –, 3/4, 3/8 + 1/2
  CHECK(path(with_momentum(LinearWarmup{{.start_factor = 0, .steps = 2, .then = 0.5}}), 8, {2, 6, 2}) ==
        Values{7.75, 7.375, 6.9375});
  // μ = 1/2, 0, 1/2: b = 1/2, –, 1/4 + 1/2
  const auto rests = [](std::uint64_t t) { return t == 1 ? 0 : 0.5; };
  CHECK(path(with_momentum(rests), 8, {2, 6, 2}) == Values{7.75, 7.375, 7});
  // A number that is set, and taken back.
  RMSprop<> rmsprop = with_momentum(0);
  Eigen::VectorXd theta{{8}};
  const auto step = [&](double g) {
    rmsprop.step(theta, Eigen::VectorXd{{g}});
    return theta[0];
  };
  CHECK(step(2) == 7.75);
  rmsprop.set_momentum(0.5);
  CHECK(rmsprop.momentum() == 0.5);
  CHECK(step(6) == 7.375);   // b = 3/4
  CHECK(step(2) == 6.9375);  // b = 3/8 + 1/2
  rmsprop.reset();
  theta[0] = 8;
  CHECK(step(2) == 7.75);  // b = 1/2, whatever it was
  CHECK(step(2) == 7.375);
}

TEST_CASE("RMSprop's weight decay comes from a schedule") {
  // g = 2 + 8/4 = 4, then 1/2 + 7/2: steps of 4/(4 + 4)
  const auto rises = [](std::uint64_t t) { return t == 0 ? 0.25 : 0.5; };
  const RMSprop<> rmsprop{{.learning_rate = 2, .alpha = 0, .epsilon = 4, .weight_decay = rises}};
  CHECK(path(rmsprop, 8, {2, 0.5}) == Values{7, 6});
}

TEST_CASE("the defaults of RMSprop are those of torch") {
  const RMSpropOptions options;
  CHECK(options.learning_rate(0) == 0.01);
  CHECK(options.alpha == 0.99);
  CHECK(options.epsilon == 1e-8);
  CHECK(options.weight_decay(0) == 0);
  CHECK(options.momentum(0) == 0);
  CHECK(!options.centered);
  CHECK(RMSprop{}.options().alpha == 0.99);
}

TEMPLATE_TEST_CASE("a gradient that does not change has no deviation, not a root of less than 0", "",
                   POLYAK_TEST_SCALARS) {
  // v − m² is 0 but for rounding, which may leave it on either side.
  for (const double alpha : {0.5, 0.9, 0.99}) {
    for (const double g : {0.1, 0.3, 1.7, 3.3}) {
      RMSprop<TestType> centered{{.learning_rate = 1e-9, .alpha = alpha, .epsilon = 1, .centered = true}};
      Eigen::Matrix<TestType, 1, 1> theta(TestType(1));
      const Eigen::Matrix<TestType, 1, 1> gradient(static_cast<TestType>(g));
      for (int t = 0; t < 4000; ++t) centered.step(theta, gradient);
      INFO("alpha " << alpha << ", gradient " << g);
      CHECK(std::abs(static_cast<double>(theta[0]) - 1) < 1e-4);
    }
  }
}

TEST_CASE("where rounding leaves less than no deviation, there is none") {
  for (int i = 1; i <= 50; ++i) {
    const double g = 0.1 * i;
    RMSprop centered{{.learning_rate = 1, .alpha = 0.9, .epsilon = 1024, .centered = true}};
    Eigen::VectorXd theta{{0}};
    for (int t = 0; t < 1000; ++t) centered.step(theta, Eigen::VectorXd{{g}});
    theta[0] = 0;
    centered.step(theta, Eigen::VectorXd{{g}});
    INFO("gradient " << g);
    CHECK(support::close(theta[0], -g / 1024, 1e-9));
  }
}

TEST_CASE("RMSprop takes what cannot be as it comes") {
  for (const bool centered : {false, true}) {
    for (const double momentum : {0.0, 0.5}) {
      RMSprop<double> rmsprop{{.momentum = momentum, .centered = centered}};
      Eigen::VectorXd theta{{1, 2, 3}};
      rmsprop.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, 1}});
      CHECK(std::isnan(theta[0]));
      CHECK(std::isnan(theta[1]));
      CHECK(theta[2] < 3);
    }
  }
}
