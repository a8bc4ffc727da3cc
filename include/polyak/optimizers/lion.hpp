#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/lanes.hpp"
#include "polyak/optimizers/coordinatewise.hpp"
#include "polyak/schedules.hpp"

namespace polyak {

struct LionOptions {
  Hyperparameter learning_rate = 0.0001;  ///< η in [0, ∞), a number or a schedule
  double beta1 = 0.9;                     ///< in [0, 1): how much of the momentum the step takes
  double beta2 = 0.99;                    ///< in [0, 1): decay of the momentum
  Hyperparameter weight_decay = 0;        ///< λ in [0, ∞), a number or a schedule: shrinks θ by 1 − ηλ
  std::vector<BlockOptions> blocks = {};  ///< empty, or one for each block of the parameter set

  void for_each_option(const auto& visit) const {
    visit("learning_rate", learning_rate, detail::nonnegative);
    visit("beta1", beta1, detail::from_0_below_1);
    visit("beta2", beta2, detail::from_0_below_1);
    visit("weight_decay", weight_decay, detail::nonnegative);
  }
};

namespace detail {

template <FloatingPoint Scalar>
struct LionRule {
  using scalar_type = Scalar;
  using Options = LionOptions;
  using T = lanes::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Lion";

  using Factors = StepNumbers;

  Options options;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> moment = {};

  Factors begin(std::uint64_t t, const StepNumbers& now, std::size_t n) {
    if (t == 0) moment.setZero(static_cast<Eigen::Index>(n));
    return now;
  }
  void commit(const Factors&) noexcept {}
  void reset() { moment.resize(0); }

  void for_each_state(const auto& visit) { visit("moment", moment); }

  template <class Grad>
  struct Move {
    static constexpr std::size_t width = lanes::width<Scalar>;
    Scalar* params;
    Grad grad;
    T* moment;
    T rate, shrink, beta1, beta2, intake1, intake2;

    template <std::size_t N>
    auto operator()(lanes::At<N> i) const noexcept {
      const auto p = shrink * lanes::load<T>(params, i);
      const auto g = lanes::load<T>(grad, i);
      const auto m = lanes::load(moment, i);
      lanes::store(moment, i, lanes::mul_add(beta2, m, intake2 * g));
      const auto c = lanes::mul_add(beta1, m, intake1 * g);
      using V = decltype(+c);
      // The sign of NaN is NaN: a step must not hide a diverged gradient.
      const V sign = c > V{} ? lanes::all<V>(1) : c < V{} ? lanes::all<V>(-1) : c;
      return lanes::store(params, i, lanes::mul_add(-rate, sign, p));
    }
  };

  template <class Grad, class F>
  void with_kernel(const Factors& factors, const Slice<Scalar, Grad>& slice, const F& f) noexcept {
    f(Move<Grad>{.params = slice.params.data(),
                 .grad = slice.grad,
                 .moment = moment.data() + slice.offset,
                 .rate = static_cast<T>(factors.rate),
                 .shrink = static_cast<T>(1 - factors.rate * factors.decay),
                 .beta1 = static_cast<T>(options.beta1),
                 .beta2 = static_cast<T>(options.beta2),
                 .intake1 = static_cast<T>(1 - options.beta1),
                 .intake2 = static_cast<T>(1 - options.beta2)});
  }
};

}  // namespace detail

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"):
///
///     θ ← (1 − ηλ) θ − η sign(β₁ m + (1 − β₁) g);    m ← β₂ m + (1 − β₂) g
///
/// Costs n scalars of memory. Throws std::invalid_argument on options out of range.
template <FloatingPoint Scalar = double>
class Lion : public detail::Coordinatewise<detail::LionRule<Scalar>> {
 public:
  explicit Lion(LionOptions options = {}) : detail::Coordinatewise<detail::LionRule<Scalar>>(std::move(options)) {}
};

}  // namespace polyak
