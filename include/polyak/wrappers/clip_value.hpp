#pragma once

#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/gradient_wrapper.hpp"

namespace polyak {

struct ClipValueOptions {
  double max_value = 1;  ///< > 0
};

/// Clamps every coordinate of the gradient to [−max_value, max_value], as torch's clip_grad_value_ does. NaN stays NaN.
/// Costs nothing but arithmetic in the optimizer's own pass.
template <class Optimizer>
class ClipValue : public detail::GradientWrapper<ClipValue<Optimizer>, Optimizer> {
  using Base = detail::GradientWrapper<ClipValue<Optimizer>, Optimizer>;

 public:
  using Options = ClipValueOptions;
  static constexpr std::string_view name = "polyak::ClipValue";

  /// Throws std::invalid_argument unless max_value > 0.
  explicit ClipValue(Optimizer trainer, Options options = {}) : Base(std::move(trainer)), options_(options) {
    detail::require_finite_positive(options.max_value, name, "max_value must be finite and > 0");
  }

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  void reset() { this->reset_optimizer(); }

  template <FloatingPoint Scalar>
  [[nodiscard]] detail::Verdict inspect(const StepView<Scalar>&) const noexcept {
    return {false, {1, options_.max_value}};
  }
  void note(const detail::Verdict&) const noexcept {}

  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("max_value", options_.max_value);
  }
  [[nodiscard]] auto state() noexcept { return std::tie(); }

 private:
  Options options_;
};

}  // namespace polyak
