#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "sanitized.hpp"
#include "weights.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::error_of;

namespace {

/// The mean of the latest iterates in long double.
class Window {
 public:
  explicit Window(std::size_t length) : length_(length) {}

  void push(double x) {
    latest_.push_back(x);
    if (latest_.size() > length_) latest_.pop_front();
  }
  double mean() const {
    long double sum = 0;
    for (const double x : latest_) sum += x;
    return static_cast<double>(sum / static_cast<long double>(latest_.size()));
  }
  std::size_t size() const { return latest_.size(); }
  double largest() const {
    return std::abs(*std::max_element(latest_.begin(), latest_.end(),
                                      [](double a, double b) { return std::abs(a) < std::abs(b); }));
  }

 private:
  std::size_t length_;
  std::deque<double> latest_;
};

constexpr double epsilon = 2.3e-16;

}  // namespace

TEST_CASE("Lawa on 1, 2, 4, 8") {
  CHECK(weights::of_powers_of_two(Lawa{{.window = 1}}) == 8);
  CHECK(weights::of_powers_of_two(Lawa{{.window = 2}}) == 6);
  CHECK(close(weights::of_powers_of_two(Lawa{{.window = 3}}), 14.0 / 3, 1e-15));
  CHECK(weights::of_powers_of_two(Lawa{{.window = 4}}) == 3.75);
  CHECK(weights::of_powers_of_two(Lawa{}) == 3.75);  // of all there are
  CHECK(Lawa{}.options().window == 6);
}

TEST_CASE("Lawa is the mean of the latest k iterates taken every m steps") {
  support::Random random(3);
  for (const std::uint64_t window : {1u, 2u, 3u, 6u, 17u}) {
    for (const std::uint64_t every : {1u, 3u}) {
      Lawa lawa{{.window = window, .start = 4, .every = every}};
      std::vector<Window> expected(3, Window(window));
      for (std::uint64_t t = 1; t <= 100; ++t) {
        const VectorXd theta = random.vector(3);
        lawa.update(theta);
        if (t >= 4 && (t - 4) % every == 0) {
          for (std::size_t i = 0; i < 3; ++i) expected[i].push(theta[static_cast<Eigen::Index>(i)]);
        }
        CHECK(lawa.has_average() == (t >= 4));
        CHECK(lawa.effective_sample_size() == static_cast<double>(expected[0].size()));
        if (t < 4) continue;
        for (std::size_t i = 0; i < 3; ++i) {
          const double error = lawa.average()[static_cast<Eigen::Index>(i)] - expected[i].mean();
          CHECK(std::abs(error) <= 4 * epsilon * expected[i].largest());
        }
        CHECK(lawa.mean_age() == static_cast<double>(expected[0].size() - 1) / 2);
        CHECK(lawa.start_mass() == 0);
      }
    }
  }
}

TEST_CASE("Lawa tells beforehand whether its mean stays finite") {
  constexpr double max = std::numeric_limits<double>::max();
  const auto stays_finite = [](const std::vector<double>& iterates, double next) {
    // In the middle of a vector, whose coordinates go the other way elsewhere.
    const auto at = [](double x) { return VectorXd{{-x, -x, 0, x, -x}}; };
    Lawa lawa{{.window = 3}};
    for (const double x : iterates) lawa.update(at(x));
    const VectorXd theta = at(next);
    const auto fold = lawa.begin_fold(support::VectorLayout(theta.size()));
    return fold.stays_finite(2, theta[2]) && fold.stays_finite(3, theta[3]);
  };
  CHECK(stays_finite({}, max));
  CHECK(stays_finite({0.4 * max}, -0.5 * max));
  CHECK_FALSE(stays_finite({0.6 * max}, -0.6 * max));
  CHECK(stays_finite({-0.6 * max, 0.3 * max}, 0.6 * max));
  CHECK(stays_finite({-0.6 * max, 0.3 * max}, -0.75 * max));
  CHECK_FALSE(stays_finite({-0.6 * max, 0.3 * max}, 0.9 * max));
}

TEST_CASE("Lawa is in use from its first step on") {
  Lawa lawa{{.start = 5}};
  CHECK_FALSE(lawa.in_use());
  lawa.update(VectorXd{{1}});
  CHECK(lawa.in_use());
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("what a fold of Lawa needs is allocated when it begins, so that it cannot fail") {
  Lawa lawa{{.window = 5}};
  const VectorXd theta = VectorXd::Ones(10);
  for (int k = 0; k < 7; ++k) {
    const auto fold = lawa.begin_fold(support::VectorLayout(theta.size()));
    CHECK(allocation_counter::allocations_in([&] {
            fold.after(0, std::span<const double>(theta.data(), 10));
            Outcome outcome;
            fold.commit(outcome);
          }) == 0);
  }
  CHECK(lawa.effective_sample_size() == 5);
}
#endif

TEST_CASE("Lawa does not drift, however many the iterates") {
  // A running sum would keep what rounding left of every iterate that has gone, and of the large one most of all.
  Lawa lawa{{.window = 3}};
  std::array<double, 3> latest{};
  VectorXd theta(1);
  std::uint64_t random = 1;
  double worst = 0;
  constexpr std::size_t steps = support::slow ? 2'100'000 : 10'000'000;
  for (std::size_t t = 1; t <= steps; ++t) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    theta[0] = static_cast<double>(random >> 11) * 0x1p-53;
    if (t % 1'000'003 == 0) theta[0] = 1e17;
    lawa.update(theta);
    latest[t % 3] = theta[0];
    if (t % 97 != 0 && t + 10 < steps) continue;
    long double sum = 0;
    for (const double x : latest) sum += x;
    const auto mean = static_cast<double>(sum / 3);
    worst = support::worse(worst, std::abs(lawa.average()[0] - mean) / *std::max_element(latest.begin(), latest.end()));
  }
  CHECK(worst <= 4 * epsilon);
  CHECK(lawa.count() == steps);
  CHECK(lawa.effective_sample_size() == 3);
}

TEST_CASE("large iterates leave no trace once they have left the window") {
  Lawa lawa{{.window = 4}};
  for (const double x : {1e300, -1e280, 3e16, 1.0, 1.0, 1.0, 1.0}) lawa.update(VectorXd{{x}});
  CHECK(lawa.average()[0] == 1);
}

TEST_CASE("Lawa returns a constant exactly and a window of 1 every iterate") {
  Lawa lawa{{.window = 7}}, latest{{.window = 1}};
  for (int t = 0; t < 50; ++t) {
    lawa.update(VectorXd{{0.1, 1e-310}});
    CHECK(lawa.average() == VectorXd{{0.1, 1e-310}});
    latest.update(VectorXd{{std::sin(t)}});
    CHECK(latest.average()[0] == std::sin(t));
  }
}

TEST_CASE("Lawa folds when it should, and starts again") {
  for (const std::uint64_t window : {1u, 5u, 20u}) {
    weights::check_life(
        [window](std::uint64_t start, std::uint64_t every) {
          return Lawa{{.window = window, .start = start, .every = every}};
        },
        "polyak::Lawa");
  }
}

TEST_CASE("a window of Lawa is copied as a whole") {
  Lawa lawa{{.window = 3}};
  for (const double x : {1.0, 2.0, 4.0, 8.0}) lawa.update(VectorXd{{x}});
  Lawa copy = lawa;
  Lawa assigned{{.window = 9}};
  assigned.update(VectorXd{{1, 2}});
  assigned = lawa;
  lawa.update(VectorXd{{1000}});
  lawa.update(VectorXd{{1000}});
  CHECK(copy.average()[0] == 14.0 / 3);
  copy.update(VectorXd{{16}});
  assigned.update(VectorXd{{16}});
  CHECK(close(copy.average()[0], 28.0 / 3, 1e-15));
  CHECK(assigned.average() == copy.average());
  CHECK(assigned.options().window == 3);
  Lawa moved = std::move(copy);
  moved.update(VectorXd{{3}});
  CHECK(close(moved.average()[0], 9, 1e-15));
}

TEST_CASE("a copy may be made before the window is full") {
  for (int filled = 0; filled < 5; ++filled) {
    Lawa lawa{{.window = 4}};
    for (int t = 0; t < filled; ++t) lawa.update(VectorXd{{1}});
    Lawa copy = lawa;
    for (int t = 0; t < 4; ++t) copy.update(VectorXd{{5}});
    CHECK(copy.average()[0] == 5);
    CHECK(copy.effective_sample_size() == 4);
    CHECK(lawa.effective_sample_size() == filled);
  }
}

#if defined(__GLIBC__) && !defined(POLYAK_TEST_SANITIZED)
TEST_CASE("Lawa costs k + 1 vectors of memory") {
  const auto in_use = [] {
    const auto info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  const double vector = 100'000 * sizeof(double);
  const VectorXd theta = VectorXd::Ones(100'000);
  Lawa lawa{{.window = 5}};
  const double before = in_use();
  for (int t = 1; t <= 20; ++t) {
    lawa.update(theta);
    const double expected = vector * (std::min(t, 5) + 1);
    CHECK(std::abs(in_use() - before - expected) < 0.1 * vector);
  }
  lawa.reset();
  CHECK(std::abs(in_use() - before) < 0.1 * vector);
}
#endif

TEST_CASE("Lawa takes the shadow that suits the weights, and its place among other averages") {
  Averaged of_half{Sgd<Eigen::half>{}, Lawa{{.window = 2}}};
  static_assert(std::is_same_v<decltype(of_half.average()), const Eigen::VectorXf&>);
  CHECK(of_half.averager().options().window == 2);

  Averaged opt{Sgd{{.learning_rate = 1}}, Ema{{.decay = 0}}, Lawa{{.window = 2}}};
  VectorXd theta{{8}};
  for (const double g : {1.0, 1.0, 2.0}) opt.step(theta, VectorXd{{g}});
  CHECK(opt.average<0>()[0] == 4);
  CHECK(opt.average<1>()[0] == 5);
  {
    const auto guard = opt.swap_in<1>(theta);
    CHECK(theta[0] == 5);
    CHECK(error_of([&] { opt.step(theta, theta); }) ==
          "logic_error: polyak::Lawa: the average is swapped in; restore the trained weights first");
  }
  CHECK(theta[0] == 4);
  opt.reset();
  CHECK_FALSE(opt.has_average<1>());
}
