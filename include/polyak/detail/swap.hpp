#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"

namespace polyak {

namespace detail {

/// Whether an average sits in the place of the weights. Shared with the guard, so that it stays true to an owner that
/// moves; a copy of the owner is not the one whose average is swapped in.
class SwapFlag {
 public:
  SwapFlag() = default;
  SwapFlag(const SwapFlag&) noexcept {}
  SwapFlag& operator=(const SwapFlag&) noexcept { return *this; }
  SwapFlag(SwapFlag&&) noexcept = default;
  SwapFlag& operator=(SwapFlag&& other) noexcept {
    if (!get()) flag_ = std::move(other.flag_);
    return *this;
  }
  ~SwapFlag() = default;

  [[nodiscard]] bool get() const noexcept { return flag_ && *flag_; }
  [[nodiscard]] std::shared_ptr<bool> share() {
    if (!flag_) flag_ = std::make_shared<bool>(false);
    return flag_;
  }

 private:
  std::shared_ptr<bool> flag_;
};

/// Throws std::logic_error where this is, or wraps, an average that stands in the place of the weights.
template <class Part>
void require_nothing_swapped(const Part& part) {
  if constexpr (requires { part.require_not_swapped(); }) part.require_not_swapped();
}

}  // namespace detail

/// Holds the trained weights while an average stands in their place, and puts them back bit by bit on restore() or when
/// it leaves scope, also by an exception. Move-only.
template <FloatingPoint Weight>
class [[nodiscard]] SwapGuard {
 public:
  SwapGuard(std::vector<std::span<Weight>> blocks, detail::SwapFlag& flag) : blocks_(std::move(blocks)) {
    for (const auto& block : blocks_) trained_.insert(trained_.end(), block.begin(), block.end());
    swapped_ = flag.share();
    *swapped_ = true;
  }
  SwapGuard(SwapGuard&&) noexcept = default;
  SwapGuard& operator=(SwapGuard other) noexcept {  // which restores what this one held
    std::swap(blocks_, other.blocks_);
    std::swap(trained_, other.trained_);
    std::swap(swapped_, other.swapped_);
    return *this;
  }
  ~SwapGuard() { restore(); }

  /// Puts the trained weights back now; a second call does nothing. O(n).
  void restore() noexcept {
    if (!swapped_) return;
    const Weight* from = trained_.data();
    for (const auto& block : blocks_) {
      std::copy_n(from, block.size(), block.data());
      from += block.size();
    }
    *swapped_ = false;
    swapped_.reset();
  }

 private:
  std::vector<std::span<Weight>> blocks_;
  std::vector<Weight> trained_;
  std::shared_ptr<bool> swapped_;
};

}  // namespace polyak
