#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct AccumulateOptions {
  std::uint64_t micro_batches = 2;  ///< k ≥ 1: gradients to one step

  void for_each_option(const auto& visit) const { visit("micro_batches", micro_batches, detail::at_least_1); }
};

/// Takes one step along the mean of every k gradients, Σ n_i g_i / Σ n_i, where micro-batch i has n_i samples:
///
///     Accumulate opt{Sgd{{.learning_rate = 0.1}}, {.micro_batches = 4}};
///     opt.step(theta, gradient);             // false three times, when it only adds up, and then true
///     opt.step(theta, gradient, samples);    // the same with n_i = samples, where it is 1 above
///     opt.flush(theta);                      // at the end of an epoch: along the mean of what is pending
///
/// With layers around it, all three are called on the outermost. An average around it folds once per real step. A
/// frozen block adds nothing to its sum. Costs two vectors of memory, and one pass over them a micro-batch. Scalar is
/// that of the weights; it must be named where the optimizer does not say it and it is not double.
template <class Optimizer, FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class Accumulate : public detail::StatefulWrapper<Accumulate<Optimizer, Scalar>, Optimizer, AccumulateOptions, Scalar> {
  friend typename Accumulate::StatefulWrapper;

 public:
  using scalar_type = Scalar;
  static constexpr std::string_view name = "polyak::Accumulate";

  /// Throws std::invalid_argument on micro_batches = 0.
  explicit Accumulate(Optimizer trainer, AccumulateOptions options = {})
      : Accumulate::StatefulWrapper(std::move(trainer), options) {}

  /// Adds the gradient and, if it is the last of k, takes the step. Throws what that throws, and std::invalid_argument
  /// on a size other than that of the first of the k; then the gradient was not added. A flush steps along the mean of
  /// what is pending, and where that takes no step, goes on to an Accumulate further in.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    this->require_not_swapped();
    step.require_apart(name);
    constexpr bool flushes = detail::is_flush<Step>;
    Outcome outcome;
    if (flushes ? begin_flush(step.view()) : add(step.view(), step.samples())) {
      outcome = polyak::advance(this->optimizer_, step.anew(mean_.data()), folds...);
      pending_ = 0;
      samples_ = 0;
    }
    if constexpr (flushes) {
      if (!outcome.taken) outcome = polyak::advance(this->optimizer_, step, folds...);
    }
    return outcome;
  }

  /// Gradients added up towards the next step.
  [[nodiscard]] std::uint64_t pending() const noexcept { return pending_; }

 private:
  using T = lanes::compute_t<Scalar>;

  [[nodiscard]] auto state() noexcept { return std::tie(pending_, samples_, layout_, sum_, mean_); }
  void serialize_state(auto& archive, std::uint64_t& pending, double& samples, detail::KnownLayout& layout, auto& sum,
                       auto&) const {
    detail::serialize_value(archive, "pending", pending);
    if (pending >= this->options_.micro_batches && !detail::keeps_options(archive)) {
      detail::throw_damaged(name, "it has " + detail::to_text(pending) + " gradients pending");
    }
    if (pending == 0) return;
    detail::serialize_value(archive, "samples", samples);
    if (!detail::positive.holds(samples)) {
      detail::throw_damaged(name, "it has " + detail::to_text(samples) + " samples");
    }
    layout.serialize(archive, name);
    detail::serialize_array(archive, name, "sum", sum, layout.size());
  }

  /// Adds a gradient to the sum. If it is the last of k, returns true instead, with the mean of all in mean_, which the
  /// optimizer is to step along: should that throw, the sum is what it was.
  template <bool Filters>
  [[nodiscard]] bool add(const StepView<Scalar, Filters>& view, double samples) {
    if (pending_ > 0) {
      layout_.check(view, name);
    } else {
      layout_.remember(view);
      sum_.setZero(static_cast<Eigen::Index>(view.size()));
    }
    const auto for_each_gradient = [&view](const auto& f) {
      detail::for_each_filtered(view, [&f](const auto& slice) {
        if (!slice.grad) return;
        for (std::size_t i = 0; i < slice.params.size(); ++i) f(slice.offset + i, static_cast<T>(slice.grad[i]));
      });
    };
    const T weight = static_cast<T>(samples), all = static_cast<T>(samples_ + samples);
    // More than k of them are there where a run goes on with fewer to a step.
    if (pending_ + 1 < this->options_.micro_batches) {
      for_each_gradient(
          [sum = sum_.data(), weight](std::size_t i, T g) noexcept { sum[i] = lanes::mul_add(weight, g, sum[i]); });
      ++pending_;
      samples_ += samples;
      return false;
    }
    mean_.resize(sum_.size());  // nobody sees it before the step
    for_each_gradient([sum = sum_.data(), mean = mean_.data(), weight, all](std::size_t i, T g) noexcept {
      mean[i] = static_cast<Scalar>(lanes::mul_add(weight, g, sum[i]) / all);
    });
    return true;
  }
  /// Whether gradients are pending, and then with their mean in mean_.
  template <bool Filters>
  [[nodiscard]] bool begin_flush(const StepView<Scalar, Filters>& view) {
    if (pending_ == 0) return false;
    layout_.check(view, name);
    mean_ = (sum_ / static_cast<T>(samples_)).template cast<Scalar>();
    return true;
  }

  std::uint64_t pending_ = 0;
  double samples_ = 0;  // of what is pending
  detail::KnownLayout layout_;
  Eigen::Matrix<T, Eigen::Dynamic, 1, Eigen::ColMajor> sum_;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> mean_;
};

}  // namespace polyak
