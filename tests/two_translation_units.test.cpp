#include "two_translation_units.hpp"

#include "catch.hpp"
#include "support.hpp"

// That this links says that no header defines anything twice.

using namespace two_translation_units;

TEST_CASE("two translation units share one polyak") {
  const View here = view();
  const View there = view_of_the_other_unit();
  CHECK(here.throwing_helper == there.throwing_helper);
  CHECK(here.shared_constant == there.shared_constant);
  CHECK(*here.gain == *there.gain);
  CHECK(*here.optimizer == *there.optimizer);
}

TEST_CASE("an optimizer steps alike in two translation units") {
  Optimizer travels = make_in_the_other_unit();
  Optimizer stays = travels;
  Eigen::VectorXd theta = support::Random(60).vector(700);
  Eigen::VectorXd twin = theta;
  for (int t = 0; t < 6; ++t) {
    stays.step(twin, twin);
    if (t % 2 == 0) {
      step_in_the_other_unit(travels, theta, theta);
    } else {
      travels.step(theta, theta);
    }
    REQUIRE(support::same_bits(theta, twin));
    REQUIRE(support::same_bits(travels.average<0>(), stays.average<0>()));
  }
  CHECK(travels.averager<1>().count() == 3);
}
