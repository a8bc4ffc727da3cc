#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

struct LookaheadOptions {
  std::uint64_t every = 5;  ///< k ≥ 1: steps of the optimizer to one of the slow weights
  double alpha = 0.5;       ///< in (0, 1]: how far the slow weights go towards the fast ones
};

/// Lookahead (Zhang et al. 2019): the optimizer moves the weights θ; after every k steps slow weights φ, started at
/// θ_0, follow and θ restarts from them: φ ← φ + α (θ − φ), θ ← φ. Costs n scalars of memory, and one pass over them
/// every k steps. Scalar is that of the weights; it must be named where the optimizer does not say it and it is not
/// double.
template <class Optimizer, FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class Lookahead {
 public:
  using scalar_type = Scalar;
  using Options = LookaheadOptions;
  template <class Inner, class View>
  class Update;

  /// Throws std::invalid_argument on options out of range.
  explicit Lookahead(Optimizer trainer, Options options = {}) : optimizer_(std::move(trainer)), options_(options) {
    detail::require(options.every >= 1, name, "every must be >= 1", options.every);
    detail::require(detail::is_finite(options.alpha) && options.alpha > 0 && options.alpha <= 1, name,
                    "alpha must be in (0, 1]", options.alpha);
  }

  /// A step of the optimizer, and in every k-th one of the slow weights; true if one was taken.
  template <class P, class G>
  bool step(P&& params, const G& grad) {
    if constexpr (detail::explain_step<Scalar, P, G>()) {
      if constexpr (SlicewiseOptimizer<Optimizer>) {
        return detail::step_in_slices(*this, params, grad, name);
      } else {
        const bool taken = step_quietly(params, grad);
        throw_pending();
        return taken;
      }
    }
  }

  template <class View>
    requires SlicewiseOptimizer<Optimizer>
  [[nodiscard]] auto begin_step(const View& view) {
    prepare(view.layout());
    if (steps_ == 0) view.for_each([&](const auto& slice) { start(slice.offset, slice.params); });
    return Update<decltype(optimizer_.begin_step(view)), View>(*this, optimizer_.begin_step(view), view);
  }

  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }
  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Throws std::logic_error while an average inside stands in the place of the weights.
  void require_not_swapped() const { detail::require_nothing_swapped(optimizer_); }
  /// A step taken as a whole; what an average inside has to throw of it is held back for throw_pending.
  template <class P, class G>
  bool step_quietly(P& params, const G& grad)
    requires(!SlicewiseOptimizer<Optimizer>)
  {
    prepare(detail::layout_of(params, name));
    if (steps_ == 0)
      detail::for_each_block(params, name, [&](std::size_t offset, auto block) { start(offset, block); });
    if (!detail::step_whole_keeping_size(optimizer_, params, grad, name)) return false;
    if (syncs()) {
      detail::for_each_block(params, name, [&](std::size_t offset, auto block) {
        using Reading = detail::Read<Scalar>;
        const Sync<Reading> sync{{block.data()}, block.data(), slow_.data() + offset, alpha()};
        detail::for_each_index(block.size(), sync);
      });
    }
    ++steps_;
    return true;
  }
  /// Throws what an average inside has held back while the step was under way.
  void throw_pending() { detail::throw_pending(optimizer_); }

  /// Saves or loads the slow weights and the optimizer, which is the user's own or the library's: see
  /// Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, name);
    const detail::OptionSerializer<Archive> option{archive, name};
    option("scalar", detail::scalar_name<Scalar>);
    option("every", options_.every);
    option("alpha", options_.alpha);
    std::uint64_t steps = steps_;
    detail::serialize_value(archive, steps);
    const auto serialize_rest = [&](detail::KnownLayout& layout, auto& slow) {
      if (steps > 0) {
        layout.serialize(archive, name);
        detail::serialize_array(archive, name, "slow", slow, layout.size());
      }
      detail::serialize_part(archive, "optimizer", optimizer_);
    };
    if constexpr (detail::is_loading<Archive>) {
      detail::KnownLayout layout;
      decltype(slow_) slow;
      serialize_rest(layout, slow);
      steps_ = steps;
      layout_ = std::move(layout);
      slow_ = std::move(slow);
    } else {
      serialize_rest(layout_, slow_);
    }
  }

  /// Back to the state after construction, and the optimizer where it offers reset().
  void reset() {
    if constexpr (requires { optimizer_.reset(); }) optimizer_.reset();
    steps_ = 0;
    layout_.forget();
    slow_.resize(0);
  }

 private:
  using T = detail::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Lookahead";

  /// A move of a coordinate, and then of its slow weight.
  template <class Move>
  struct Sync {
    static constexpr bool vectorised = detail::VectorKernel<Move>;
    Move move;
    Scalar* params;
    T* slow;
    T alpha;

    [[gnu::always_inline]] auto radicand(std::size_t i) const noexcept
      requires detail::RootKernel<Move>
    {
      return move.radicand(i);
    }
    template <class... Root>
    [[gnu::always_inline]] Scalar operator()(std::size_t i, Root... root) const noexcept {
      const T fast = static_cast<T>(move(i, root...));
      slow[i] = detail::mul_add(alpha, fast - slow[i], slow[i]);
      return params[i] = static_cast<Scalar>(slow[i]);
    }
  };

  void prepare(const Layout& layout) {
    if (steps_ > 0) return layout_.check(layout, name);
    layout_.note(layout);
    slow_.resize(static_cast<Eigen::Index>(layout.size()));
  }
  template <class Block>
  void start(std::size_t offset, const Block& block) noexcept {
    detail::assign(slow_.data() + offset, block.data(), block.size());
  }
  [[nodiscard]] bool syncs() const noexcept { return (steps_ + 1) % options_.every == 0; }
  [[nodiscard]] T alpha() const noexcept { return static_cast<T>(options_.alpha); }

  Optimizer optimizer_;
  Options options_;
  std::uint64_t steps_ = 0;
  detail::KnownLayout layout_;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> slow_;
};

template <class Optimizer>
Lookahead(Optimizer) -> Lookahead<Optimizer>;
template <class Optimizer>
Lookahead(Optimizer, LookaheadOptions) -> Lookahead<Optimizer>;

/// One step's share of the work. Refers to its Lookahead, which must stay where it is meanwhile.
template <class Optimizer, FloatingPoint Scalar>
template <class Inner, class View>
class Lookahead<Optimizer, Scalar>::Update {
 public:
  static constexpr bool concurrent = Concurrent<Inner>;
  static constexpr bool late = LateUpdate<Inner>;

  Update(Lookahead& owner, Inner inner, const View& view) : owner_(&owner), inner_(std::move(inner)), view_(view) {}

  template <class Grad>
  void operator()(const Slice<Scalar, Grad>& slice) noexcept {
    if (late || !syncs()) return inner_(slice);
    if (visit(slice, [n = slice.params.size()](const auto& move) { detail::for_each_index(n, move); })) return;
    inner_(slice);
    sync(slice);
  }
  template <class Grad, class Visitor>
  bool visit(const Slice<Scalar, Grad>& slice, const Visitor& visitor) noexcept {
    if constexpr (ElementwiseUpdateOf<Inner, Scalar> && !late) {
      if (!syncs()) return inner_.visit(slice, visitor);
      return inner_.visit(slice, [&](const auto& move) { visitor(sync(move, slice)); });
    } else {
      return false;
    }
  }
  [[nodiscard]] bool taken() const noexcept { return inner_.taken(); }
  void commit() noexcept {
    const bool steps = taken();
    [[maybe_unused]] const bool synced = syncs();
    inner_.commit();
    if constexpr (late) {
      if (synced) view_.for_each([this](const auto& slice) { this->sync(slice); });
    }
    if (steps) ++owner_->steps_;
  }

 private:
  [[nodiscard]] bool syncs() const noexcept { return taken() && owner_->syncs(); }
  template <class Move, class Grad>
  [[nodiscard]] Sync<Move> sync(Move move, const Slice<Scalar, Grad>& slice) const noexcept {
    return {move, slice.params.data(), owner_->slow_.data() + slice.offset, owner_->alpha()};
  }
  template <class Grad>
  void sync(const Slice<Scalar, Grad>& slice) const noexcept {
    detail::for_each_index(slice.params.size(), sync(detail::Read<Scalar>{slice.params.data()}, slice));
  }

  Lookahead* owner_;
  Inner inner_;
  [[no_unique_address]] std::conditional_t<late, View, detail::NoView> view_;
};

}  // namespace polyak
