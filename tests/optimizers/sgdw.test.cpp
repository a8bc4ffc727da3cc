#include <polyak/optimizers/sgd.hpp>

#include <cstdint>
#include <vector>

#include "checks.hpp"

// Sgd with decoupled weight decay.

using namespace polyak;
using checks::path;

namespace {

using Values = std::vector<double>;

}  // namespace

// The numbers are worked out by hand and exact in binary, so that every scalar must hit them.

TEMPLATE_TEST_CASE("Sgd shrinks the weights apart from the gradient where the decay is decoupled", "",
                   POLYAK_TEST_SCALARS) {
  const SgdOptions options{.learning_rate = 0.5, .weight_decay = 0.25, .decoupled_weight_decay = true};
  // 7/8 · 8 − 1, 7/8 · 6 − 2
  CHECK(path(Sgd<TestType>(options), 8, {2, 4}) == Values{6, 3.25});
  // It is plain Sgd's step, 8 − (2 + 8/4)/2, but not the second one with momentum.
  SECTION("past the momentum") {
    // v = 2, then 1 + 4: 7/8 · 8 − 1, 7/8 · 6 − 5/2
    auto heavy = options;
    heavy.momentum = 0.5;
    CHECK(path(Sgd<TestType>(heavy), 8, {2, 4}) == Values{6, 2.75});
    // Coupled: d = 4, v = 4; d = 4 + 3/2, v = 2 + 11/2.
    heavy.decoupled_weight_decay = false;
    CHECK(path(Sgd<TestType>(heavy), 8, {2, 4}) == Values{6, 2.25});
  }
  SECTION("with Nesterov") {
    // d = 2 + 1: 7 − 3/2; v = 1 + 4, d = 4 + 5/2: 7/8 · 11/2 − 13/4
    auto nesterov = options;
    nesterov.momentum = 0.5;
    nesterov.nesterov = true;
    CHECK(path(Sgd<TestType>(nesterov), 8, {2, 4}) == Values{5.5, 1.5625});
  }
  SECTION("by the rate of the step") {
    // 7/8 · 8, then at half the rate 15/16 · 7
    auto falling = options;
    falling.learning_rate = [](std::uint64_t t) { return t == 0 ? 0.5 : 0.25; };
    CHECK(path(Sgd<TestType>(falling), 8, {0, 0}) == Values{7, 6.5625});
  }
}

TEST_CASE("without weight decay it makes no difference whether it is decoupled") {
  const checks::Run<double> run(50);
  Eigen::VectorXd a = run.start, b = run.start;
  Sgd<double> coupled{{.momentum = 0.9}}, decoupled{{.momentum = 0.9, .decoupled_weight_decay = true}};
  for (const auto& g : run.gradients) {
    coupled.step(a, g);
    decoupled.step(b, g);
  }
  CHECK(checks::same_vectors(a, b));
}
