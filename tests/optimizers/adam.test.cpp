#include <polyak/optimizers/adam.hpp>

#include <cmath>
#include <vector>

#include "checks.hpp"

using namespace polyak;
using checks::path;

namespace {

using Values = std::vector<double>;

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them. With beta2 = 0 the second
// moment is g² and its root |g|.

TEMPLATE_TEST_CASE("Adam follows its formula", "", POLYAK_TEST_SCALARS) {
  // m = 1, m̂ = 2, √v̂ = 1/(1/2), step 2/(2 + 2)
  CHECK(path(Adam<TestType>{{.learning_rate = 1, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 2}}, 8, {2}) == Values{7.5});
  // m = 1, then 1/2 + 3/2 = 2; m̂ = 2, then 2/(3/4); √v̂ = 2, then 3 (not what it was)
  const AdamOptions no_second{.learning_rate = 0.75, .beta1 = 0.5, .beta2 = 0, .epsilon = 1};
  CHECK(path(Adam<TestType>(no_second), 8, {2, 3}) == Values{7.5, 7});
  CHECK(path(Adam<TestType>{{.learning_rate = 0}}, 8, {2, 3}) == Values{8, 8});

  SECTION("weight decay goes through the moments") {
    // g = 2 + 8/4 = 4: m̂ = 4, √v̂ = 4, step 4/(4 + 4)
    auto options = no_second;
    options.learning_rate = 1;
    options.epsilon = 4;
    options.weight_decay = 0.25;
    CHECK(path(Adam<TestType>(options), 8, {2}) == Values{7.5});
  }
  SECTION("decoupled weight decay shrinks the weight before the step") {
    // (1 − 1/8) 8 − (2/2)/(1/2)/(2 + 2)
    CHECK(path(AdamW<TestType>{{.learning_rate = 0.5, .beta1 = 0.5, .beta2 = 0, .epsilon = 2, .weight_decay = 0.25}}, 8,
               {2}) == Values{6.75});
  }
  SECTION("amsgrad keeps the largest second moment") {
    // m = 2, 1 + 1/2; m̂ = 4, (3/2)/(3/4) = 2; √v̂ = 4 both times, though g = 1 in the second
    auto options = no_second;
    options.epsilon = 0;
    CHECK(path(Adam<TestType>(options), 8, {4, 1}) == Values{7.25, 5.75});
    options.amsgrad = true;
    CHECK(path(Adam<TestType>(options), 8, {4, 1}) == Values{7.25, 6.875});
    CHECK(path(
              AdamW<TestType>{
                  {.learning_rate = 0.75, .beta1 = 0.5, .beta2 = 0, .epsilon = 0, .weight_decay = 0, .amsgrad = true}},
              8, {4, 1}) == Values{7.25, 6.875});
    // The third is larger again: m = 3/4 + 4, m̂ = (19/4)/(7/8), √v̂ = 8.
    options.learning_rate = 7;
    options.amsgrad = true;
    CHECK(path(Adam<TestType>(options), 64, {8, 1, 8})[0] == 57);
  }
}

TEST_CASE("the defaults of Adam are those of torch") {
  const AdamOptions adam;
  CHECK(adam.learning_rate(0) == 0.001);
  CHECK(adam.beta1 == 0.9);
  CHECK(adam.beta2 == 0.999);
  CHECK(adam.epsilon == 1e-8);
  CHECK(adam.weight_decay == 0);
  CHECK(!adam.amsgrad);
  const AdamWOptions adam_w;
  CHECK(adam_w.learning_rate(0) == 0.001);
  CHECK(adam_w.beta1 == 0.9);
  CHECK(adam_w.beta2 == 0.999);
  CHECK(adam_w.epsilon == 1e-8);
  CHECK(adam_w.weight_decay == 0.01);
  CHECK(!adam_w.amsgrad);
  CHECK(Adam{}.options().beta2 == 0.999);
  CHECK(AdamW{}.options().weight_decay == 0.01);
}

TEST_CASE("the first step of Adam is the learning rate, whatever the size of the gradient") {
  for (const double g : {1e-3, 1.0, 1e6, -1e-3, -1e6}) {
    const double theta = path(Adam<>{{.learning_rate = 0.1, .epsilon = 0}}, 1, {g})[0];
    CHECK(std::abs(theta - (g > 0 ? 0.9 : 1.1)) < 1e-15);
  }
}

TEST_CASE("the bias of Adam's moments is corrected a million steps on") {
  // With a constant gradient every step is the learning rate.
  Adam<double> adam{{.learning_rate = 1, .beta2 = 0.9999999, .epsilon = 0}};
  Eigen::VectorXd theta{{0}};
  const Eigen::VectorXd gradient{{0.1}};
  double worst = 0;
  for (int t = 1; t <= 1'000'000; ++t) {
    const double before = theta[0];
    adam.step(theta, gradient);
    worst = support::worse(worst, std::abs(before - theta[0] - 1));
    theta[0] = 0;
  }
  CHECK(worst < 1e-9);
}

TEST_CASE("Adam takes what cannot be as it comes") {
  Adam<double> adam;
  Eigen::VectorXd theta{{1, 2, 3}};
  adam.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, 1}});
  CHECK(std::isnan(theta[0]));
  CHECK(std::isnan(theta[1]));
  CHECK(theta[2] < 3);
  AdamW<double> largest{{.amsgrad = true}};
  theta = Eigen::VectorXd{{1, 2, 3}};
  largest.step(theta, Eigen::VectorXd{{support::not_a_number, support::infinity, 1}});
  CHECK(std::isnan(theta[0]));
  CHECK(std::isnan(theta[1]));
  CHECK(theta[2] < 3);
}
