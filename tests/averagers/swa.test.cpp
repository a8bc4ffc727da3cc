#include <polyak/averaged.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/schedules.hpp>

#include <cstdint>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;

TEST_CASE("SWA is the mean of the snapshots, the last one included") {
  Swa swa{{.start = 3, .period = 4}};
  for (double t = 1; t <= 11; ++t) swa.update(VectorXd{{t}});
  CHECK(swa.count() == 3);
  CHECK(close(swa.average()[0], 7));  // of 3, 7, 11
  CHECK(close(swa.effective_sample_size(), 3));
  CHECK(swa.mean_age() == 1);
}

TEST_CASE("the snapshots are the ends of a linear cycle of the same period") {
  const std::uint64_t period = 5;
  const LinearCycle cycle{{.max = 0.3, .min = 0.1, .period = period}};
  for (const std::uint64_t start : {std::uint64_t{0}, period}) {
    Swa swa{{.start = start, .period = period}};
    Averaged opt{Sgd{{.learning_rate = cycle}}, swa};
    VectorXd theta{{0}};
    double sum = 0;
    for (std::uint64_t t = 0; t < 20; ++t) {
      const double rate = opt.optimizer().learning_rate();
      const auto snapshots = opt.averager().count();
      opt.step(theta, VectorXd{{1}});
      const bool took_one = opt.averager().count() > snapshots;
      CHECK(took_one == (rate == 0.1));
      CHECK(took_one == ((t + 1) % period == 0));
      if (took_one) sum += theta[0];
    }
    CHECK(opt.averager().count() == 4);
    CHECK(close(opt.average()[0], sum / 4));
  }
}

TEST_CASE("a Swa owns its options and hands them back") {
  SwaOptions options{.start = 5, .period = 3};
  const Swa swa(options);
  options = {};
  CHECK(swa.options().start == 5);
  CHECK(swa.options().period == 3);
  CHECK(Swa().options().start == 0);
  CHECK(Swa().options().period == 1);
}
