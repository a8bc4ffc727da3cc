#include <cstddef>
#include <cstdint>

#include "parts/optimizers.hpp"
#include "parts/schedules.hpp"
#include "serialize/resume.hpp"

using namespace polyak;
using serialize::check_resuming;
using serialize::Run;

TEMPLATE_TEST_CASE("every optimizer goes on where it was saved", "[serialize]", POLYAK_TEST_SCALARS) {
  parts::for_each_optimizer<TestType>([](const char* name, const auto& optimizer) {
    INFO(name);
    check_resuming<TestType>(optimizer);
  });
}

TEST_CASE("an optimizer goes on by any schedule", "[serialize]") {
  const auto check = [](const char* name, const Hyperparameter& schedule) {
    INFO(name);
    check_resuming<double>(Sgd<double>{{.learning_rate = schedule}});
    check_resuming<double>(Sgd<double>{{.learning_rate = 0.1, .momentum = schedule, .weight_decay = schedule}});
  };
  parts::for_each_schedule(parts::schedules, check);
  parts::for_each_schedule(parts::decays, check);
  check("a callable", [](std::uint64_t t) { return t % 3 == 0 ? 0.2 : 0.1; });
}

TEST_CASE("what is set while training goes on", "[serialize]") {
  const Run<double> run;
  serialize::check_resuming(
      Sgd<double>{{.learning_rate = 0.1, .momentum = 0.5}}, run.start, run.gradients.size(),
      [&](Sgd<double>& sgd, Eigen::VectorXd& theta, std::size_t t) {
        if (t % 4 == 1) sgd.set_learning_rate(0.1 / static_cast<double>(t));
        if (t % 4 == 2) sgd.set_weight_decay(0.1 * static_cast<double>(t));
        if (t % 4 == 3) sgd.set_momentum(t % 8 == 3 ? 0 : 0.25);
        sgd.step(theta, run.gradients[t]);
      },
      [](const Sgd<double>& sgd, const Eigen::VectorXd& theta) {
        serialize::Digest digest;
        digest.add_matrix(theta);
        digest.add_object(sgd);
        return digest;
      });
}
