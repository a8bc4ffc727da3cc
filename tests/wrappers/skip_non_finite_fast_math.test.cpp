// This file is compiled with -ffast-math, the others are not. The headers get a namespace of their own here, lest the
// linker take the functions of one side for those of the other.
#define polyak polyak_skipping_with_fast_math
#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "fast_math.hpp"

using namespace polyak;
using fast_math::not_finite;

TEMPLATE_TEST_CASE("with -ffast-math: a gradient that is not finite is skipped", "", POLYAK_TEST_SCALARS) {
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  for (const TestType bad : not_finite<TestType>()) {
    for (const Eigen::Index i : {0, 150, 299}) {
      Averaged around{SkipNonFinite{Adam<TestType>{}}, Ema{}};
      SkipNonFinite inside{ClipNorm{Averaged{Adam<TestType>{}, Ema{}}}};
      Vector gradient = Vector::Constant(300, TestType(1));
      Vector a = Vector::Constant(300, TestType(2)), b = a;
      CHECK(around.step(a, gradient));
      CHECK(inside.step(b, gradient));
      const Vector a_before = a, b_before = b;
      const auto average = around.average();
      gradient[i] = bad;
      CHECK_FALSE(around.step(a, gradient));
      CHECK_FALSE(inside.step(b, gradient));
      CHECK(a == a_before);
      CHECK(b == b_before);
      CHECK(around.average() == average);
      CHECK(around.optimizer().skipped() == 1);
      CHECK(inside.skipped() == 1);
      CHECK(around.optimizer().optimizer().steps() == 1);
      CHECK(inside.optimizer().optimizer().optimizer().steps() == 1);
      CHECK(around.averager().steps() == 1);
      gradient[i] = TestType(1);
      CHECK(around.step(a, gradient));
      CHECK(inside.step(b, gradient));
    }
  }
}
