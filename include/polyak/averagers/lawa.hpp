#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/averagers/average.hpp"
#include "polyak/averagers/cadence.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/options.hpp"
#include "polyak/detail/round.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"

namespace polyak {

struct LawaOptions {
  std::uint64_t window = 6;  ///< k ≥ 1: how many iterates are averaged
  std::uint64_t start = 0;   ///< the first step that folds, at least 1
  std::uint64_t every = 1;   ///< m ≥ 1: steps from one fold to the next

  void for_each_option(const auto& visit) const {
    visit("window", window, detail::at_least_1);
    visit("start", start);
    visit("every", every, detail::at_least_1);
  }
};

/// Latest weight averaging: the mean of the latest k iterates taken every m steps, of all of them while there are fewer
/// (Kaddour 2022, "Stop Wasting My Time!"). The iterates themselves are kept, and their mean is formed anew in every
/// fold, so that nothing drifts: it costs k + 1 vectors of shadows and k passes over them a fold, O(1) on other steps.
/// Throws std::invalid_argument on window = 0 or every = 0.
template <class Shadow = default_shadow>
class Lawa : public Average<Lawa<Shadow>, Shadow> {
  using Base = Average<Lawa, Shadow>;
  static_assert(!detail::is_compensated<Shadow>,
                "polyak::Lawa: the mean of a window is formed anew in every fold, so there is nothing to compensate");

 public:
  using Options = LawaOptions;
  using typename Base::shadow_type;
  class Fold;

  Lawa() : Lawa(Options{}) {}
  Lawa(detail::NotOptions);
  explicit Lawa(Options options) : Base(name), options_(options), count_(detail::cadence_of(options)) {
    options.for_each_option(detail::OptionChecker{name});
  }

  /// Counts a step and, when it is due, takes θ_t into the window. Throws std::invalid_argument on a size other than
  /// before, std::logic_error while swapped in; then nothing has changed.
  template <ReadableParameters P>
  void update(const P& params) {
    detail::read(this->list_, params, name, [this](const auto& view) {
      const Fold fold = begin_fold(view);
      detail::fold_all(view, fold);
      Outcome outcome;
      fold.commit(outcome);
    });
  }
  void update(detail::NotReadable, const auto&...);

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// True once there is anything to lose.
  [[nodiscard]] bool in_use() const noexcept { return steps() > 0; }
  /// Steps seen.
  [[nodiscard]] std::uint64_t steps() const noexcept { return count_.steps(); }
  /// Iterates folded in.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_.folds(); }
  /// How many iterates the average is the mean of: their number, or 0 before the first.
  [[nodiscard]] double effective_sample_size() const noexcept { return static_cast<double>(iterates_.size()); }
  /// Folds since the window's centre.
  [[nodiscard]] double mean_age() const noexcept { return iterates_.empty() ? 0 : (effective_sample_size() - 1) / 2; }
  /// 0 after the first fold: nothing but iterates is averaged.
  [[nodiscard]] double start_mass() const noexcept { return this->has_average() ? 0 : 1; }

  /// Back to the state after construction; frees the memory.
  void reset() { *this = Lawa(options_); }

  /// Saves or loads the average and the iterates in its window, as Averager::serialize does. O(n · window).
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    this->begin_serialize(archive);
    options_.for_each_option(detail::OptionSerializer<Archive>{archive, name});
    detail::StepCount count_loaded = count_;
    count_loaded.serialize(archive, 0);
    std::vector<Vector> loaded;
    std::vector<Vector>& iterates = detail::is_loading<Archive> ? loaded : iterates_;
    this->serialize_average(archive, [&](std::size_t n) {
      std::uint64_t count = iterates.size();
      detail::serialize_value(archive, "iterates", count);
      if (count > options_.window && !detail::keeps_options(archive)) {
        detail::throw_damaged_size(name, "window", options_.window, count);
      }
      // In a file the oldest is number folds mod count, as in a full window.
      const std::uint64_t oldest = count == 0 ? 0 : count_loaded.folds() % count;
      const std::uint64_t first = !detail::is_loading<Archive> && count < options_.window ? count - oldest : 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        if constexpr (detail::is_loading<Archive>) iterates.emplace_back();
        detail::serialize_array(archive, name, "iterate." + std::to_string(i), iterates[(first + i) % count], n);
      }
      if constexpr (detail::is_loading<Archive>) {
        std::rotate(iterates.begin(), iterates.begin() + static_cast<std::ptrdiff_t>(oldest), iterates.end());
        const std::uint64_t too_many = count - (std::min)(count, options_.window);
        iterates.erase(iterates.begin(), iterates.begin() + static_cast<std::ptrdiff_t>(too_many));
        if (iterates.size() == options_.window) turn(iterates, count_loaded.folds());
      }
    });
    if constexpr (detail::is_loading<Archive>) {
      count_ = count_loaded;
      iterates_ = std::move(loaded);
    }
  }

  /// Begins the fold of the next step: throws as update does, and until it is committed changes nothing but capacity.
  [[nodiscard]] Fold begin_fold(const Layout& layout) {
    this->require_not_swapped();
    if (this->begun_) this->layout_.check(layout, name);
    const Fold fold(*this);
    if (due() && !this->begun_) this->make_room(layout);
    if (due() && fold.grows()) {
      iterates_.reserve(iterates_.size() + 1);
      spare_.resize(this->shadow_.size());
    }
    return fold;
  }

 protected:
  void skip_fold() noexcept { count_.count_missed(); }
  [[nodiscard]] bool due() const noexcept { return count_.due_in(1); }
  [[nodiscard]] static constexpr bool takes_start() noexcept { return false; }

 private:
  using Vector = typename Base::vector_type;

  /// From the oldest on, into the order in which a full window of so many folds is.
  static void turn(std::vector<Vector>& iterates, std::uint64_t folds) noexcept {
    std::rotate(iterates.begin(), iterates.end() - static_cast<std::ptrdiff_t>(folds % iterates.size()),
                iterates.end());
  }
  static constexpr std::string_view name = "polyak::Lawa";

  Options options_;
  detail::StepCount count_;

  std::vector<Vector> iterates_;  // a ring once the window is full
  Vector spare_;                  // joins the window when the fold that fills it commits
};

/// One step's share of the work. Refers to its averager, which must stay where it is meanwhile.
template <class Shadow>
class Lawa<Shadow>::Fold {
 public:
  /// Whether the step folds.
  [[nodiscard]] bool due() const noexcept { return lawa_->due(); }
  [[nodiscard]] static bool wants_start() noexcept { return false; }

  template <FloatingPoint Weight>
  void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
    Base::template require_wide_enough<Weight>();
    if (!due()) return;
    const std::size_t n = weights.size();
    shadow_type* const latest = newest().data() + offset;
    lanes::copy(latest, weights.data(), n);
    mean(lawa_->shadow_.data() + offset, offset, n, latest);
  }

  /// Whether `after` would leave coordinate i of the shadow finite; writes nothing.
  template <FloatingPoint Weight>
  [[nodiscard]] bool stays_finite(std::size_t i, Weight weight) const noexcept {
    const auto latest = detail::round_to<shadow_type>(weight);
    shadow_type s;
    mean(&s, i, 1, &latest);
    return detail::is_finite(s);
  }

  void commit(Outcome&) const noexcept {
    if (due() && grows()) {
      lawa_->iterates_.push_back(std::move(lawa_->spare_));
      if (!grows()) turn(lawa_->iterates_, lawa_->count() + 1);  // of which the first may be another than 0
    }
    lawa_->begun_ |= due();
    lawa_->count_.count(due());
  }

 private:
  friend Lawa;
  explicit Fold(Lawa& lawa) : lawa_(&lawa) {}

  [[nodiscard]] bool grows() const noexcept { return lawa_->iterates_.size() < lawa_->options_.window; }
  /// Where the newest iterate goes: a place of its own, or that of the oldest.
  [[nodiscard]] Vector& newest() const noexcept {
    return grows() ? lawa_->spare_ : lawa_->iterates_[lawa_->count() % lawa_->options_.window];
  }

  /// The mean over the window, in which `latest` is the newest iterate, of n coordinates from `offset` on.
  void mean(shadow_type* to, std::size_t offset, std::size_t n, const shadow_type* latest) const noexcept {
    double count = 0;
    const auto fold = [&](const shadow_type* from) {
      if (++count == 1) return lanes::copy(to, from, n);
      using T = lanes::compute_t<shadow_type>;
      detail::fold_each(std::span(from, n), detail::FoldKernel<shadow_type>{to, static_cast<T>(1 / count)});
    };
    const Vector& replaced = newest();
    for (const Vector& each : lawa_->iterates_) fold(&each == &replaced ? latest : each.data() + offset);
    if (grows()) fold(latest);
  }

  Lawa* lawa_;
};

}  // namespace polyak
