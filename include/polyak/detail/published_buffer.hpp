#pragma once

#include <Eigen/Core>

#include <atomic>
#include <cstdint>

#include "polyak/concepts.hpp"

namespace polyak::detail {

// Holders are counted in the upper 40 bits of a word, and its lower 24 hold something else. So a count wraps without
// spilling over; only differences of counts are used, and fewer than 2^40 holders exist at a time.
inline constexpr int low_bits = 24;
inline constexpr std::uint64_t one_holder = std::uint64_t{1} << low_bits;
inline constexpr std::uint64_t low_mask = one_holder - 1;

/// One published vector and how many hold it: `taken` less `returned`. The two are kept apart because it is taken at
/// the word that says which buffer is the latest, in the one operation that reads it; between reading that word and
/// counting elsewhere, the buffer might be written again.
template <FloatingPoint Scalar>
class PublishedBuffer {
 public:
  explicit PublishedBuffer(std::uint64_t place) : index(place) {}
  PublishedBuffer(const PublishedBuffer&) = delete;
  PublishedBuffer& operator=(const PublishedBuffer&) = delete;

  Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor> average;
  std::uint64_t version = 0;
  std::uint64_t steps = 0;
  const std::uint64_t index;

  // For the publisher, while the buffer is not the latest.

  /// Adds those counted in a word.
  void count_taken(std::uint64_t word) noexcept { taken_ += word & ~low_mask; }
  /// Acquire: all that former holders read comes before what is written from now on. Their returns are one release
  /// sequence, so to read the last is to synchronise with each.
  [[nodiscard]] bool is_free() const noexcept { return returned_.load(std::memory_order_acquire) == taken_; }
  /// Leaves the buffer to its holders, of whom the last deletes it, or deletes it now. Release: this thread is done
  /// with it before another deletes it. Acquire: holders are done with it before this thread does.
  void abandon() noexcept {
    const std::uint64_t taken = taken_;  // read before: another may delete the buffer right after
    if (returned_.fetch_add(abandoned - taken, std::memory_order_acq_rel) == taken) delete this;
  }

  // For holders.

  /// One more holder. Relaxed: whoever copies holds the buffer too, so no one is waiting for this count.
  void share() noexcept { returned_.fetch_sub(one_holder, std::memory_order_relaxed); }
  /// Release: what this holder read comes before what the publisher writes, or before the deletion. Acquire: where this
  /// holder is the last of an abandoned buffer, what the others read comes before the deletion.
  void give_back() noexcept {
    if (returned_.fetch_add(one_holder, std::memory_order_acq_rel) + one_holder == abandoned) delete this;
  }

 private:
  ~PublishedBuffer() = default;

  static constexpr std::uint64_t abandoned = 1;  // in the lower bits of returned_, which then counts up to 0 holders

  std::atomic<std::uint64_t> returned_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace polyak::detail
