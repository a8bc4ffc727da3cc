#include <polyak/averaged.hpp>
#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "weights.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;

namespace {

/// The larger root of (1 − a)² q + a² = 1/(c k), step by step, in long double.
std::vector<long double> gains(double fraction, Eigen::Index n) {
  std::vector<long double> result;
  long double q = 1;
  for (Eigen::Index k = 1; k <= n; ++k) {
    const long double target = 1 / (static_cast<long double>(fraction) * static_cast<long double>(k));
    long double a = 1;
    if (k > 1 && target < 1) {
      // (1 + q) a² − 2 q a + (q − target) = 0
      a = (2 * q + std::sqrt(std::max(0.0L, 4 * q * q - 4 * (1 + q) * (q - target)))) / (2 * (1 + q));
    }
    q = (1 - a) * (1 - a) * q + a * a;
    result.push_back(a);
  }
  return result;
}

const std::vector<double> fractions{0.001, 0.01, 0.1, 0.15, 0.25, 0.3, 1.0 / 3, 0.5, 0.51, 0.7, 0.9, 0.99, 1};

}  // namespace

TEST_CASE("AnytimeTailAverage is as good as the last c k iterates at any k") {
  for (const double c : fractions) {
    INFO("fraction " << c);
    AnytimeTailAverage average{{.fraction = c}};
    const VectorXd theta{{1}};
    double worst = 0;
    for (int k = 1; k <= 100'000; ++k) {
      average.update(theta);
      const double samples = std::max(1.0, c * k);
      worst = support::worse(worst, std::abs(average.effective_sample_size() - samples) / samples);
    }
    CHECK(worst < 1e-9);
    // In the long run the gain is x/k with c x² − 2x + 1 = 0, the weights grow as i^(x − 1), and the mean age is
    // k/(x + 1); the last c k iterates by themselves are c k/2 old.
    const double x = (1 + std::sqrt(1 - c)) / c;
    CHECK(close(average.mean_age(), 100'000 / (x + 1), 0.02));
    CHECK(average.average()[0] == 1);
  }
}

TEST_CASE("AnytimeTailAverage has the weights of its gains") {
  for (const double c : fractions) {
    INFO("fraction " << c);
    const AnytimeTailAverage average{{.fraction = c}};
    const auto expected = weights::of_gains(gains(c, 300));
    const VectorXd actual = weights::of(average, 300);
    // At c = 1 the root is double, and has half the digits.
    const double tolerance = c == 1 ? 1e-5 : 1e-11;
    for (Eigen::Index i = 0; i < 300; ++i) {
      const auto w = static_cast<double>(expected[static_cast<std::size_t>(i)]);
      CHECK(std::abs(actual[i] - w) <= tolerance * std::max(w, 1e-5));
    }
    weights::check_diagnostics(average, 300);
  }
}

TEST_CASE("the first gains of AnytimeTailAverage by hand") {
  // c = 1/2: 1 while c k ≤ 1; k = 3: (1 + √(2 · 2/3 − 1))/2; q is then 2/3.
  AnytimeGain gain{0.5};
  AnytimeGain::State state;
  CHECK(gain(1, state) == 1);
  CHECK(gain(2, state) == 1);
  CHECK(state.squares == 1);
  CHECK(close(gain(3, state), (1 + std::sqrt(1.0 / 3)) / 2, 1e-15));
  CHECK(close(state.squares, 2.0 / 3, 1e-15));
  // k = 4: (2/3 + √(1/2 · 5/3 − 2/3))/(5/3)
  CHECK(close(gain(4, state), (2.0 / 3 + std::sqrt(1.0 / 6)) * 3 / 5, 1e-15));
  CHECK(close(state.squares, 0.5, 1e-15));
}

TEST_CASE("a fraction of 1 is the uniform mean") {
  const VectorXd w = weights::of(AnytimeTailAverage{{.fraction = 1}}, 200);
  CHECK((w.array() - 1.0 / 200).abs().maxCoeff() < 1e-6 / 200);
}

TEST_CASE("a small fraction forgets the beginning") {
  const VectorXd w = weights::of(AnytimeTailAverage{{.fraction = 0.1}}, 1000);
  CHECK(w.head(500).sum() < 1e-3);
  CHECK(w.tail(200).sum() > 0.8);
}

TEST_CASE("AnytimeTailAverage folds when it should, and starts again") {
  weights::check_life(
      [](std::uint64_t start, std::uint64_t every) {
        return AnytimeTailAverage{{.fraction = 0.4, .start = start, .every = every}};
      },
      "polyak::AnytimeTailAverage");
}

TEST_CASE("by default AnytimeTailAverage is as good as half of the iterates") {
  CHECK(AnytimeTailAverage{}.options().fraction == 0.5);
  CHECK(AnytimeTailAverage{}.options().start == 0);
}

TEST_CASE("AnytimeTailAverage takes the shadow that suits the weights, with its fraction") {
  Averaged of_half{Sgd<Eigen::half>{}, AnytimeTailAverage{{.fraction = 0.25}}};
  static_assert(std::is_same_v<decltype(of_half.average()), const Eigen::VectorXf&>);
  CHECK(of_half.averager().options().fraction == 0.25);
}
