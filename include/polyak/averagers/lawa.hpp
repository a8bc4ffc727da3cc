#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/averagers/average.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/parallel.hpp"
#include "polyak/detail/round.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

struct LawaOptions {
  std::uint64_t window = 6;  ///< k ≥ 1: how many iterates are averaged
  std::uint64_t start = 0;   ///< the first step that folds, at least 1
  std::uint64_t every = 1;   ///< m ≥ 1: steps from one fold to the next
};

/// Latest weight averaging: the mean of the latest k iterates taken every m steps, of all of them while there are fewer
/// (Kaddour 2022, "Stop Wasting My Time!"). The iterates themselves are kept, and their mean is formed anew in every
/// fold, so that nothing drifts: it costs k + 1 vectors of shadows and k passes over them a fold, O(1) on other steps.
/// Throws std::invalid_argument on window = 0 or every = 0.
template <class Shadow = default_shadow>
class Lawa : public Average<Shadow> {
  using Base = Average<Shadow>;
  static_assert(!detail::is_compensated<Shadow>,
                "polyak::Lawa: the mean of a window is formed anew in every fold, so there is nothing to compensate");

 public:
  using Options = LawaOptions;
  using typename Base::shadow_type;
  template <class Other>
  using with_shadow = Lawa<Other>;
  class Fold;

  Lawa() : Lawa(Options{}) {}
  explicit Lawa(Options options) : Base(name, {options.start, options.every}), window_(options.window) {
    detail::require(options.window >= 1, name, "window must be >= 1", options.window);
    detail::require(options.every >= 1, name, "every must be >= 1", options.every);
  }

  /// Counts a step and, when it is due, takes θ_t into the window. Throws std::invalid_argument on a size other than
  /// before, std::logic_error while swapped in; then nothing has changed.
  template <ReadableParameters P>
  void update(const P& params) {
    auto fold = begin_fold(detail::layout_of(params, name));
    detail::for_each_part<true>(params, name, [&](std::size_t offset, auto weights) {
      fold.after(offset, std::span<const scalar_of<const P&>>(weights));
    });
    fold.commit();
  }

  [[nodiscard]] Options options() const { return {window_, this->cadence().start, this->cadence().every}; }

  /// True once there is anything to lose.
  [[nodiscard]] bool in_use() const noexcept { return this->steps() > 0; }
  /// How many iterates the average is the mean of: their number, or 0 before the first.
  [[nodiscard]] double effective_sample_size() const noexcept { return static_cast<double>(iterates_.size()); }
  /// Folds since the window's centre.
  [[nodiscard]] double mean_age() const noexcept { return iterates_.empty() ? 0 : (effective_sample_size() - 1) / 2; }
  /// 0 after the first fold: nothing but iterates is averaged.
  [[nodiscard]] double start_mass() const noexcept { return this->has_average() ? 0 : 1; }

  /// Back to the state after construction; frees the memory.
  void reset() {
    this->forget();
    iterates_ = {};
  }

  /// Saves or loads the average and the iterates in its window, as Averager::serialize does. O(n · window).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    this->serialize_cadence(archive);
    detail::serialize_option(archive, name, "window", window_);
    std::vector<Vector> loaded;
    std::vector<Vector>& iterates = detail::is_loading<Archive> ? loaded : iterates_;
    this->serialize_average(archive, [&](std::size_t n) {
      std::uint64_t count = iterates.size();
      detail::serialize_value(archive, count);
      if (count > window_) detail::throw_damaged_size(name, "window", window_, count);
      for (std::uint64_t i = 0; i < count; ++i) {
        if constexpr (detail::is_loading<Archive>) iterates.emplace_back();
        detail::serialize_array(archive, name, "iterate." + std::to_string(i), iterates[i], n);
      }
    });
    if constexpr (detail::is_loading<Archive>) iterates_ = std::move(loaded);
  }

  /// Begins the fold of the next step: throws as update does, and else changes nothing but capacity until the fold is
  /// committed.
  [[nodiscard]] Fold begin_fold(const Layout& layout) {
    this->require_not_swapped();
    if (this->has_average()) this->layout_.check(layout, name);
    if (!this->due()) return Fold(*this, false);
    if (!this->has_average()) this->note(layout);
    if (iterates_.size() < window_) {
      iterates_.reserve(iterates_.size() + 1);
      spare_.resize(this->shadow_.size());
    }
    return Fold(*this, true);
  }

 private:
  using Vector = typename Base::vector_type;
  static constexpr std::string_view name = "polyak::Lawa";

  std::uint64_t window_;
  std::vector<Vector> iterates_;  // a ring once the window is full
  Vector spare_;                  // joins the window when the fold that fills it commits
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Shadow>
class Lawa<Shadow>::Fold {
 public:
  static constexpr bool concurrent = true;

  template <FloatingPoint Weight>
  void before(std::size_t, std::span<const Weight>) const noexcept {}

  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    Base::template require_wide_enough<Weight>();
    if (!due_) return;
    const std::size_t n = weights.size();
    shadow_type* const mean = lawa_->shadow_.data() + offset;
    detail::assign(newest().data() + offset, weights.data(), n);
    double count = 0;
    const auto fold = [&](const Vector& iterate) {
      const shadow_type* const from = iterate.data() + offset;
      if (++count == 1) return detail::assign(mean, from, n);
      using T = detail::compute_t<shadow_type>;
      detail::for_each_index(
          n, detail::then(detail::Read<shadow_type>{from}, detail::Fold<shadow_type>{mean, static_cast<T>(1 / count)}));
    };
    for (const Vector& iterate : lawa_->iterates_) fold(iterate);
    if (grows()) fold(lawa_->spare_);
  }

  /// Whether `after` would leave the shadow finite; writes nothing.
  template <FloatingPoint Weight>
  [[nodiscard]] bool stays_finite(std::size_t offset, std::span<const Weight> weights) const noexcept {
    using T = detail::compute_t<shadow_type>;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto latest = detail::round_to<shadow_type>(weights[i]);
      shadow_type mean{};
      double count = 0;
      const auto fold = [&](shadow_type x) {
        if (++count == 1) {
          mean = x;
        } else {
          detail::Fold<shadow_type>{&mean, static_cast<T>(1 / count)}(0, x);
        }
      };
      const Vector* const replaced = grows() ? nullptr : &newest();
      for (const Vector& iterate : lawa_->iterates_) fold(&iterate == replaced ? latest : iterate.data()[offset + i]);
      if (grows()) fold(latest);
      if (!detail::is_finite(mean)) return false;
    }
    return true;
  }

  [[nodiscard]] bool idle() const noexcept { return !due_; }

  void commit() const noexcept {
    if (due_ && grows()) lawa_->iterates_.push_back(std::move(lawa_->spare_));
    lawa_->count_step(due_);
  }

 private:
  friend Lawa;
  Fold(Lawa& lawa, bool due) : lawa_(&lawa), due_(due) {}

  [[nodiscard]] bool grows() const noexcept { return lawa_->iterates_.size() < lawa_->window_; }
  /// Where the newest iterate goes: a place of its own, or that of the oldest.
  [[nodiscard]] Vector& newest() const noexcept {
    return grows() ? lawa_->spare_ : lawa_->iterates_[lawa_->count() % lawa_->window_];
  }

  Lawa* lawa_;
  bool due_;
};

}  // namespace polyak
