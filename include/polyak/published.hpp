#pragma once

#include <Eigen/Core>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/lanes.hpp"
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
/// the allocator aside). Readers hold no lock: a snapshot is taken by one atomic addition, again where a publication
/// came in between (lock-free), and given back by one. Where readers hold or are taking k snapshots at most there are
/// at most k + 2 vectors of memory, and a publication allocates only when all there are but the latest are held; the
/// memory is kept for the next. Once the Published is gone, the last to hold a vector frees it.
///
/// One thread at a time publishes, and none may still call snapshot() when the Published is destroyed.
//
// A std::shared_ptr in its place, by libstdc++ 12: under a mutex a snapshot takes 2.2 times as long, and publishing
// 2^10 floats does; as a std::atomic 1.9 and 2.1 times, and the thread sanitizer finds a race in its load(). A trainer
// that publishes after every hundredth step tells none from another while readers rest.
template <FloatingPoint Scalar = double>
class Published {
  static constexpr std::string_view name = "polyak::Published";
  struct Buffer;

 public:
  using vector_type = Eigen::Matrix<Scalar, Eigen::Dynamic, 1, Eigen::ColMajor>;

  /// Holds one publication. Copies hold it as well, and may be used by other threads; one that was moved from holds
  /// nothing, and may only be assigned to or destroyed.
  class [[nodiscard]] Snapshot {
   public:
    /// Holds the same publication.
    ///@{
    Snapshot(const Snapshot& other) noexcept : buffer_(other.buffer_) {
      if (buffer_) ++buffer_->holders;
    }
    Snapshot(Snapshot&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
    Snapshot& operator=(Snapshot other) noexcept {
      std::swap(buffer_, other.buffer_);
      return *this;
    }
    ///@}
    ~Snapshot() {
      if (buffer_ && --buffer_->holders == 0) delete buffer_;
    }

    /// What was published, in storage order; the reference is good while the snapshot lives.
    [[nodiscard]] const vector_type& average() const noexcept { return buffer_->average; }
    /// 1 for the first publication, 2 for the next, …
    [[nodiscard]] std::uint64_t version() const noexcept { return buffer_->version; }
    /// Steps the averager had seen, or what publish was told; 0 where it was told nothing.
    [[nodiscard]] std::uint64_t steps() const noexcept { return buffer_->steps; }

   private:
    friend Published;
    explicit Snapshot(Buffer* counted) noexcept : buffer_(counted) {}

    Buffer* buffer_;
  };

  Published() = default;
  Published(const Published&) = delete;  // readers know it by its address
  Published& operator=(const Published&) = delete;

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
    const std::size_t size = detail::ShapesOf(params, name).size();
    if (const Buffer* const latest = latest_) {
      const auto before = static_cast<std::size_t>(latest->average.size());
      if (size != before) detail::throw_bad_size(name, "what is published must keep the size", before, size);
    }
    Buffer& next = spare();
    next.average.resize(static_cast<Eigen::Index>(size));
    detail::for_each_block(params, name, [&next](std::size_t offset, auto block) {
      lanes::copy(next.average.data() + offset, block.data(), block.size());
    });
    next.version = ++version_;
    next.steps = steps;
    latest_ = &next;
    return version_;
  }
  /// Vectors of memory in use. For the publishing thread.
  [[nodiscard]] std::size_t buffers() const noexcept { return buffers_.size(); }

  /// The latest publication. Throws std::logic_error before the first. O(1).
  [[nodiscard]] Snapshot snapshot() const {
    while (Buffer* const latest = latest_) {
      ++latest->holders;
      Snapshot counted(latest);
      // Whoever was counted while it was the latest is seen before it is written again; else it may be written by now.
      if (latest_ == latest) return counted;
    }
    detail::throw_bad_order(name, "there is no snapshot before the first publication");
  }
  /// Whether there is one; once there is, it stays so.
  [[nodiscard]] bool has_snapshot() const noexcept { return latest_ != nullptr; }
  /// Whether nothing has been published since; cheaper for many readers than to take another. O(1).
  [[nodiscard]] bool is_latest(const Snapshot& snapshot) const noexcept { return latest_ == snapshot.buffer_; }

 private:
  struct Buffer {
    vector_type average;
    std::uint64_t version = 0;
    std::uint64_t steps = 0;
    std::atomic<std::size_t> holders = 1;  // buffers_ is the first
  };

  /// A buffer that nobody reads. Its holders are counted after the latest was stored, by snapshot() the other way
  /// round, both in the one order of all sequentially consistent operations.
  [[nodiscard]] Buffer& spare() {
    const Buffer* const latest = latest_;
    for (const Snapshot& each : buffers_) {
      if (each.buffer_ != latest && each.buffer_->holders == 1) return *each.buffer_;
    }
    return *buffers_.emplace_back(Snapshot(new Buffer)).buffer_;
  }

  std::vector<Snapshot> buffers_;
  std::atomic<Buffer*> latest_ = nullptr;
  std::uint64_t version_ = 0;
};

}  // namespace polyak
