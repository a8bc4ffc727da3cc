#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/averaged.hpp"
#include "polyak/averagers/rate_weighted_average.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/schedules.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct ScheduleFreeOptions {
  double beta = 0.9;                ///< in [0, 1]: how far the parameters are from the iterate towards its average
  Hyperparameter weight_decay = 0;  ///< λ in [0, ∞), a number or a schedule: of the parameters, times the rate

  void for_each_option(const auto& visit) const {
    visit("beta", beta, detail::from_0_to_1);
    visit("weight_decay", weight_decay, detail::nonnegative);
  }
};

/// Training without a learning-rate schedule (Defazio et al. 2024, "The Road Less Scheduled"): the optimizer moves an
/// iterate z, x averages it, and the parameters lie between the two, so that the gradient is taken there:
///
///     z ← the optimizer's step from z − γλy;    x ← x + c (z − x);    y = (1 − β) z + β x
///
/// By (β, gain c) this is: Polyak–Ruppert averaging, β = 0; primal averaging, β = 1; Schedule-Free, β = 0.9 and the
/// default RateWeightedAverage; AC-SA (Lan 2012), PolynomialAverage{{.eta = 1}}; generalized primal averaging (Defazio
/// et al. 2025), an Ema without bias correction.
///
///     ScheduleFree opt{AdamW<float>{{.learning_rate = 0.003, .beta1 = 0, .weight_decay = 0}}, {.weight_decay = 0.01}};
///     opt.step(theta, grad);     // theta is y
///     evaluate(opt.average());   // x, to evaluate and to ship
///
/// Schedule-Free AdamW has no first moment (beta1 = 0: β takes its place) and decays y, as `weight_decay` here does;
/// that of the optimizer itself decays z. A warm-up over W steps, k/W in step k, is the optimizer's own:
/// LinearWarmup{{.start_factor = 1.0 / W, .steps = W - 1, .then = rate}}. Any optimizer goes in, wrapped or not; one
/// that steps whole is handed z in the parameters. What a layer around it averages is y. The parameters are written
/// from z and x, so what is put into them by hand is lost. Costs the average, n scalars for z, and no pass of its own;
/// where the optimizer steps whole, or the gradient lies in the memory of the parameters, n scalars more and a copy.
/// Scalar is that of the weights; it must be named where the optimizer does not say it and it is not double. Throws
/// std::invalid_argument on options out of range.
template <class Optimizer, class Averager = RateWeightedAverage<>,
          FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class ScheduleFree : public detail::StatefulWrapper<ScheduleFree<Optimizer, Averager, Scalar>,
                                                    Averaged<Optimizer, Averager>, ScheduleFreeOptions, Scalar>,
                     public detail::ReadsAverages<ScheduleFree<Optimizer, Averager, Scalar>> {
  friend typename ScheduleFree::StatefulWrapper;

 public:
  using scalar_type = Scalar;
  static constexpr std::string_view name = "polyak::ScheduleFree";
  using hands_on_to = Averaged<Optimizer, Averager>;

  /// Around an optimizer, with an averager whose default shadow is the one for the scalar of the optimizer.
  explicit ScheduleFree(Optimizer trainer, ScheduleFreeOptions options = {})
      : ScheduleFree(std::move(trainer), Averager(), std::move(options)) {}
  /// The same with an averager that is named.
  ScheduleFree(Optimizer trainer, Averager averager, ScheduleFreeOptions options = {})
      : ScheduleFree::StatefulWrapper(hands_on_to(std::move(trainer), std::move(averager)), std::move(options)) {}

  /// The averager of x.
  template <std::size_t I = 0>
  [[nodiscard]] auto& averager() noexcept {
    return this->optimizer_.template averager<I>();
  }
  template <std::size_t I = 0>
  [[nodiscard]] const auto& averager() const noexcept {
    return this->optimizer_.template averager<I>();
  }
  /// What it goes around.
  [[nodiscard]] Optimizer& optimizer() noexcept { return this->optimizer_.optimizer(); }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return this->optimizer_.optimizer(); }
  /// z, flat; empty before the first step.
  [[nodiscard]] const auto& iterate() const noexcept { return iterate_; }
  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

  /// A step of the optimizer from z, the fold into x, and y in the place of the parameters. Throws what they throw.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    static_assert(!(detail::MovesWeights<Folds> || ...),
                  "polyak::ScheduleFree: nothing around it may move the weights once more; Lookahead goes inside");
    begin(step.view());
    const Origin<Scalar> origin{iterate_.data(), decay(), detail::block_options(this->optimizer_)};
    const Steer steer{iterate_.data(), &averager(), nullptr, static_cast<T>(1 - this->options_.beta)};
    const Scalar* const gradient = step.gradient() ? step.gradient() : kept_gradient(step.view());
    const Outcome outcome = polyak::advance(this->optimizer_, step.from(origin, gradient), steer, folds...);
    if (outcome.taken) ++steps_;
    return outcome;
  }

 private:
  using Fitted = std::remove_cvref_t<decltype(std::declval<hands_on_to&>().averager())>;
  static_assert(FoldsByCoordinate<typename Fitted::Fold>,
                "polyak::ScheduleFree: the averager goes by gains, which Lawa does not");
  using Shadow = typename Fitted::shadow_type;
  using T = std::common_type_t<lanes::compute_t<Scalar>, lanes::compute_t<Shadow>>;

  /// Before the first step z is made what the parameters are, and in a frozen block before each.
  template <bool Filters>
  void begin(const StepView<Scalar, Filters>& view) {
    if (steps_ > 0) {
      layout_.check(view, name);
      return detail::copy_frozen(view, iterate_.data());
    }
    layout_.remember(view);
    iterate_.resize(static_cast<Eigen::Index>(view.size()));
    detail::for_each_part(view, [z = iterate_.data()](const auto& part) {
      lanes::copy(z + part.offset, part.params.data(), part.params.size());
    });
  }
  /// A copy of the gradient where it lies in the memory of the parameters; else null.
  template <bool Filters>
  [[nodiscard]] const Scalar* kept_gradient(const StepView<Scalar, Filters>& view) {
    bool shared = false;
    for (std::size_t i = 0; i < view.blocks(); ++i) {
      const BlockRef& block = view.block(i);
      shared |= block.grad && block.grad == block.params;
    }
    if (!shared) return nullptr;
    gradient_.resize(view.size());
    view.for_each_unfiltered([this](const auto& slice) {
      if (slice.grad) lanes::copy(gradient_.data() + slice.offset, slice.grad, slice.params.size());
    });
    return gradient_.data();
  }
  [[nodiscard]] double decay() const {
    const double decay = this->options_.weight_decay(steps_);
    detail::OptionChecker{name}("weight_decay", decay, detail::nonnegative);
    return decay == 0 ? 0 : decay * detail::learning_rate_of(optimizer());
  }

  /// A fold behind that of x: keeps z, and moves the parameter to y. Until there is an x, that is z.
  struct Steer {
    static constexpr std::size_t width = lanes::width<Scalar, Shadow>;
    using moves_weights = void;
    Scalar* iterate;
    const Fitted* averager;
    const Shadow* average;
    T share;  // 1 − β

    [[nodiscard]] Steer at(std::size_t offset) const noexcept {
      const Shadow* const x = share == T(1) ? nullptr : averager->while_folded();
      return {iterate + offset, averager, x ? x + offset : x, share};
    }
    template <std::size_t N, class W>
    lanes::Packet<Scalar, N> operator()(lanes::At<N> i, W z) const noexcept {
      lanes::store(iterate, i, z);
      if (!average) return z;
      const auto x = lanes::load<T>(average, i);
      return lanes::convert<Scalar>(lanes::mul_add(share, lanes::convert<T>(z) - x, x));
    }
  };

  [[nodiscard]] auto state() noexcept { return std::tie(steps_, layout_, iterate_); }
  static void serialize_state(auto& archive, std::uint64_t& steps, detail::KnownLayout& layout, auto& iterate) {
    detail::serialize_value(archive, "steps", steps);
    if (steps == 0) return;
    layout.serialize(archive, name);
    detail::serialize_array(archive, name, "iterate", iterate, layout.size());
  }

  std::uint64_t steps_ = 0;
  detail::KnownLayout layout_;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> iterate_;
  std::vector<Scalar> gradient_;  // of one step
};

template <class Optimizer>
ScheduleFree(Optimizer, ScheduleFreeOptions = {}) -> ScheduleFree<Optimizer>;
template <class Optimizer, class Averager>
ScheduleFree(Optimizer, Averager, ScheduleFreeOptions = {}) -> ScheduleFree<Optimizer, Averager>;

}  // namespace polyak
