#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/step.hpp"
#include "polyak/wrappers/wrapper.hpp"

namespace polyak {

struct ClipNormOptions {
  double max_norm = 1;  ///< > 0

  void for_each_option(const auto& visit) const { visit("max_norm", max_norm, detail::positive); }
};

/// Clips the gradient by its norm over all blocks, as torch's clip_grad_norm_ does (Pascanu, Mikolov & Bengio 2013):
/// g ← g · min(1, max_norm / (‖g‖₂ + 1e-6)). ‖g‖ is summed in double (in long double for such weights), over 32
/// interleaved partial sums. Costs one more pass over the gradient; the scaling is part of the optimizer's own.
template <class Optimizer>
class ClipNorm : public detail::GradientWrapper<ClipNorm<Optimizer>, Optimizer, ClipNormOptions> {
 public:
  static constexpr std::string_view name = "polyak::ClipNorm";

  /// Throws std::invalid_argument unless max_norm > 0.
  explicit ClipNorm(Optimizer trainer, ClipNormOptions options = {})
      : ClipNorm::GradientWrapper(std::move(trainer), options) {}

  /// ‖g‖ of the latest gradient, before clipping.
  [[nodiscard]] double norm() const noexcept { return norm_; }
  /// Gradients that were clipped.
  [[nodiscard]] std::uint64_t clipped() const noexcept { return clipped_; }

  template <FloatingPoint Scalar, bool Filters>
  [[nodiscard]] detail::Verdict inspect(const StepView<Scalar, Filters>& view) {
    using T = std::conditional_t<std::is_same_v<Scalar, long double>, long double, double>;
    std::array<T, 32> sums{};
    view.for_each([&](const auto& slice) { add_squares(sums, slice.offset, slice.params.size(), slice.grad); });
    T total = 0;
    for (const T sum : sums) total += sum;
    next_norm_ = static_cast<double>(std::sqrt(total));
    // Not std::min, which would let a norm of NaN pass for one of zero.
    const double scale = this->options_.max_norm / (next_norm_ + 1e-6);
    return {false, {scale > 1 ? 1 : scale}};
  }
  void record(const detail::Verdict& verdict) noexcept {
    norm_ = next_norm_;
    clipped_ += verdict.filter.scale == 1 ? 0 : 1;
  }

  [[nodiscard]] auto state() noexcept { return std::tie(norm_, clipped_); }
  static void serialize_state(auto& archive, double& norm, std::uint64_t& clipped) {
    detail::serialize_value(archive, "norm", norm);
    detail::serialize_value(archive, "clipped", clipped);
  }

 private:
  /// Each coordinate belongs to the same sum however the vector is cut into blocks.
  template <class Sums, class Grad>
  static void add_squares(Sums& sums, std::size_t offset, std::size_t n, const Grad& g) noexcept {
    std::size_t i = 0;
    for (; i < n && (offset + i) % sums.size() != 0; ++i) add_square(sums[(offset + i) % sums.size()], g[i]);
    Sums local = sums;  // which stays in registers
    for (; i + local.size() <= n; i += local.size()) {
      for (std::size_t j = 0; j < local.size(); ++j) add_square(local[j], g[i + j]);
    }
    sums = local;
    for (std::size_t j = 0; i + j < n; ++j) add_square(sums[j], g[i + j]);
  }
  template <class T, class G>
  [[gnu::always_inline]] static void add_square(T& sum, G g) noexcept {
    sum = lanes::mul_add(static_cast<T>(g), static_cast<T>(g), sum);
  }

  double norm_ = 0;
  double next_norm_ = 0;
  std::uint64_t clipped_ = 0;
};

}  // namespace polyak
