#include <polyak/optimizers/adagrad.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/lion.hpp>
#include <polyak/optimizers/nadam.hpp>
#include <polyak/optimizers/rmsprop.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Run;

namespace {

/// A momentum that comes and goes, so that its buffer is started late, and rests.
double momentum(std::uint64_t t) { return t < 3 || t % 4 == 0 ? 0 : 0.5 + 0.01 * static_cast<double>(t); }

}  // namespace

TEMPLATE_TEST_CASE("every optimizer goes on where it was saved", "[serialize]", POLYAK_TEST_SCALARS) {
  const Cosine cosine({.initial = 0.1, .final = 0.01, .steps = 9});
  const auto check = [](const auto& fresh) { check_resuming<TestType>(fresh); };
  check(Sgd<TestType>{{.learning_rate = cosine}});
  check(Sgd<TestType>{{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01}});
  check(Sgd<TestType>{{.momentum = momentum, .dampening = 0.25, .decoupled_weight_decay = true}});
  check(Sgd<TestType>{{.momentum = 0.9, .nesterov = true}});
  check(Adam<TestType>{{.learning_rate = cosine, .weight_decay = 0.1}});
  check(Adam<TestType>{{.learning_rate = 0.1, .beta2 = 0.5, .amsgrad = true}});
  check(AdamW<TestType>{{.learning_rate = 0.1}});
  check(AdamW<TestType>{{.learning_rate = 0.1, .amsgrad = true}});
  check(NAdam<TestType>{{.learning_rate = 0.1}});
  check(RMSprop<TestType>{{.learning_rate = 0.1}});
  check(RMSprop<TestType>{{.learning_rate = 0.1, .momentum = 0.5, .centered = true}});
  check(Adagrad<TestType>{{.learning_rate = 0.1, .learning_rate_decay = 0.1}});
  check(Lion<TestType>{{.learning_rate = 0.1, .weight_decay = 0.1}});
}

TEST_CASE("an optimizer goes on by any schedule", "[serialize]") {
  const auto check = [](Hyperparameter rate) {
    check_resuming<double>(Sgd<double>{{.learning_rate = std::move(rate)}});
  };
  const Cosine cosine({.initial = 0.1, .final = 0.01, .steps = 9});
  check(Constant(0.1));
  check(InverseTime({.initial = 0.1}));
  check(BottouDecay({.initial = 0.1, .lambda = 0.5}));
  check(StepDecay({.initial = 0.1, .period = 4}));
  check(LinearWarmup({.steps = 5, .then = cosine}));
  check(Triangular({.half_period = 4}));
  check(LinearCycle({.period = 5}));
  check(SwaAnneal({.before = cosine, .start = 3, .anneal_steps = 5}));
  check([](std::uint64_t t) { return t % 3 == 0 ? 0.2 : 0.1; });
}

TEST_CASE("a learning rate that is set while training goes on", "[serialize]") {
  const Run<double> run;
  serialize::check_resuming(
      Sgd<double>{{.learning_rate = 0.1, .momentum = 0.5}}, run.start, run.gradients.size(),
      [&](Sgd<double>& sgd, Eigen::VectorXd& theta, std::size_t t) {
        if (t % 4 == 1) sgd.set_learning_rate(0.1 / static_cast<double>(t));
        sgd.step(theta, run.gradients[t]);
      },
      [](const Sgd<double>& sgd, const Eigen::VectorXd& theta) {
        serialize::Digest digest;
        digest.add_matrix(theta);
        digest.add_object(sgd);
        return digest;
      });
}
