#include <polyak/schedules.hpp>

#include "catch.hpp"

namespace polyak {

struct PolynomialDecayOptions {
  double initial = 0.01;    ///< η₀ in [0, ∞)
  double power = 0.9;       ///< p in [0, ∞)
  std::uint64_t steps = 0;  ///< T ≥ 1; must be given

  void for_each_option(const auto& visit) const {
    visit("initial", initial, detail::nonnegative);
    visit("power", power, detail::nonnegative);
    visit("steps", steps, detail::at_least_1);
  }
};

// [schedule]
/// η_t = η₀ (1 − t/T)^p for t < T, then 0: "poly" (Chen, Papandreou, Kokkinos, Murphy & Yuille 2018, DeepLab).
struct PolynomialDecay : detail::FromOptions<PolynomialDecay, PolynomialDecayOptions> {
  static constexpr std::string_view name = "polyak::PolynomialDecay";
  using FromOptions::FromOptions;

  [[nodiscard]] double operator()(std::uint64_t t) const noexcept {
    const double done = static_cast<double>(t) / static_cast<double>(options_.steps);
    return t < options_.steps ? options_.initial * std::pow(1 - done, options_.power) : 0;
  }
};
// [/schedule]

}  // namespace polyak

TEST_CASE("a schedule for the library: PolynomialDecay") {
  const polyak::PolynomialDecay rate({.initial = 16, .power = 2, .steps = 4});
  CHECK(std::vector{rate(0), rate(1), rate(2), rate(3), rate(4), rate(9)} == std::vector<double>{16, 9, 4, 1, 0, 0});
}
