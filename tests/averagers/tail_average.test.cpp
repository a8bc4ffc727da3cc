#include <polyak/averagers/tail_average.hpp>

#include <cstdint>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using support::close;

TEST_CASE("the tail average is the mean of the iterates from start on") {
  support::Random random(2);
  for (const std::uint64_t start : {0u, 1u, 2u, 50u, 99u}) {
    TailAverage tail{{.start = start}};
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(20);
    double count = 0;
    for (std::uint64_t t = 1; t <= 100; ++t) {
      const Eigen::VectorXd theta = random.vector(20);
      tail.update(theta);
      if (t >= start) {
        sum += theta;
        ++count;
      }
    }
    CHECK(support::largest(tail.average() - sum / count) < 1e-14);
    CHECK(static_cast<double>(tail.count()) == count);
    CHECK(close(tail.effective_sample_size(), count));
    CHECK(close(tail.mean_age(), (count - 1) / 2));
    CHECK(tail.start_mass() == 0);
  }
}

TEST_CASE("a TailAverage owns its options and hands them back") {
  TailAverageOptions options{.start = 5, .every = 3};
  const TailAverage tail(options);
  options = {};
  CHECK(tail.options().start == 5);
  CHECK(tail.options().every == 3);
  CHECK(TailAverage().options().start == 0);
  CHECK(TailAverage().options().every == 1);
}
