#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace examples {

/// All samples in a fresh random order each epoch, one mini-batch at a time; the last of an epoch may be smaller. A
/// seed gives the same batches on every machine (which std::shuffle does not promise).
class MiniBatches {
 public:
  MiniBatches(Eigen::Index samples, Eigen::Index batch_size, std::uint64_t seed)
      : order_(static_cast<std::size_t>(samples)),
        batch_size_(static_cast<std::size_t>(batch_size)),
        next_(order_.size()),
        random_(seed) {
    std::iota(order_.begin(), order_.end(), Eigen::Index{0});
  }

  /// The indices of the next batch, valid until the next call.
  [[nodiscard]] std::span<const Eigen::Index> next() {
    if (next_ == order_.size()) {
      shuffle();
      next_ = 0;
    }
    const std::size_t size = std::min(batch_size_, order_.size() - next_);
    const std::span batch(order_.data() + next_, size);
    next_ += size;
    return batch;
  }

  [[nodiscard]] std::uint64_t steps_per_epoch() const { return (order_.size() + batch_size_ - 1) / batch_size_; }

 private:
  void shuffle() {  // Fisher and Yates; the bias of the remainder is below 2^-40 here
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_() % i]);
  }

  std::vector<Eigen::Index> order_;
  std::size_t batch_size_;
  std::size_t next_;
  std::mt19937_64 random_;
};

}  // namespace examples
