#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include <random>

#include "catch.hpp"

// [hook]
/// Adds Gaussian noise of variance η/(1 + t)^0.55 to the gradient of step t (Neelakantan et al. 2015).
template <class Optimizer>
struct GradientNoise : polyak::Wrapper<GradientNoise<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "GradientNoise";
  double eta, t = 0;
  std::vector<double> noisy = {};
  GradientNoise(Optimizer inside, double x) : polyak::Wrapper<GradientNoise, Optimizer>(std::move(inside)), eta(x) {}
  polyak::Outcome advance(const auto& step, const auto&... folds) {
    std::mt19937_64 random(static_cast<std::uint64_t>(t));
    std::normal_distribution<double> noise(0, std::sqrt(eta / std::pow(1 + t, 0.55)));
    noisy.resize(step.size());
    step.for_each([&](const auto& block) {
      for (std::size_t i = 0; i < block.params.size(); ++i) noisy[block.offset + i] = block.grad[i] + noise(random);
    });
    const polyak::Outcome outcome = polyak::advance(this->optimizer(), step.along(noisy.data()), folds...);
    t += outcome.taken ? 1 : 0;
    return outcome;
  }
};
// [/hook]

TEST_CASE("a hook on the gradient: GradientNoise") {
  polyak::ClipValue opt{GradientNoise{polyak::Averaged{polyak::Sgd{{.learning_rate = 0.5}}, polyak::TailAverage{}}, 4}};
  Eigen::VectorXd theta{{8, 8}}, expected = theta, sum = Eigen::VectorXd::Zero(2);
  for (std::uint64_t t = 0; t < 3; ++t) {
    opt.step(theta, Eigen::VectorXd{{0.25, -40}});  // clipped to 0.25 and -1
    std::mt19937_64 random(t);
    std::normal_distribution<double> noise(0, 2 / std::pow(1 + static_cast<double>(t), 0.275));
    for (const Eigen::Index i : {0, 1}) expected[i] -= 0.5 * ((i == 0 ? 0.25 : -1) + noise(random));
    sum += expected;
  }
  CHECK(theta.isApprox(expected, 1e-14));
  CHECK(opt.optimizer().optimizer().average().isApprox(sum / 3, 1e-14));
}
