#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct SkipNonFiniteOptions {
  void for_each_option(const auto&) const {}
};

/// Takes no step along a gradient with a NaN or an infinity in it, before any filter of a wrapper around: neither
/// weights nor optimizer state, average or schedule move; step returns false and skipped() counts it. Works under
/// -ffast-math too. Costs one more pass over the gradient.
template <class Optimizer>
class SkipNonFinite : public detail::GradientWrapper<SkipNonFinite<Optimizer>, Optimizer, SkipNonFiniteOptions> {
 public:
  static constexpr std::string_view name = "polyak::SkipNonFinite";

  /// Around any optimizer.
  explicit SkipNonFinite(Optimizer trainer) : SkipNonFinite::GradientWrapper(std::move(trainer), {}) {}

  /// Gradients that were skipped.
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }

  template <FloatingPoint Scalar, bool Filters>
  [[nodiscard]] detail::Verdict inspect(const StepView<Scalar, Filters>& view) const {
    detail::Verdict verdict;
    view.for_each_unfiltered([&](const Slice<Scalar>& slice) {
      if (slice.grad) verdict.skip |= !detail::all_finite(std::span<const Scalar>(slice.grad, slice.params.size()));
    });
    return verdict;
  }
  void record(const detail::Verdict& verdict) noexcept { skipped_ += verdict.skip ? 1 : 0; }

  [[nodiscard]] auto state() noexcept { return std::tie(skipped_); }
  static void serialize_state(auto& archive, std::uint64_t& skipped) {
    detail::serialize_value(archive, "skipped", skipped);
  }

 private:
  std::uint64_t skipped_ = 0;
};

}  // namespace polyak
