#pragma once

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/bias_correction.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/lanes.hpp"
#include "polyak/optimizers/coordinatewise.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

struct NAdamOptions {
  Hyperparameter learning_rate = 0.002;   ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                     ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;                   ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                  ///< in [0, ∞)
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: adds λθ to the gradient
  double momentum_decay = 0.004;          ///< ψ in [0, ∞)
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("beta1", beta1, detail::from_0_below_1);
    visit("beta2", beta2, detail::from_0_below_1);
    visit("epsilon", epsilon, detail::nonnegative);
    visit("weight_decay", weight_decay, detail::nonnegative);
    visit("momentum_decay", momentum_decay, detail::nonnegative);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct NAdamRule : PlainRule<Scalar> {
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::NAdam";

  struct Factors : StepNumbers {
    BiasCorrection second;
    double product;             // μ_1 … μ_t
    double of_grad, of_moment;  // the shares of g and m in the step
    double root2;               // √(1 − β₂^t)
  };

  NAdamOptions options;
  BiasCorrection second = {};
  double product = 1;
  StateVector<Scalar> moments = {}, squares = {};

  Factors begin(std::uint64_t t, const StepNumbers& now, Eigen::Index) const {
    const double mu = momentum(static_cast<double>(t) + 1);
    const double next = momentum(static_cast<double>(t) + 2);
    Factors factors{now, second, product * mu, {}, {}, {}};
    factors.of_grad = (1 - mu) / (1 - factors.product);
    factors.of_moment = next / (1 - factors.product * next);
    factors.root2 = std::sqrt(factors.second.advance(1 - options.beta2));
    return factors;
  }
  void commit(const Factors& factors) noexcept {
    second = factors.second;
    product = factors.product;
  }
  void for_each_state(const auto& visit) {
    visit("second", second);
    visit("product", product);
    visit("moment", moments);
    visit("square", squares);
  }

  void with_kernel(const Factors& factors, std::size_t offset, const auto& f) noexcept {
    // With ρ = root2, η / (√v/ρ + ε) is ηρ / (√v + ρε): one division less a coordinate.
    const double rate = factors.rate * factors.root2;
    const T of_grad = T(rate * factors.of_grad), of_moment = T(rate * factors.of_moment),
            epsilon = scaled_epsilon<T>(options.epsilon, factors.root2), decay = T(factors.decay),
            beta1 = T(options.beta1), beta2 = T(options.beta2), intake1 = T(1 - options.beta1),
            intake2 = T(1 - options.beta2);
    f([=, moment = moments.data() + offset, square = squares.data() + offset](auto p, auto g, auto i) noexcept {
      g = lanes::mul_add(decay, p, g);
      const auto m = lanes::store(moment, i, lanes::mul_add(beta1, lanes::load(moment, i), intake1 * g));
      const auto v = lanes::store(square, i, lanes::mul_add(beta2, lanes::load(square, i), intake2 * g * g));
      return p - lanes::mul_add(of_grad, g, of_moment * m) / (lanes::square_root(v) + epsilon);
    });
  }

 private:
  [[nodiscard]] double momentum(double t) const {
    return options.beta1 * (1 - 0.5 * std::pow(0.96, t * options.momentum_decay));
  }
};

}  // namespace detail

/// Adam with Nesterov momentum as torch.optim.NAdam defines it (Dozat 2016): with μ_t = β₁ (1 − 0.96^(tψ)/2) and Adam's
/// m, v and √v̂,
///
///     θ ← θ − η ((1 − μ_t) g / (1 − μ_1…μ_t) + μ_{t+1} m / (1 − μ_1…μ_{t+1})) / (√v̂ + ε)
///
/// Costs 2n scalars of memory. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
struct NAdam : detail::Coordinatewise<detail::NAdamRule<Scalar>> {
  NAdam(detail::NotOptions);
  explicit NAdam(NAdamOptions options = {}) : NAdam::Coordinatewise(std::move(options)) {}
};

}  // namespace polyak
