#include <polyak/optimizers/lion.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include "checks.hpp"

using namespace polyak;
using checks::path;

namespace {

using Values = std::vector<double>;

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them.

TEMPLATE_TEST_CASE("Lion follows its formula", "", POLYAK_TEST_SCALARS) {
  const LionOptions options{.learning_rate = 0.25, .beta1 = 0.5, .beta2 = 0.75};
  // m = 0, 1/2, 5/16, −1/64, -1/64·3/4: the second step goes on although its gradient has turned (1/4 − 1/8 > 0), the
  // third turns (5/32 − 1/2 < 0); the last follows the momentum alone.
  CHECK(path(Lion<TestType>(options), 8, {2, -0.25, -1, 0}) == Values{7.75, 7.5, 7.75, 8});
  // Of the gradient only the sign counts, once there is no momentum in the step.
  auto sign = options;
  sign.beta1 = 0;
  CHECK(path(Lion<TestType>(sign), 8, {1000, -0.001, 0, -7}) == Values{7.75, 8, 8, 8.25});

  SECTION("weight decay shrinks the weight by the rate times it") {
    // 7/8 · 8 − 1/4, 7/8 · 27/4 − 1/4
    auto decayed = options;
    decayed.weight_decay = 0.5;
    CHECK(path(Lion<TestType>(decayed), 8, {2, -0.25}) == Values{6.75, 5.65625});
    // Also where nothing pulls.
    CHECK(path(Lion<TestType>(decayed), 8, {0}) == Values{7});
  }
}

TEST_CASE("Lion's weight decay comes from a schedule") {
  // 7/8 · 8 − 1/4, then 3/4 · 27/4 − 1/4
  const Lion<> lion{{.learning_rate = 0.25, .beta1 = 0.5, .beta2 = 0.75, .weight_decay = [](std::uint64_t t) {
                       return t == 0 ? 0.5 : 1;
                     }}};
  CHECK(path(lion, 8, {2, -0.25}) == Values{6.75, 4.8125});
}

TEST_CASE("the defaults of Lion are those of its authors") {
  const LionOptions options;
  CHECK(options.learning_rate(0) == 0.0001);
  CHECK(options.beta1 == 0.9);
  CHECK(options.beta2 == 0.99);
  CHECK(options.weight_decay(0) == 0);
  CHECK(Lion{}.options().beta2 == 0.99);
}

TEST_CASE("Lion does not hide a gradient that is not a number") {
  Lion<double> lion;
  Eigen::VectorXd theta{{1, 2, 3}};
  lion.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, -1}});
  CHECK(std::isnan(theta[0]));
  CHECK(theta[1] == 2 - 0.0001);
  CHECK(theta[2] == 3 + 0.0001);
}
