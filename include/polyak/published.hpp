#pragma once

#include <Eigen/Core>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/published_buffer.hpp"
#include "polyak/parameters.hpp"

namespace polyak {

/// An average that one thread publishes and any number of others read, at any time and without waiting.
///
///     Published published;
///     opt.step(theta, grad);                                // the trainer
///     if (t % 100 == 0) published.publish(opt);             // as often as the copy is worth it
///     const auto snapshot = published.snapshot();           // any other thread, once there is one
///     score(snapshot.average());                            // the same to the last bit while it is held
///
/// A snapshot is the whole of one publication, and holds it however long it lives, also when the Published is gone. The
/// publisher never waits for readers and its publication takes a bounded number of steps whatever they do (wait-free,
/// the allocator aside). Readers hold no lock, and a snapshot is taken and given back by one atomic addition each:
/// wait-free where the processor has that, lock-free elsewhere. Where readers hold k snapshots at most there are at
/// most k + 2 vectors of memory, and a publication allocates only when all there are but the latest are held; the
/// memory is kept for the next. Once the Published is gone, the last to hold a vector frees it.
///
/// One thread at a time publishes, and none may still call snapshot() when the Published is destroyed. After the
/// register of Ianni, Pellegrini & Quaglia 2017, "A wait-free multi-word atomic (1,N) register": readers are counted in
/// the word that says which vector is the latest.
template <FloatingPoint Scalar = double>
class Published {
  using Buffer = detail::PublishedBuffer<Scalar>;
  static constexpr std::string_view name = "polyak::Published";
  // Said of Scalar, too, so that only those who use it are told.
  static_assert(sizeof(Scalar) == 0 || std::atomic<std::uint64_t>::is_always_lock_free,
                "polyak::Published: 64-bit atomics must be lock-free");

 public:
  using vector_type = Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor>;
  class Snapshot;

  Published() = default;
  Published(const Published&) = delete;  // readers know it by its address
  Published& operator=(const Published&) = delete;
  ~Published() {
    // Relaxed: whatever keeps readers out of a destructor has ordered their calls before it.
    if (current_) current_->count_taken(latest_.load(std::memory_order_relaxed));
    for (std::uint64_t i = 1; i <= buffers_; ++i) buffer(i)->abandon();
  }

  /// Publishes the average of an averager, of an Averaged with one (of several, name one: publish(opt.averager<1>())),
  /// or of whatever else has average(); also while it is swapped in. Returns its version. O(n). Throws what average()
  /// does, std::logic_error where there is no average yet, and std::invalid_argument on a size other than before; then
  /// what was published stays. A Compensated average is published without its residue.
  template <class A>
    requires(!ReadableParameters<A> && requires(const A& source) { source.average(); })
  std::uint64_t publish(const A& source) {
    const auto& average = source.average();
    if constexpr (requires { source.averager().steps(); }) {
      return publish(average, source.averager().steps());
    } else if constexpr (requires { source.steps(); }) {
      return publish(average, source.steps());
    } else {
      return publish(average);
    }
  }
  /// Publishes parameters, those of a set one block after the other, rounded to Scalar, with any number of steps.
  template <ReadableParameters P>
  std::uint64_t publish(const P& params, std::uint64_t steps = 0) {
    const std::size_t size = detail::layout_of(params, name).size();
    if (current_ && size != this->size()) {
      detail::throw_bad_size(name, "what is published must keep the size", this->size(), size);
    }
    Buffer& next = spare();
    next.average.resize(static_cast<Eigen::Index>(size));
    detail::for_each_block(params, name, [&next](std::size_t offset, auto block) {
      detail::assign(next.average.data() + offset, block.data(), block.size());
    });
    next.version = ++version_;
    next.steps = steps;
    // Release: who reads the new index finds the buffer, and in it all that was written here.
    const std::uint64_t word = latest_.exchange(next.index, std::memory_order_release);
    if (current_) current_->count_taken(word);
    current_ = &next;
    return version_;
  }
  /// Vectors of memory in use. For the publishing thread.
  [[nodiscard]] std::size_t buffers() const noexcept { return static_cast<std::size_t>(buffers_); }

  /// The latest publication. Throws std::logic_error before the first. O(1).
  [[nodiscard]] Snapshot snapshot() const {
    if (!has_snapshot()) detail::throw_bad_order(name, "there is no snapshot before the first publication");
    // Acquire: with the release of its publisher, also past what other readers have added to the word meanwhile.
    return Snapshot(buffer(latest_.fetch_add(detail::one_holder, std::memory_order_acquire) & detail::low_mask));
  }
  /// Whether there is one; once there is, it stays so.
  [[nodiscard]] bool has_snapshot() const noexcept {
    // Relaxed: it says nothing of the buffer, and snapshot() reads the word again.
    return (latest_.load(std::memory_order_relaxed) & detail::low_mask) != 0;
  }
  /// Whether nothing has been published since; cheaper for many readers than to take another. O(1).
  [[nodiscard]] bool is_latest(const Snapshot& snapshot) const noexcept {
    // Acquire: the index is looked up.
    const std::uint64_t index = latest_.load(std::memory_order_acquire) & detail::low_mask;
    return index != 0 && buffer(index) == snapshot.buffer_;
  }

 private:
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(current_->average.size()); }

  /// Buffers never move, and a pointer to one is written once, before its index is published: segment s has room for
  /// 2^s of them.
  [[nodiscard]] Buffer*& buffer(std::uint64_t index) const noexcept {
    const auto segment = static_cast<std::size_t>(std::bit_width(index) - 1);
    return segments_[segment][index - (std::uint64_t{1} << segment)];
  }

  /// A buffer that nobody reads.
  [[nodiscard]] Buffer& spare() {
    for (std::uint64_t i = 1; i <= buffers_; ++i) {
      Buffer* const each = buffer(i);
      if (each != current_ && each->is_free()) return *each;
    }
    const std::uint64_t index = buffers_ + 1;
    if (index > detail::low_mask) detail::throw_bad_order(name, "too many snapshots are held");
    auto& segment = segments_[static_cast<std::size_t>(std::bit_width(index) - 1)];
    if (!segment) segment = std::make_unique<Buffer*[]>(static_cast<std::size_t>(std::bit_floor(index)));
    buffer(index) = new Buffer(index);
    buffers_ = index;
    return *buffer(index);
  }

  mutable std::atomic<std::uint64_t> latest_ = 0;  // index of the latest buffer, 0 for none; above, who took it since
  std::array<std::unique_ptr<Buffer*[]>, detail::low_bits> segments_;
  std::uint64_t buffers_ = 0;
  Buffer* current_ = nullptr;
  std::uint64_t version_ = 0;
};

/// Holds one publication. Copies hold it as well, and may be used by other threads; one that was moved from holds
/// nothing, and may only be assigned to or destroyed.
template <FloatingPoint Scalar>
class [[nodiscard]] Published<Scalar>::Snapshot {
 public:
  Snapshot(const Snapshot& other) noexcept : buffer_(other.buffer_) {
    if (buffer_) buffer_->share();
  }
  Snapshot(Snapshot&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  Snapshot& operator=(Snapshot other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~Snapshot() {
    if (buffer_) buffer_->give_back();
  }

  /// What was published, in storage order; the reference is good while the snapshot lives.
  [[nodiscard]] const vector_type& average() const noexcept { return buffer_->average; }
  /// 1 for the first publication, 2 for the next, …
  [[nodiscard]] std::uint64_t version() const noexcept { return buffer_->version; }
  /// Steps the averager had seen, or what publish was told; 0 where it was told nothing.
  [[nodiscard]] std::uint64_t steps() const noexcept { return buffer_->steps; }

 private:
  friend Published;
  explicit Snapshot(Buffer* taken) noexcept : buffer_(taken) {}

  Buffer* buffer_;
};

}  // namespace polyak
