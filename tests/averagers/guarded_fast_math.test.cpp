// This file is compiled with -ffast-math, the others are not. The headers get a namespace of their own here, lest the
// linker take the functions of one side for those of the other.
#define polyak polyak_guarding_with_fast_math
#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "fast_math.hpp"

using namespace polyak;
using fast_math::not_finite;

TEMPLATE_TEST_CASE("with -ffast-math: an iterate that is not finite is left out", "", POLYAK_TEST_SCALARS) {
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  for (const TestType bad : not_finite<TestType>()) {
    for (const Eigen::Index i : {0, 255, 256, 1500, 2099}) {
      using Shadow = wide_t<TestType>;
      Averaged opt{Sgd<TestType>{}, Guarded{Ema{}}, Guarded{Lawa{}}, Guarded{Ema{}, {.non_finite = NonFinite::raise}}};
      Guarded alone{Ema<Shadow>{}};
      Guarded same_width{Ema<TestType>{}};
      Guarded textbook{Ema<Shadow>{{.bias_correction = false}}};
      const Vector gradient = Vector::Constant(2100, TestType(1));
      Vector theta = Vector::Constant(2100, TestType(2));
      textbook.start_from(theta);
      const auto update = [&] {
        alone.update(theta);
        same_width.update(theta);
        textbook.update(theta);
      };
      CHECK(opt.step(theta, gradient));
      update();
      const auto average = opt.template average<0>(), started = textbook.average();
      const auto narrow = same_width.average();
      const Vector before = theta;
      theta[i] = bad;
      std::string message;
      try {
        opt.step(theta, gradient);
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      CHECK(message.find(" in coordinate " + std::to_string(i) + " at step 2") != std::string::npos);
      update();
      CHECK(opt.template average<0>() == average);
      CHECK(opt.template average<1>() == average);
      CHECK(opt.template average<2>() == average);
      CHECK(alone.average() == average);
      CHECK(same_width.average() == narrow);
      CHECK(textbook.average() == started);
      CHECK(opt.template averager<0>().skipped() == 1);
      CHECK(opt.template averager<1>().skipped() == 1);
      CHECK(alone.skipped() == 1);
      CHECK(same_width.skipped() == 1);
      CHECK(textbook.skipped() == 1);
      theta = before;
      CHECK(opt.step(theta, gradient));
      update();
      CHECK(opt.template averager<0>().count() == 2);
      CHECK(opt.template averager<2>().count() == 2);
      CHECK(alone.count() == 2);
      CHECK(alone.average() == opt.template average<0>());
      CHECK(alone.average() != average);
    }
  }
}

TEST_CASE("with -ffast-math: an iterate too large for the average is left out") {
  volatile double huge = 1e39, large = 1.5e308;
  Guarded narrow{Ema<float>{}};
  Guarded wide{Ema<double>{}};
  for (const double x : {1.0, static_cast<double>(huge), 2.0}) narrow.update(Eigen::VectorXd{{x, 1}});
  for (const double x : {-large, static_cast<double>(large), -large}) wide.update(Eigen::VectorXd{{x, 1}});
  CHECK(narrow.skipped() == 1);
  CHECK(narrow.count() == 2);
  CHECK(wide.skipped() == 1);
  CHECK(wide.count() == 2);
  CHECK(wide.average()[0] == -large);
}
