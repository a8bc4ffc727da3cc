#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/tail_average.hpp>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::error_of;

TEST_CASE("the gain is asked with k = 1, 2, ... once a fold") {
  std::vector<std::uint64_t> asked;
  GainAverage average{{.gain =
                           [&asked](std::uint64_t k) {
                             asked.push_back(k);
                             return 1.0 / static_cast<double>(k);
                           },
                       .start = 1,
                       .every = 3}};
  CHECK(asked.empty());
  for (double t = 1; t <= 9; ++t) average.update(VectorXd{{t}});
  CHECK(asked == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(average.average()[0] == Approx(4));  // of 1, 4, 7
}

TEST_CASE("1/k is the tail average, bit for bit") {
  GainAverage by_gain{{.gain = [](std::uint64_t k) { return 1 / static_cast<double>(k); }}};
  TailAverage tail;
  support::Random random(4);
  for (int t = 0; t < 50; ++t) {
    const VectorXd theta = random.vector(33);
    by_gain.update(theta);
    tail.update(theta);
    REQUIRE(support::same_bits(by_gain.average(), tail.average()));
  }
  CHECK(support::close(by_gain.effective_sample_size(), tail.effective_sample_size()));
  CHECK(support::close(by_gain.mean_age(), tail.mean_age()));
}

TEST_CASE("GainAverage refuses a gain that cannot be called") {
  CHECK(error_of([] { GainAverage{{.gain = nullptr}}; }) ==
        "invalid_argument: polyak::GainAverage: gain must be callable, got none");
}

TEST_CASE("a gain out of range, or one that throws, changes nothing") {
  bool fails = false;
  GainAverage average{{.gain = [&fails](std::uint64_t k) {
    if (fails) throw std::runtime_error("no gain today");
    return k == 3 ? 1.5 : 1.0 / static_cast<double>(k);
  }}};
  average.update(VectorXd{{2}});
  fails = true;
  CHECK_THROWS_WITH(average.update(VectorXd{{100}}), "no gain today");
  fails = false;
  average.update(VectorXd{{4}});
  CHECK(average.average()[0] == 3);
  CHECK(error_of([&] { average.update(VectorXd{{100}}); }) ==
        "invalid_argument: polyak::GainAverage: gain must be in [0, 1], got 1.5 at fold 3");
  CHECK(average.average()[0] == 3);
  CHECK(average.steps() == 2);
  CHECK(average.count() == 2);
  CHECK(average.effective_sample_size() == 2);
}

TEST_CASE("a GainAverage owns its options and hands them back") {
  GainAverageOptions options{.gain = [](std::uint64_t) { return 0.25; }, .start = 5, .every = 3};
  const GainAverage average(options);
  options = {};
  CHECK(average.options().gain(7) == 0.25);
  CHECK(average.options().start == 5);
  CHECK(average.options().every == 3);
  CHECK(GainAverage(GainAverageOptions{.gain = average.options().gain}).options().start == 0);
}
