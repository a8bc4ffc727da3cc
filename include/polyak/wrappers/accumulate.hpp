#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/gradient_wrapper.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

struct AccumulateOptions {
  std::uint64_t micro_batches = 2;  ///< k ≥ 1: gradients to one step
};

/// Takes one step along the mean of every k gradients (of micro-batches of one size): step returns false k − 1 times,
/// when it only adds up, and then true. An average around it folds once per real step. Costs two vectors of memory, and
/// one pass over them a micro-batch. Scalar is that of the weights; it must be named where the optimizer does not say
/// it and it is not double.
template <class Optimizer, FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class Accumulate {
 public:
  using scalar_type = Scalar;
  using Options = AccumulateOptions;
  template <class Inner>
  class Update;

  /// Throws std::invalid_argument on micro_batches = 0.
  explicit Accumulate(Optimizer trainer, Options options = {}) : optimizer_(std::move(trainer)), options_(options) {
    detail::require(options.micro_batches >= 1, name, "micro_batches must be >= 1", options.micro_batches);
  }

  /// Adds the gradient and, if it is the last of k, takes the step. Throws what the optimizer throws, of the first
  /// gradient as of the last; then the gradient was not added.
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

  [[nodiscard]] auto begin_step(const StepView<Scalar>& view)
    requires SlicewiseOptimizer<Optimizer>
  {
    using Inner = decltype(optimizer_.begin_step(view));
    // What the optimizer would refuse in the end, it refuses at once.
    if (pending_ == 0 && !last()) static_cast<void>(optimizer_.begin_step(view));
    prepare(view);
    if (!last()) return Update<Inner>(*this);
    return Update<Inner>(*this, optimizer_.begin_step(view.along(mean_.data())));
  }

  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }
  /// Gradients added up towards the next step.
  [[nodiscard]] std::uint64_t pending() const noexcept { return pending_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Throws std::logic_error while an average inside stands in the place of the weights.
  void require_not_swapped() const { detail::require_nothing_swapped(optimizer_); }
  /// A step taken as a whole; what an average inside has to throw of it is held back for throw_pending.
  template <class P, class G>
  bool step_quietly(P& params, const G& grad)
    requires(!SlicewiseOptimizer<Optimizer>)
  {
    return detail::with_view(params, grad, name, [&](const auto& view) { return step_whole(params, view); });
  }
  /// Throws what an average inside has held back while the step was under way.
  void throw_pending() { detail::throw_pending(optimizer_); }

  /// Saves or loads what is added up and the optimizer, which is the user's own or the library's: see
  /// Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, name);
    const detail::OptionSerializer<Archive> option{archive, name};
    option("scalar", detail::scalar_name<Scalar>);
    option("micro_batches", options_.micro_batches);
    std::uint64_t pending = pending_;
    detail::serialize_value(archive, pending);
    if (pending >= options_.micro_batches) {
      detail::throw_damaged(name, "it has " + detail::to_text(pending) + " gradients pending");
    }
    const auto serialize_rest = [&](detail::KnownLayout& layout, auto& sum) {
      if (pending > 0) {
        layout.serialize(archive, name);
        detail::serialize_array(archive, name, "sum", sum, layout.size());
      }
      detail::serialize_part(archive, "optimizer", optimizer_);
    };
    if constexpr (detail::is_loading<Archive>) {
      detail::KnownLayout layout;
      decltype(sum_) sum;
      serialize_rest(layout, sum);
      pending_ = pending;
      layout_ = std::move(layout);
      sum_ = std::move(sum);
    } else {
      serialize_rest(layout_, sum_);
    }
  }

  /// Back to the state after construction: drops what is added up, and resets the optimizer where it offers reset().
  void reset() {
    if constexpr (requires { optimizer_.reset(); }) optimizer_.reset();
    pending_ = 0;
    sum_.resize(0);
    mean_.resize(0);
  }

 private:
  using T = detail::compute_t<Scalar>;
  static constexpr std::string_view name = "polyak::Accumulate";

  [[nodiscard]] bool last() const noexcept { return pending_ + 1 == options_.micro_batches; }

  /// All that can throw, and the mean, which nobody sees before the step.
  void prepare(const StepView<Scalar>& view) {
    require_not_swapped();
    const auto n = static_cast<Eigen::Index>(view.layout().size());
    if (pending_ > 0) {
      layout_.check(view.layout(), name);
    } else {
      layout_.note(view.layout());
      sum_.setZero(n);
    }
    if (!last()) return;
    mean_.resize(n);
    detail::for_each_part<true>(view, [&](const Slice<Scalar>& slice) {
      const auto g = detail::filtered(slice, view.filter()).grad;
      for (std::size_t i = 0; i < slice.params.size(); ++i) {
        const auto at = static_cast<Eigen::Index>(slice.offset + i);
        mean_[at] = static_cast<Scalar>((sum_[at] + g[i]) / static_cast<T>(options_.micro_batches));
      }
    });
  }
  template <class P>
  bool step_whole(P& params, const StepView<Scalar>& view) {
    prepare(view);
    bool taken = false;
    if (last()) {
      taken = detail::with_shaped(params, mean_.data(),
                                  [&](const auto& mean) { return detail::step_whole(optimizer_, params, mean); });
    } else {
      detail::for_each_part<true>(view, [&](const auto& slice) { add(slice); });
    }
    count();
    return taken;
  }
  template <class Grad>
  void add(const Slice<Scalar, Grad>& slice) noexcept {
    T* const sum = sum_.data() + slice.offset;
    for (std::size_t i = 0; i < slice.params.size(); ++i) sum[i] += static_cast<T>(slice.grad[i]);
  }
  void count() noexcept { pending_ = last() ? 0 : pending_ + 1; }

  Optimizer optimizer_;
  Options options_;
  std::uint64_t pending_ = 0;
  detail::KnownLayout layout_;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> sum_;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> mean_;
};

template <class Optimizer>
Accumulate(Optimizer) -> Accumulate<Optimizer>;
template <class Optimizer>
Accumulate(Optimizer, AccumulateOptions) -> Accumulate<Optimizer>;

/// One micro-batch's share of the work: of the step along the mean, or of the adding up before it.
template <class Optimizer, FloatingPoint Scalar>
template <class Inner>
class Accumulate<Optimizer, Scalar>::Update {
 public:
  static constexpr bool concurrent = Concurrent<Inner>;
  static constexpr bool late = LateUpdate<Inner>;

  explicit Update(Accumulate& owner) : owner_(&owner) {}
  Update(Accumulate& owner, Inner inner) : owner_(&owner), inner_(std::move(inner)) {}

  template <class Grad>
  void operator()(const Slice<Scalar, Grad>& slice) noexcept {
    if (inner_) {
      (*inner_)(along_mean(slice));
    } else {
      owner_->add(slice);
    }
  }
  template <class Grad, class Visitor>
    requires ElementwiseUpdateOf<Inner, Scalar>
  bool visit(const Slice<Scalar, Grad>& slice, const Visitor& visitor) noexcept {
    return inner_ && inner_->visit(along_mean(slice), visitor);
  }
  [[nodiscard]] bool taken() const noexcept { return inner_ && inner_->taken(); }
  void commit() noexcept {
    if (inner_) inner_->commit();
    owner_->count();
  }

 private:
  template <class Grad>
  [[nodiscard]] Slice<Scalar> along_mean(const Slice<Scalar, Grad>& slice) const noexcept {
    return {slice.block, slice.offset, slice.params, owner_->mean_.data() + slice.offset};
  }

  Accumulate* owner_;
  std::optional<Inner> inner_;
};

}  // namespace polyak
