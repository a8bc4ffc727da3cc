#pragma once

#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct ClipValueOptions {
  double max_value = 1;  ///< > 0

  void for_each_option(const auto& visit) const { visit("max_value", max_value, detail::positive); }
};

/// Clamps every coordinate of the gradient to [−max_value, max_value], as torch's clip_grad_value_ does. NaN stays NaN.
/// Costs nothing but arithmetic in the optimizer's own pass.
template <class Optimizer>
class ClipValue : public detail::GradientWrapper<ClipValue<Optimizer>, Optimizer, ClipValueOptions> {
 public:
  static constexpr std::string_view name = "polyak::ClipValue";

  /// Throws std::invalid_argument unless max_value > 0.
  explicit ClipValue(Optimizer trainer, ClipValueOptions options = {})
      : ClipValue::GradientWrapper(std::move(trainer), options) {}

  template <FloatingPoint Scalar, bool Filters>
  [[nodiscard]] detail::Verdict inspect(const StepView<Scalar, Filters>&) const noexcept {
    return {false, {1, this->options_.max_value}};
  }
  void record(const detail::Verdict&) const noexcept {}

  [[nodiscard]] auto state() noexcept { return std::tie(); }
  static void serialize_state(auto&) noexcept {}
};

}  // namespace polyak
