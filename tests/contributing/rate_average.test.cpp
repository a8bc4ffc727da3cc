#include <polyak/averagers/averager.hpp>
#include <polyak/schedules.hpp>

#include "catch.hpp"

namespace polyak {

struct RateAverageOptions {
  Hyperparameter learning_rate = 0.01;  ///< η in (0, ∞), a number or a schedule: that of the optimizer
  std::uint64_t start = 0;              ///< t ≥ max(start, 1) folds where t − start is a multiple of every
  std::uint64_t every = 1;              ///< ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::positive);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

// [averager]
/// The mean of the iterates, θ_t weighted by η_t, the rate of the next step, which starts from it (Nemirovski,
/// Juditsky, Lan & Shapiro 2009). Of the rates at the iterates folded so far, a_k is the share of the last.
struct RateGain {
  using Options = RateAverageOptions;
  struct State {
    double sum = 0;
    void serialize(auto& archive, unsigned int) { detail::serialize_value(archive, "sum", sum); }
  };
  static constexpr std::string_view name = "polyak::RateAverage";
  Options options;

  [[nodiscard]] double operator()(std::uint64_t k, State& state) const {
    const double rate = options.learning_rate(detail::cadence_of(options).first() + (k - 1) * options.every);
    if (!detail::positive.holds(rate)) detail::throw_bad_fold(name, "learning_rate must be finite and > 0", rate, k);
    return rate / (state.sum += rate);
  }
};

template <class Shadow = default_shadow>
struct RateAverage : Averager<RateGain, Shadow> {
  explicit RateAverage(RateAverageOptions options = {}) : Averager<RateGain, Shadow>(std::move(options)) {}
};
// [/averager]

}  // namespace polyak

TEST_CASE("an averager for the library: RateAverage") {
  polyak::RateAverage average{{.learning_rate = [](std::uint64_t t) { return 6 - 2 * static_cast<double>(t); }}};
  for (const double theta : {8, 2}) average.update(Eigen::VectorXd{{theta}});
  CHECK(average.average()[0] == 6);                                           // (4 · 8 + 2 · 2) / 6
  CHECK_THROWS_AS(average.update(average.average()), std::invalid_argument);  // a rate of 0
}
