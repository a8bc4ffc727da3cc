#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"

namespace polyak {

namespace detail {

/// Whether an average sits in the place of the weights. A guard has hold of it meanwhile, wherever its owner moves; a
/// copy of the owner is not the one whose average is swapped in.
class SwapFlag {
 public:
  /// What a guard keeps where it is; either of the two may go first.
  class Hold {
   public:
    explicit Hold(SwapFlag& flag) noexcept : flag_(&flag) { flag.hold_ = this; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if (flag_) flag_->hold_ = nullptr;
    }

   private:
    friend SwapFlag;
    SwapFlag* flag_;
  };

  SwapFlag() = default;
  SwapFlag(const SwapFlag&) noexcept {}
  SwapFlag& operator=(const SwapFlag&) noexcept { return *this; }  // NOLINT(bugprone-unhandled-self-assignment)
  SwapFlag(SwapFlag&& other) noexcept { *this = std::move(other); }
  SwapFlag& operator=(SwapFlag&& other) noexcept {
    if (get() || !other.get()) return *this;
    hold_ = std::exchange(other.hold_, nullptr);
    hold_->flag_ = this;
    return *this;
  }
  ~SwapFlag() {
    if (hold_) hold_->flag_ = nullptr;
  }

  [[nodiscard]] bool get() const noexcept { return hold_ != nullptr; }

 private:
  Hold* hold_ = nullptr;
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
  /// Those that are not empty.
  using Blocks = std::vector<std::span<Weight>>;
  /// Writes where the blocks of the holder lie by now, or is false where they have not the sizes that are written
  /// there.
  using Find = bool(void* holder, Blocks&) noexcept;

  /// Throws std::logic_error, in the name of `who`, where another average is swapped in on a part of these weights.
  /// Without a way to find them again they must stay where they are.
  SwapGuard(Blocks blocks, detail::SwapFlag& flag, std::string_view who, Find* find = nullptr, void* holder = nullptr)
      : swap_(new Swap{std::move(blocks), {}, find, holder, nullptr, detail::SwapFlag::Hold(flag)}) {
    std::size_t size = 0;
    for (const auto& block : swap_->blocks) size += block.size();
    swap_->trained.reserve(size);
    for (const auto& block : swap_->blocks) swap_->trained.insert(swap_->trained.end(), block.begin(), block.end());

    const Lock lock;
    for (const Swap* each = first_; each; each = each->next) {
      const bool one_holder = holder && each->holder == holder;  // whose weights may have moved since
      if (!one_holder && !overlap(swap_->blocks, each->blocks)) continue;
      detail::throw_bad_order(who, "another average is swapped in on these weights; restore the trained weights first");
    }
    swap_->next = std::exchange(first_, swap_.get());
  }
  SwapGuard(SwapGuard&&) noexcept = default;
  SwapGuard& operator=(SwapGuard other) noexcept {  // which restores what this one held
    std::swap(swap_, other.swap_);
    return *this;
  }
  ~SwapGuard() {
    if (swap_ && !put_back()) end();  // the weights are no more what they were, and stay as they are
  }

  /// Puts the trained weights back now; a second call does nothing. Throws std::logic_error, and writes nothing, where
  /// the holder of the weights has changed their number meanwhile. O(n).
  void restore() {
    if (!swap_ || put_back()) return;
    detail::throw_bad_order("polyak::SwapGuard", "the weights must have the size they had when swapped in");
  }

 private:
  struct Swap {
    Blocks blocks;
    std::vector<Weight> trained;
    Find* find;
    void* holder;
    Swap* next;
    detail::SwapFlag::Hold hold;
  };
  /// While it lives, no other thread looks at the list, or at blocks. A few comparisons, so others may as well spin;
  /// <mutex> would be a hundred templates more to compile.
  class Lock {
   public:
    Lock() noexcept {
      while (busy_.test_and_set(std::memory_order_acquire)) continue;
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() { busy_.clear(std::memory_order_release); }
  };

  [[nodiscard]] static bool overlap(const Blocks& blocks, const Blocks& others) noexcept {
    const std::less<const Weight*> before;
    for (const auto& a : blocks) {
      for (const auto& b : others) {
        if (before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size())) return true;
      }
    }
    return false;
  }
  [[nodiscard]] bool put_back() noexcept {
    {
      const Lock lock;
      if (swap_->find && !swap_->find(swap_->holder, swap_->blocks)) return false;
    }
    const Weight* from = swap_->trained.data();
    for (const auto& block : swap_->blocks) {
      std::copy_n(from, block.size(), block.data());
      from += block.size();
    }
    end();
    return true;
  }
  void end() noexcept {
    const Lock lock;
    Swap** place = &first_;
    while (*place != swap_.get()) place = &(*place)->next;
    *place = swap_->next;
    swap_.reset();
  }

  /// All that stand in the place of weights, of all threads, so that none is put over another: whichever was restored
  /// last would leave an average in the weights.
  inline static Swap* first_ = nullptr;
  inline static std::atomic_flag busy_;

  std::unique_ptr<Swap> swap_;
};

/// The same for weights that are got and set by value: set(trained) puts them back. Where it throws on restore(), they
/// can be put back again; where the guard leaves scope, it must not.
template <class Weights, class Set>
class [[nodiscard]] SetGuard {
 public:
  SetGuard(Weights trained, Set set, detail::SwapFlag& flag)
      : swap_(new Swap{std::move(trained), std::move(set), detail::SwapFlag::Hold(flag), false}) {}
  SetGuard(SetGuard&&) noexcept = default;
  SetGuard& operator=(SetGuard&&) = delete;
  ~SetGuard() { restore(); }

  /// From now on there is something to put back.
  void arm() noexcept { swap_->armed = true; }
  void restore() {
    if (swap_ && swap_->armed) swap_->set(std::as_const(swap_->trained));
    swap_.reset();
  }

 private:
  struct Swap {
    Weights trained;
    Set set;
    detail::SwapFlag::Hold hold;
    bool armed;
  };
  std::unique_ptr<Swap> swap_;
};

}  // namespace polyak
