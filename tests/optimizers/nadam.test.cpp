#include <polyak/optimizers/nadam.hpp>

#include <cmath>
#include <vector>

#include "checks.hpp"

using namespace polyak;
using checks::check_path;
using checks::path;

TEMPLATE_TEST_CASE("NAdam follows its formula", "", POLYAK_TEST_SCALARS) {
  // Without momentum decay every μ is β₁/2 = 1/4. Step 1: m = 1, (g + 4/15 m)/(2 + 2). Step 2, with g = 6: m = 7/2,
  // (4/5 g + 16/63 m)/(6 + 2).
  const NAdamOptions options{.learning_rate = 30, .beta1 = 0.5, .beta2 = 0, .epsilon = 2, .momentum_decay = 0};
  check_path(NAdam<TestType>(options), 40, {2, 6}, {23, 23 - 64.0 / 3});

  // Weight decay adds to the gradient: 2 + 40/10 = 6, m = 3, (6 + 4/15 · 3)/(6 + 2).
  auto decayed = options;
  decayed.weight_decay = 0.1;
  check_path(NAdam<TestType>(decayed), 40, {2}, {40 - 30 * 6.8 / 8});

  // Without β₁ nothing is left of the moment; with β₂ = 3/4 the first v̂ is g² all the same.
  const NAdamOptions plain{.learning_rate = 1, .beta1 = 0, .beta2 = 0.75, .epsilon = 2};
  CHECK(path(NAdam<TestType>(plain), 8, {2}) == std::vector<double>{7.5});
  CHECK(path(NAdam<TestType>{{.learning_rate = 0}}, 8, {2, 3}) == std::vector<double>{8, 8});
}

TEST_CASE("NAdam's momentum grows with the steps") {
  // μ_t = β₁ (1 − 0.96^(tψ)/2): with 0.96^ψ = 1/4 it is β₁ times 7/8, 31/32, 127/128.
  const double psi = std::log(0.25) / std::log(0.96);
  const NAdamOptions options{.learning_rate = 1, .beta1 = 0.5, .beta2 = 0, .epsilon = 0, .momentum_decay = psi};
  const double mu1 = 7.0 / 16, mu2 = 31.0 / 64, mu3 = 127.0 / 256;
  // Gradients of 1: √v̂ = 1, m = 1/2, then 3/4.
  const double first = (1 - mu1) / (1 - mu1) + mu2 / (1 - mu1 * mu2) / 2;
  const double second = (1 - mu2) / (1 - mu1 * mu2) + mu3 / (1 - mu1 * mu2 * mu3) * 3 / 4;
  check_path(NAdam<>(options), 10, {1, 1}, {10 - first, 10 - first - second});
}

TEST_CASE("the defaults of NAdam are those of torch") {
  const NAdamOptions options;
  CHECK(options.learning_rate(0) == 0.002);
  CHECK(options.beta1 == 0.9);
  CHECK(options.beta2 == 0.999);
  CHECK(options.epsilon == 1e-8);
  CHECK(options.weight_decay(0) == 0);
  CHECK(options.momentum_decay == 0.004);
  CHECK(NAdam{}.options().momentum_decay == 0.004);
}

TEST_CASE("NAdam takes what cannot be as it comes") {
  NAdam<double> nadam;
  Eigen::VectorXd theta{{1, 2, 3}};
  nadam.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, 1}});
  CHECK(std::isnan(theta[0]));
  CHECK(std::isnan(theta[1]));
  CHECK(theta[2] < 3);
}
