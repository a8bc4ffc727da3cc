#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/nadam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
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

TEST_CASE("AdamW's weight decay rises by a cosine") {
  const auto path_of = [](Hyperparameter decay) {
    return path(AdamW<>{{.learning_rate = 0.5, .weight_decay = std::move(decay)}}, 8, {0, 0, 0, 0});
  };
  // λ = 1/4, 5/8, then 1: factors of 7/8, 11/16 and 1/2, and the step of no gradient is none
  CHECK(path_of(Cosine{{.initial = 0.25, .final = 1, .steps = 2}}) == Values{7, 4.8125, 2.40625, 1.203125});
  // As vision transformers have it (Caron et al. 2021): λ = 0.04, 0.22, 0.4, so 0.98, 0.89 and 0.8
  const Values rises = path_of(Cosine{{.initial = 0.04, .final = 0.4, .steps = 2}});
  const double expected[] = {7.84, 6.9776, 5.58208, 4.465664};
  for (std::size_t t = 0; t < 4; ++t) CHECK(support::close(rises[t], expected[t], 1e-14));
}

TEST_CASE("Adam's weight decay starts late") {
  // Step 2 is the first with a moment: g = 0 + 8/2 = 4, m = 2, m̂ = 2/(7/8), √v̂ = 4, step (16/7)/(4 + 4)
  const Adam<> adam{{.learning_rate = 7, .beta1 = 0.5, .beta2 = 0, .epsilon = 4, .weight_decay = [](std::uint64_t t) {
                       return t < 2 ? 0 : 0.5;
                     }}};
  CHECK(path(adam, 8, {0, 0, 0}) == Values{8, 8, 6});
}

TEST_CASE("the defaults of Adam are those of torch") {
  const AdamOptions adam;
  CHECK(adam.learning_rate(0) == 0.001);
  CHECK(adam.beta1 == 0.9);
  CHECK(adam.beta2 == 0.999);
  CHECK(adam.epsilon == 1e-8);
  CHECK(adam.weight_decay(0) == 0);
  CHECK(!adam.amsgrad);
  const AdamWOptions adam_w;
  CHECK(adam_w.learning_rate(0) == 0.001);
  CHECK(adam_w.beta1 == 0.9);
  CHECK(adam_w.beta2 == 0.999);
  CHECK(adam_w.epsilon == 1e-8);
  CHECK(adam_w.weight_decay(0) == 0.01);
  CHECK(!adam_w.amsgrad);
  CHECK(Adam{}.options().beta2 == 0.999);
  CHECK(AdamW{}.options().weight_decay(0) == 0.01);
}

TEST_CASE("a momentum can be set where there is one") {
  CHECK(checks::settings<Adam<>>().size() == 2);
  CHECK(checks::settings<AdamW<>>().size() == 2);
  CHECK(checks::settings<Sgd<>>().size() == 3);
}

TEST_CASE("an epsilon that is not 0 keeps weights of which no gradient was ever seen, however small it is") {
  for (const double epsilon : {1e-44, 1e-38, 1e-30}) {  // times √(1 − β₂) the first would be 0 in float
    CHECK(path(Adam<float>{{.epsilon = epsilon}}, 2, {0, 0}) == Values{2, 2});
    CHECK(path(NAdam<float>{{.epsilon = epsilon}}, 2, {0, 0}) == Values{2, 2});
  }
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
