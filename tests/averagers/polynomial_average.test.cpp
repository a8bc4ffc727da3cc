#include <polyak/averaged.hpp>
#include <polyak/averagers/polynomial_average.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "weights.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;

TEST_CASE("PolynomialAverage on 1, 2, 4, 8") {
  CHECK(close(weights::of_powers_of_two(PolynomialAverage{{.eta = 0}}), 15.0 / 4, 1e-15));
  CHECK(close(weights::of_powers_of_two(PolynomialAverage{{.eta = 1}}), 49.0 / 10, 1e-15));
  CHECK(close(weights::of_powers_of_two(PolynomialAverage{{.eta = 3}}), 209.0 / 35, 1e-15));
  CHECK(PolynomialAverage{}.options().eta == 3);
  CHECK(PolynomialAverage{}.options().start == 0);
}

TEST_CASE("the weight of iterate i grows as a polynomial of degree eta") {
  for (const Eigen::Index n : {1, 2, 3, 10, 500}) {
    std::vector<long double> linear, cubic;
    for (Eigen::Index k = 1; k <= n; ++k) {
      const auto i = static_cast<long double>(k), m = static_cast<long double>(n);
      linear.push_back(2 * i / (m * (m + 1)));  // of Lacoste-Julien et al.
      cubic.push_back(4 * i * (i + 1) * (i + 2) / (m * (m + 1) * (m + 2) * (m + 3)));
    }
    weights::check_close(weights::of(PolynomialAverage{{.eta = 1}}, n), linear, 1e-13);
    weights::check_close(weights::of(PolynomialAverage{{.eta = 3}}, n), cubic, 1e-13);
  }
}

TEST_CASE("PolynomialAverage has the weights of its gains for any eta") {
  for (const double eta : {0.0, 0.1, 0.5, 2.0, 7.5, 100.0}) {
    INFO("eta " << eta);
    std::vector<long double> gains;
    for (int k = 1; k <= 300; ++k) {
      const auto e = static_cast<long double>(eta);
      gains.push_back((e + 1) / (static_cast<long double>(k) + e));
    }
    const PolynomialAverage average{{.eta = eta}};
    // Behind a gain near 1 all that is left of a weight is rounding.
    const auto expected = weights::of_gains(gains);
    const VectorXd actual = weights::of(average, 300);
    for (Eigen::Index i = 0; i < 300; ++i) {
      const auto w = static_cast<double>(expected[static_cast<std::size_t>(i)]);
      CHECK(std::abs(actual[i] - w) <= 1e-12 * w + 1e-15);
    }
    weights::check_diagnostics(average, 300);
  }
}

TEST_CASE("eta = 0 is the uniform mean") {
  PolynomialAverage polynomial{{.eta = 0}};
  TailAverage tail;
  support::Random random(5);
  for (int t = 0; t < 100; ++t) {
    const VectorXd theta = random.vector(7);
    polynomial.update(theta);
    tail.update(theta);
    CHECK(support::same_bits(polynomial.average(), tail.average()));
  }
}

TEST_CASE("PolynomialAverage folds when it should, and starts again") {
  weights::check_life([](std::uint64_t start,
                         std::uint64_t every) { return PolynomialAverage{{.eta = 2, .start = start, .every = every}}; },
                      "polyak::PolynomialAverage");
}

TEST_CASE("PolynomialAverage takes the shadow that suits the weights") {
  Averaged of_float{Sgd<float>{}, PolynomialAverage{}};
  Averaged of_half{Sgd<Eigen::half>{}, PolynomialAverage{{.eta = 1}}};
  Averaged of_long{Sgd<long double>{}, PolynomialAverage{}};
  Averaged named{Sgd<double>{}, PolynomialAverage<float>{}};
  static_assert(std::is_same_v<decltype(of_float.average()), const VectorXd&>);
  static_assert(std::is_same_v<decltype(of_half.average()), const Eigen::VectorXf&>);
  static_assert(std::is_same_v<decltype(of_long.average()), const Eigen::Matrix<long double, Eigen::Dynamic, 1>&>);
  static_assert(std::is_same_v<decltype(named.average()), const Eigen::VectorXf&>);
  CHECK(of_half.averager().options().eta == 1);
}
