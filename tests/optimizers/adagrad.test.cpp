#include <polyak/optimizers/adagrad.hpp>

#include <cmath>
#include <vector>

#include "checks.hpp"

using namespace polyak;
using checks::check_path;
using checks::path;

namespace {

using Values = std::vector<double>;

}  // namespace

TEMPLATE_TEST_CASE("Adagrad follows its formula", "", POLYAK_TEST_SCALARS) {
  // √s = 3, then √(9 + 16) = 5, then √(25 + 144) = 13; exact where the quotient is
  CHECK(path(Adagrad<TestType>{{.learning_rate = 0.5, .epsilon = 3}}, 8, {3, 4}) == Values{7.75, 7.5});
  check_path(Adagrad<TestType>{{.learning_rate = 1, .epsilon = 0}}, 8, {3, 4, 12}, {7, 6.2, 6.2 - 12.0 / 13});
  CHECK(path(Adagrad<TestType>{{.learning_rate = 0}}, 8, {2, 3}) == Values{8, 8});

  SECTION("the sum of squares may start above 0") {
    // √(16 + 9) + 1 = 6
    CHECK(path(Adagrad<TestType>{{.learning_rate = 1, .initial_accumulator = 16, .epsilon = 1}}, 8, {3}) ==
          Values{7.5});
  }
  SECTION("weight decay") {
    // g = 1 + 8/4 = 3
    CHECK(path(Adagrad<TestType>{{.learning_rate = 0.5, .weight_decay = 0.25, .epsilon = 3}}, 8, {1}) == Values{7.75});
  }
  SECTION("the rate falls with the steps") {
    // 1/2 · 3/(3 + 3), then 1/4 · 4/(5 + 3)
    CHECK(path(Adagrad<TestType>{{.learning_rate = 0.5, .learning_rate_decay = 1, .epsilon = 3}}, 8, {3, 4}) ==
          Values{7.75, 7.625});
  }
}

TEST_CASE("the defaults of Adagrad are those of torch") {
  const AdagradOptions options;
  CHECK(options.learning_rate(0) == 0.01);
  CHECK(options.learning_rate_decay == 0);
  CHECK(options.weight_decay(0) == 0);
  CHECK(options.initial_accumulator == 0);
  CHECK(options.epsilon == 1e-10);
  CHECK(Adagrad{}.options().epsilon == 1e-10);
}

TEST_CASE("Adagrad takes what cannot be as it comes") {
  Adagrad<double> adagrad;
  Eigen::VectorXd theta{{1, 2, 3}};
  adagrad.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, 1}});
  CHECK(std::isnan(theta[0]));
  CHECK(std::isnan(theta[1]));
  CHECK(theta[2] < 3);
}
