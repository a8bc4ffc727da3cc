#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/gradient_wrapper.hpp"
#include "polyak/detail/kernel.hpp"

namespace polyak {

struct ClipNormOptions {
  double max_norm = 1;  ///< > 0
};

/// Clips the gradient by its norm over all blocks, as torch's clip_grad_norm_ does (Pascanu, Mikolov & Bengio 2013):
/// g ← g · min(1, max_norm / (‖g‖₂ + 1e-6)). ‖g‖ is summed in double (in long double for such weights), over 32
/// interleaved partial sums. Costs one more pass over the gradient; the scaling is part of the optimizer's own.
template <class Optimizer>
class ClipNorm : public detail::GradientWrapper<ClipNorm<Optimizer>, Optimizer> {
  using Base = detail::GradientWrapper<ClipNorm<Optimizer>, Optimizer>;

 public:
  using Options = ClipNormOptions;
  static constexpr std::string_view name = "polyak::ClipNorm";

  /// Throws std::invalid_argument unless max_norm > 0.
  explicit ClipNorm(Optimizer trainer, Options options = {}) : Base(std::move(trainer)), options_(options) {
    detail::require_finite_positive(options.max_norm, name, "max_norm must be finite and > 0");
  }

  /// ‖g‖ of the latest gradient, before clipping.
  [[nodiscard]] double norm() const noexcept { return norm_; }
  /// Gradients that were clipped.
  [[nodiscard]] std::uint64_t clipped() const noexcept { return clipped_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  void reset() {
    this->reset_optimizer();
    norm_ = 0;
    clipped_ = 0;
  }

  template <FloatingPoint Scalar>
  [[nodiscard]] detail::Verdict inspect(const StepView<Scalar>& view) {
    using T = std::conditional_t<std::is_same_v<Scalar, long double>, long double, double>;
    std::array<T, detail::chunk> sums{};
    view.for_each([&](const Slice<Scalar>& slice) {
      const auto g = detail::filtered(slice, view.filter()).grad;
      const std::size_t n = slice.params.size();
      // Each coordinate belongs to the same sum however the vector is cut into blocks.
      std::size_t i = 0;
      for (; i < n && (slice.offset + i) % detail::chunk != 0; ++i) {
        add_square(sums[(slice.offset + i) % detail::chunk], static_cast<T>(g[i]));
      }
      for (; i + detail::chunk <= n; i += detail::chunk) {
        for (std::size_t j = 0; j < detail::chunk; ++j) add_square(sums[j], static_cast<T>(g[i + j]));
      }
      for (std::size_t j = 0; i + j < n; ++j) add_square(sums[j], static_cast<T>(g[i + j]));
    });
    T total = 0;
    for (const T sum : sums) total += sum;
    pending_norm_ = static_cast<double>(std::sqrt(total));
    // Not std::min, which would let a norm of NaN pass for one of zero.
    const double scale = options_.max_norm / (pending_norm_ + 1e-6);
    return {false, {scale > 1 ? 1 : scale}};
  }
  void note(const detail::Verdict& verdict) noexcept {
    norm_ = pending_norm_;
    clipped_ += verdict.filter.scale == 1 ? 0 : 1;
  }

  template <class Visitor>
  void for_each_option(const Visitor& visit) const {
    visit("max_norm", options_.max_norm);
  }
  [[nodiscard]] auto state() noexcept { return std::tie(norm_, clipped_); }

 private:
  template <class T>
  [[gnu::always_inline]] static void add_square(T& sum, T g) noexcept {
    sum = detail::mul_add(g, g, sum);
  }

  Options options_;
  double norm_ = 0;
  double pending_norm_ = 0;
  std::uint64_t clipped_ = 0;
};

}  // namespace polyak
