#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <string_view>
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

/// Takes one step along the mean of every k gradients (of micro-batches of one size): step returns false k − 1 times,
/// when it only adds up, and then true. An average around it folds once per real step. Costs two vectors of memory, and
/// one pass over them a micro-batch. Scalar is that of the weights; it must be named where the optimizer does not say
/// it and it is not double.
template <class Optimizer, FloatingPoint Scalar = detail::scalar_or_double<Optimizer>>
class Accumulate : public Wrapper<Accumulate<Optimizer, Scalar>, Optimizer> {
  using Base = Wrapper<Accumulate<Optimizer, Scalar>, Optimizer>;

 public:
  using scalar_type = Scalar;
  using Options = AccumulateOptions;
  static constexpr std::string_view name = "polyak::Accumulate";

  /// Throws std::invalid_argument on micro_batches = 0.
  explicit Accumulate(Optimizer trainer, Options options = {}) : Base(std::move(trainer)), options_(options) {
    options.for_each_option(detail::OptionChecker{name});
  }

  /// Adds the gradient and, if it is the last of k, takes the step. Throws what that throws, and std::invalid_argument
  /// on a size other than that of the first of the k; then the gradient was not added.
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    prepare(step);
    Outcome outcome;
    if (last()) {
      outcome = polyak::advance(this->optimizer_, step.along(mean_.data()), folds...);
    } else {
      detail::for_each_filtered(step, [this](const auto& slice) { this->add(slice); });
    }
    pending_ = last() ? 0 : pending_ + 1;
    return outcome;
  }

  /// Gradients added up towards the next step.
  [[nodiscard]] std::uint64_t pending() const noexcept { return pending_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Saves or loads what is added up and the optimizer, which is the user's own or the library's: see
  /// Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    detail::serialize_version(archive, name);
    const detail::OptionSerializer<Archive> option{archive, name};
    option("scalar", detail::scalar_name<Scalar>);
    options_.for_each_option(option);
    const auto serialize_state = [&](std::uint64_t& pending, detail::KnownLayout& layout, auto& sum) {
      detail::serialize_value(archive, pending);
      if (pending >= options_.micro_batches) {
        detail::throw_damaged(name, "it has " + detail::to_text(pending) + " gradients pending");
      }
      if (pending > 0) {
        layout.serialize(archive, name);
        detail::serialize_array(archive, name, "sum", sum, layout.size());
      }
      detail::serialize_part(archive, "optimizer", this->optimizer_);
    };
    detail::serialize_members<Archive>(serialize_state, pending_, layout_, sum_);
  }

  /// Back to the state after construction: drops what is added up, and resets the optimizer where it offers reset().
  void reset() {
    this->reset_optimizer();
    pending_ = 0;
    sum_.resize(0);
    mean_.resize(0);
  }

 private:
  using T = lanes::compute_t<Scalar>;

  [[nodiscard]] bool last() const noexcept { return pending_ + 1 == options_.micro_batches; }

  /// All that can throw, and the mean, which nobody sees before the step.
  template <class View>
  void prepare(const View& view) {
    this->require_not_swapped();
    const auto n = static_cast<Eigen::Index>(view.size());
    if (pending_ > 0) {
      layout_.check(view, name);
    } else {
      layout_.remember(view);
      sum_.setZero(n);
    }
    if (!last()) return;
    mean_.resize(n);
    detail::for_each_part(view, [&](const Slice<Scalar>& slice) {
      const auto g = detail::filtered(slice, view.filter()).grad;
      for (std::size_t i = 0; i < slice.params.size(); ++i) {
        const auto at = static_cast<Eigen::Index>(slice.offset + i);
        mean_[at] = static_cast<Scalar>((sum_[at] + g[i]) / static_cast<T>(options_.micro_batches));
      }
    });
  }
  template <class Grad>
  void add(const Slice<Scalar, Grad>& slice) noexcept {
    T* const sum = sum_.data() + slice.offset;
    for (std::size_t i = 0; i < slice.params.size(); ++i) sum[i] += static_cast<T>(slice.grad[i]);
  }

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

}  // namespace polyak
