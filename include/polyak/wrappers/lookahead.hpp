#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
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
class Lookahead : public Wrapper<Lookahead<Optimizer, Scalar>, Optimizer> {
  using Base = Wrapper<Lookahead<Optimizer, Scalar>, Optimizer>;

 public:
  using scalar_type = Scalar;
  using Options = LookaheadOptions;
  static constexpr std::string_view name = "polyak::Lookahead";

  /// Throws std::invalid_argument on options out of range.
  explicit Lookahead(Optimizer trainer, Options options = {}) : Base(std::move(trainer)), options_(options) {
    options.for_each_option(detail::OptionChecker{name});
  }

  /// A step of the optimizer, and in every k-th one of the slow weights.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    if (steps_ == 0) {
      start(step);
    } else {
      layout_.check(step, name);
    }
    const bool syncs = (steps_ + 1) % options_.every == 0;
    const Outcome outcome = syncs ? polyak::advance(this->optimizer_, step, Sync{*this}, folds...)
                                  : polyak::advance(this->optimizer_, step, folds...);
    if (outcome.taken) ++steps_;
    return outcome;
  }

  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Saves or loads the slow weights and the optimizer, which is the user's own or the library's: see
  /// Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, name);
    const detail::OptionSerializer<Archive> option{archive, name};
    option("scalar", detail::scalar_name<Scalar>);
    options_.for_each_option(option);
    const auto serialize_state = [&](std::uint64_t& steps, detail::KnownLayout& layout, auto& slow) {
      detail::serialize_value(archive, steps);
      if (steps > 0) {
        layout.serialize(archive, name);
        detail::serialize_array(archive, name, "slow", slow, layout.size());
      }
      detail::serialize_part(archive, "optimizer", this->optimizer_);
    };
    detail::serialize_members<Archive>(serialize_state, steps_, layout_, slow_);
  }

  /// Back to the state after construction, and the optimizer where it offers reset().
  void reset() {
    this->reset_optimizer();
    steps_ = 0;
    layout_.forget();
    slow_.resize(0);
  }

 private:
  using T = lanes::compute_t<Scalar>;

  /// A move of the slow weight of a coordinate, and of the coordinate to it.
  struct Follow {
    static constexpr std::size_t width = lanes::width<Scalar>;
    using moves_weights = void;
    T* slow;
    T alpha;

    template <std::size_t N, class W>
    auto operator()(lanes::At<N> i, W fast) const noexcept {
      const auto before = lanes::load(slow, i);
      return lanes::store(slow, i, lanes::mul_add(alpha, lanes::convert<T>(fast) - before, before));
    }
  };
  /// A fold that follows those of the optimizer inside.
  struct Sync {
    Lookahead& owner;

    [[nodiscard]] Follow at(std::size_t offset) const noexcept {
      return {owner.slow_.data() + offset, static_cast<T>(owner.options_.alpha)};
    }
  };

  template <class View>
  void start(const View& view) {
    layout_.remember(view);
    slow_.resize(static_cast<Eigen::Index>(view.size()));
    detail::for_each_part(view, [this](const auto& part) {
      lanes::copy(slow_.data() + part.offset, part.params.data(), part.params.size());
    });
  }

  Options options_;
  std::uint64_t steps_ = 0;
  detail::KnownLayout layout_;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> slow_;
};

template <class Optimizer>
Lookahead(Optimizer) -> Lookahead<Optimizer>;
template <class Optimizer>
Lookahead(Optimizer, LookaheadOptions) -> Lookahead<Optimizer>;

}  // namespace polyak
