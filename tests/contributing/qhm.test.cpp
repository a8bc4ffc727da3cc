#include <polyak/averaged.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/coordinatewise.hpp>
#include <polyak/parameters.hpp>

#include "support.hpp"

#include "catch.hpp"

namespace polyak {

struct QhmOptions {
  Hyperparameter learning_rate = 0.01;    ///< η in [0, ∞), a number or a schedule
  double beta = 0.999;                    ///< in [0, 1): decay of the moment
  double nu = 0.7;                        ///< ν in [0, 1]: share of the moment in a step; 0 is SGD, 1 is momentum
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("beta", beta, detail::from_0_below_1);
    visit("nu", nu, detail::from_0_to_1);
    visit("weight_decay", weight_decay, detail::nonnegative);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct QhmRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Qhm";

  // [rule]
  QhmOptions options;
  StateVector<Scalar> moments = {};

  void for_each_state(const auto& visit) { visit("moment", moments); }

  void with_kernel(const StepNumbers& now, std::size_t offset, const auto& f) noexcept {
    const T descent = T(-now.rate), decay = T(now.decay), beta = T(options.beta), nu = T(options.nu);
    f([=, moment = moments.data() + offset](auto p, auto g, auto i) noexcept {
      g = lanes::mul_add(decay, p, g);
      const auto m = lanes::store(moment, i, lanes::mul_add(beta, lanes::load(moment, i) - g, g));
      return lanes::mul_add(descent, lanes::mul_add(nu, m - g, g), p);
    });
  }
  // [/rule]
};

}  // namespace detail

/// Quasi-hyperbolic momentum (Ma & Yarats 2019):
///
///     m ← β m + (1 − β) g;    θ ← θ − η ((1 − ν) g + ν m)
///
/// Costs n scalars of memory. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
struct Qhm : detail::Coordinatewise<detail::QhmRule<Scalar>> {
  explicit Qhm(QhmOptions options = {}) : Qhm::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak

TEST_CASE("an optimizer for the library: Qhm") {
  polyak::QhmOptions options{.learning_rate = 1, .beta = 0.5, .nu = 0.5, .weight_decay = 1};
  options.blocks = {{}, {.weight_decay_factor = 0}};
  polyak::Averaged opt{polyak::Qhm<float>{options}, polyak::TailAverage{}};
  Eigen::VectorXf weights{{8}}, bias{{8}};
  for (const float g : {-4.0f, 8.0f}) {
    const Eigen::VectorXf grad{{g}};
    opt.step(polyak::ParameterSet{weights, bias}, polyak::ParameterSet{grad, grad});
  }
  CHECK(weights[0] == -5.25f);  // g = 4, m = 2, θ = 5;     g = 13, m = 7.5, θ = −5.25
  CHECK(bias[0] == 5.5f);       // g = −4, m = −2, θ = 11;  g = 8, m = 3, θ = 5.5
  CHECK(opt.average() == Eigen::VectorXd{{-0.125, 8.25}});

  CHECK(support::error_of([] { polyak::Qhm{{.nu = 1.5}}; }) ==
        "invalid_argument: polyak::Qhm: nu must be in [0, 1], got 1.5");
}
