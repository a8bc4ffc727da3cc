#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct LookaheadOptions {
  std::uint64_t every = 5;  ///< k ≥ 1: steps of the optimizer to one of the slow weights
  double alpha = 0.5;       ///< in (0, 1]: how far the slow weights go towards the fast ones

  void for_each_option(const auto& visit) const {
    visit("every", every, detail::at_least_1);
    visit("alpha", alpha, detail::above_0_to_1);
  }
};

/// Lookahead (Zhang et al. 2019): the optimizer moves the weights θ; after every k steps slow weights φ, started at
/// θ_0, follow and θ restarts from them: φ ← φ + α (θ − φ), θ ← φ. Costs n scalars of memory, and one pass over them
/// every k steps. Scalar is that of the weights; it must be named where the optimizer does not say it and it is not
/// double.
template <class Optimizer, FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class Lookahead : public detail::StatefulWrapper<Lookahead<Optimizer, Scalar>, Optimizer, LookaheadOptions, Scalar> {
  friend typename Lookahead::StatefulWrapper;

 public:
  using scalar_type = Scalar;
  static constexpr std::string_view name = "polyak::Lookahead";
  using hands_on_to = Optimizer;

  /// Throws std::invalid_argument on options out of range.
  explicit Lookahead(Optimizer trainer, LookaheadOptions options = {})
      : Lookahead::StatefulWrapper(std::move(trainer), options) {}

  /// A step of the optimizer, and in every k-th one of the slow weights.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    begin(step.view());
    const bool syncs = (steps_ + 1) % this->options_.every == 0;
    const Sync sync{slow_.data(), static_cast<T>(this->options_.alpha)};
    const Outcome outcome = syncs ? polyak::advance(this->optimizer_, step, sync, folds...)
                                  : polyak::advance(this->optimizer_, step, folds...);
    if (outcome.taken) ++steps_;
    return outcome;
  }

  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  using T = lanes::compute_t<Scalar>;

  /// Before the first step the slow weights are made those of the parameters, and those of a frozen block before each.
  template <bool Filters>
  void begin(const StepView<Scalar, Filters>& view) {
    if (steps_ > 0) {
      layout_.check(view, name);
      return detail::copy_frozen(view, slow_.data());
    }
    layout_.remember(view);
    slow_.resize(static_cast<Eigen::Index>(view.size()));
    detail::for_each_part(view, [slow = slow_.data()](const auto& part) {
      lanes::copy(slow + part.offset, part.params.data(), part.params.size());
    });
  }

  /// A fold that follows those of the optimizer inside: it moves the slow weight of a coordinate, and the coordinate to
  /// it.
  struct Sync {
    static constexpr std::size_t width = lanes::width<Scalar>;
    using moves_weights = void;
    T* slow;
    T alpha;

    [[nodiscard]] Sync at(std::size_t offset) const noexcept { return {slow + offset, alpha}; }
    template <std::size_t N, class W>
    auto operator()(lanes::At<N> i, W fast) const noexcept {
      const auto before = lanes::load(slow, i);
      return lanes::store(slow, i, lanes::mul_add(alpha, lanes::convert<T>(fast) - before, before));
    }
  };

  [[nodiscard]] auto state() noexcept { return std::tie(steps_, layout_, slow_); }
  static void serialize_state(auto& archive, std::uint64_t& steps, detail::KnownLayout& layout, auto& slow) {
    detail::serialize_value(archive, "steps", steps);
    if (steps == 0) return;
    layout.serialize(archive, name);
    detail::serialize_array(archive, name, "slow", slow, layout.size());
  }

  std::uint64_t steps_ = 0;
  detail::KnownLayout layout_;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> slow_;
};

}  // namespace polyak
