#include <polyak/averaged.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "weights.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::close;
using support::error_of;
using support::infinity;

namespace {

/// σ_rel of the profile t^γ on (0, 1).
double width_of(double gamma) { return std::sqrt((gamma + 1) / ((gamma + 2) * (gamma + 2) * (gamma + 3))); }

}  // namespace

TEST_CASE("PowerEma on 1, 2, 4, 8") {
  CHECK(close(weights::of_powers_of_two(PowerEma{{.gamma = 0}}), 15.0 / 4, 1e-15));
  CHECK(close(weights::of_powers_of_two(PowerEma{{.gamma = 1}}), 83.0 / 16, 1e-15));
  CHECK(close(weights::of_powers_of_two(PowerEma{{.gamma = 2}}), 387.0 / 64, 1e-15));
}

TEST_CASE("the weight of iterate i grows as its power") {
  for (const double gamma : {0.0, 0.5, 1.0, 6.94, 16.97, 300.0}) {
    INFO("gamma " << gamma);
    const PowerEma power{{.gamma = gamma}};
    for (const Eigen::Index n : {1, 2, 10, 400}) {
      // The iterates up to i weigh (i/n)^(γ+1).
      std::vector<long double> expected;
      for (Eigen::Index i = 1; i <= n; ++i) {
        const auto share = [&](Eigen::Index upto) {
          return std::pow(static_cast<long double>(upto) / static_cast<long double>(n), gamma + 1.0L);
        };
        expected.push_back(share(i) - share(i - 1));
      }
      // Behind a gain near 1 all that is left of a weight is rounding.
      const VectorXd actual = weights::of(power, n);
      for (Eigen::Index i = 0; i < n; ++i) {
        const auto w = static_cast<double>(expected[static_cast<std::size_t>(i)]);
        CHECK(std::abs(actual[i] - w) <= 1e-12 * w + 1e-15);
      }
    }
    weights::check_diagnostics(power, 400);
  }
}

TEST_CASE("the exponent of a relative width is the largest root of Karras et al.") {
  CHECK(close(power_of_relative_width(0.05), 16.97219860230345, 1e-15));
  CHECK(close(power_of_relative_width(0.10), 6.937203937601806, 1e-15));
  CHECK(power_of_relative_width(1 / std::sqrt(12.0)) >= 0);
  CHECK(power_of_relative_width(1 / std::sqrt(12.0)) < 1e-7);
  CHECK(PowerEma{}.gamma() == power_of_relative_width(0.10));
  CHECK(PowerEma{{.relative_width = 0.05}}.gamma() == power_of_relative_width(0.05));
  CHECK(PowerEma{{.gamma = 3}}.gamma() == 3);
  CHECK(close(power_of_relative_width(1e-200), 1e200, 1e-15));
  CHECK(close(power_of_relative_width(8e-309), 1.25e308, 1e-14));
  CHECK(support::error_of([] {
          PowerEma{{.relative_width = 1e-310}};
        }).starts_with("invalid_argument: polyak::PowerEma: relative_width must be in (0, 1/sqrt(12)], got "));
  double last = infinity;
  for (double width = 1e-6; width < 0.2886; width *= 1.01) {
    const double gamma = power_of_relative_width(width);
    CHECK(close(width_of(gamma), width, 1e-14));
    CHECK(gamma < last);
    last = gamma;
  }
}

TEST_CASE("the average is as wide as was asked for, at any time") {
  for (const double width : {0.05, 0.1, 0.2}) {
    const PowerEma power{{.relative_width = width}};
    for (const Eigen::Index n : {200, 1000}) {
      const VectorXd w = weights::of(power, n);
      const VectorXd at = VectorXd::LinSpaced(n, 1, static_cast<double>(n)) / static_cast<double>(n);
      const double mean = w.dot(at);
      const double deviation = std::sqrt(w.dot((at.array() - mean).square().matrix()));
      CHECK(close(deviation, width, 0.01));
      CHECK(close(mean, (power.gamma() + 1) / (power.gamma() + 2), 0.01));
    }
  }
}

TEST_CASE("PowerEma keeps its profile when it folds seldom") {
  PowerEma seldom{{.gamma = 16.97, .every = 100}};
  PowerEma always{{.gamma = 16.97}};
  for (int t = 1; t <= 30'000; ++t) {
    const VectorXd theta{{std::sqrt(static_cast<double>(t))}};
    seldom.update(theta);
    if (t % 100 == 0) always.update(theta);
  }
  CHECK(seldom.start_mass() == 0);
  CHECK(seldom.count() == 300);
  CHECK(support::same_bits(seldom.average(), always.average()));
  CHECK(seldom.effective_sample_size() == always.effective_sample_size());
  // Nor is there anything of the start in it, inside Averaged.
  Averaged opt{[](VectorXd& theta, const VectorXd& next) { theta = next; }, PowerEma{{.gamma = 1, .every = 3}}};
  VectorXd theta{{1e300}};
  for (int t = 1; t <= 30; ++t) opt.step(theta, VectorXd{{1}});
  CHECK(opt.average()[0] == 1);
}

TEST_CASE("PowerEma folds when it should, and starts again") {
  weights::check_life(
      [](std::uint64_t start, std::uint64_t every) { return PowerEma{{.gamma = 2.5, .start = start, .every = every}}; },
      "polyak::PowerEma");
}

TEST_CASE("PowerEma takes a width or an exponent, the widest one but for rounding") {
  const auto width = [](double w) { return error_of([&] { PowerEma power{{.relative_width = w}}; }); };
  const std::string bad_width = "invalid_argument: polyak::PowerEma: relative_width must be in (0, 1/sqrt(12)], got ";
  CHECK(width(std::sqrt((1 + 0.9e-10) / 12)) == "nothing");
  CHECK(width(std::sqrt((1 + 1.5e-10) / 12)).starts_with(bad_width));
  CHECK(error_of([] { (void)power_of_relative_width(0.5); }) == bad_width + "0.5");
  CHECK(error_of([] { PowerEma power{{.gamma = 1, .relative_width = 0.125}}; }) ==
        "invalid_argument: polyak::PowerEma: gamma and relative_width must not both be given, got 0.125");
}

TEST_CASE("PowerEma takes the shadow that suits the weights, with its exponent") {
  Averaged of_half{Sgd<Eigen::half>{}, PowerEma{{.relative_width = 0.05}}};
  static_assert(std::is_same_v<decltype(of_half.average()), const Eigen::VectorXf&>);
  CHECK(of_half.averager().gamma() == PowerEma{{.relative_width = 0.05}}.gamma());
}
