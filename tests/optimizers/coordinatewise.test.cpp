#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <cstdint>
#include <limits>
#include <string>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using support::error_of;

namespace {

/// What counts how often it is asked.
struct Counted {
  int* asked;
  double operator()(std::uint64_t t) const {
    ++*asked;
    return static_cast<double>(t) - 1;
  }
};

}  // namespace

TEST_CASE("a hyperparameter is asked with the steps taken, and must be finite and at least 0") {
  Eigen::VectorXd theta = Eigen::VectorXd::Zero(1);
  const Eigen::VectorXd grad = Eigen::VectorXd::Ones(1);
  Sgd sgd{{.learning_rate = 0.5}};
  sgd.set_learning_rate(0);
  sgd.set_learning_rate(std::numeric_limits<double>::max());
  const std::string rule = "invalid_argument: polyak::Sgd: learning_rate must be finite and >= 0, got ";
  CHECK(error_of([&] { sgd.set_learning_rate(support::not_a_number); }) == rule + "nan");
  CHECK(error_of([&] { sgd.set_learning_rate(support::infinity); }) == rule + "inf");
  CHECK(error_of([&] { sgd.set_learning_rate(-5e-324); }) == rule + "-5e-324");
  CHECK(sgd.learning_rate() == std::numeric_limits<double>::max());
  // A schedule is checked by the step that it is for.
  int asked = 0;
  sgd.set_learning_rate(Counted{&asked});
  CHECK(asked == 0);
  CHECK(error_of([&] { sgd.step(theta, grad); }) == rule + "-1");
  CHECK(asked == 1);
  sgd.set_learning_rate(0);
  for (int t = 0; t < 3; ++t) sgd.step(theta, grad);
  sgd.set_learning_rate(Counted{&asked});
  sgd.step(theta, grad);
  CHECK(theta[0] == -2);
  CHECK(asked == 2);
}

TEST_CASE("what is refused, or does not go with the other options, is not set") {
  Sgd sgd{{.momentum = Constant(4), .nesterov = true}};
  const auto option = [&sgd] { return sgd.options().momentum.description(); };
  CHECK(error_of([&] { sgd.set_momentum(0); }) ==
        "invalid_argument: polyak::Sgd: momentum must be > 0 with nesterov, got 0");
  CHECK(option() == "Constant(value 4)");
  // Where it breaks its own rule too, that one is named.
  CHECK(error_of([&] { sgd.set_momentum(-1); }) ==
        "invalid_argument: polyak::Sgd: momentum must be finite and >= 0, got -1");
  CHECK(option() == "Constant(value 4)");
  sgd.set_momentum(2);
  CHECK(option() == "2");
}
