#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/published.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

// One trainer that publishes and several readers, each of which checks that every snapshot is one that was published,
// to the last bit, and still is when it is dropped. Built and run once more under ThreadSanitizer.

namespace {

using Eigen::VectorXd;
using polyak::Averaged;
using polyak::Ema;
using polyak::Published;
using polyak::Sgd;
using Snapshot = Published<>::Snapshot;

/// Every coordinate moves as the first does, times a power of two, which rounds alike.
double scale(Eigen::Index i) { return static_cast<double>(1 << (i % 8)); }

/// A run of `period` steps, over and over: what is published is known beforehand by its version.
class Trainer {
 public:
  Trainer(Eigen::Index n, std::uint64_t period) : theta_(n), gradient_(n), start_(n), period_(period) {
    for (Eigen::Index i = 0; i < n; ++i) start_[i] = scale(i);
  }

  void step() {
    const std::uint64_t t = steps_++ % period_;
    if (t == 0) {
      opt_.reset();
      theta_ = start_;
    }
    gradient_ = theta_ - static_cast<double>(t * t % 7) * start_;
    opt_.step(theta_, gradient_);
  }
  const auto& optimizer() const { return opt_; }

 private:
  Averaged<Sgd<>, Ema<>> opt_{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.9}}};
  VectorXd theta_, gradient_, start_;
  std::uint64_t period_;
  std::uint64_t steps_ = 0;
};

struct Case {
  Eigen::Index n;
  std::uint64_t reads;  // by all readers together, at least
  int rounds;           // of a new Published each
  std::size_t held;     // by each reader, of different versions where there are
};

class Checker {
 public:
  Checker() {
    Trainer trainer(1, period);
    for (std::uint64_t i = 0; i < period; ++i) {
      trainer.step();
      expected_.push_back(trainer.optimizer().average()[0]);
    }
  }

  /// One step is published by one version.
  bool is_as_published(const Snapshot& snapshot, Eigen::Index n) const {
    const std::uint64_t t = (snapshot.version() - 1) % period;
    if (snapshot.steps() != t + 1 || snapshot.average().size() != n) return false;
    for (Eigen::Index i = 0; i < n; ++i) {
      if (snapshot.average()[i] != scale(i) * expected_[t]) return false;
    }
    return true;
  }

  static constexpr std::uint64_t period = 1000;

 private:
  std::vector<double> expected_;
};

struct Tally {
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<std::uint64_t> out_of_order = 0;
  std::uint64_t publications = 0;
  std::size_t buffers = 0;
};

constexpr std::size_t n_readers = 3;

/// Takes snapshots until enough were taken, and holds the last few; drops those once it may, while or after the trainer
/// drops the Published.
void read(const Published<>& published, const Checker& checker, const Case& of, Tally& tally, std::uint64_t wanted,
          std::latch& reading_ends, const std::atomic<bool>& may_drop) {
  std::vector<Snapshot> held;
  std::uint64_t wrong = 0;
  std::uint64_t last = 0;
  bool superseded = false;
  std::uint64_t reads = 0;
  const auto check = [&](const Snapshot& snapshot) { wrong += checker.is_as_published(snapshot, of.n) ? 0 : 1; };
  while (!published.has_snapshot()) std::this_thread::yield();
  while (reads % 64 != 0 || tally.reads.load(std::memory_order_relaxed) < wanted) {
    Snapshot snapshot = published.snapshot();
    check(snapshot);
    const std::uint64_t version = snapshot.version();
    if (superseded ? version <= last : version < last) ++tally.out_of_order;
    superseded = !published.is_latest(snapshot);
    if (version != last && held.size() < of.held) {
      held.push_back(snapshot);
    } else if (version != last) {
      Snapshot& older = held[version % of.held];
      check(older);
      older = std::move(snapshot);
    }
    last = version;
    if (++reads % 64 == 0) tally.reads.fetch_add(64, std::memory_order_relaxed);
  }
  reading_ends.count_down();
  // Relaxed: to drop is ordered by nothing but the snapshots themselves.
  while (!may_drop.load(std::memory_order_relaxed)) std::this_thread::yield();
  for (const Snapshot& snapshot : held) check(snapshot);
  tally.wrong += wrong;
}

void run(const Case& of, const Checker& checker, Tally& tally) {
  for (int round = 0; round < of.rounds; ++round) {
    const std::uint64_t wanted =
        of.reads * static_cast<std::uint64_t>(round + 1) / static_cast<std::uint64_t>(of.rounds);
    auto published = std::make_unique<Published<>>();
    std::latch reading_ends(n_readers);
    std::atomic<bool> may_drop = round % 2 != 0;  // otherwise after the Published, so that readers are the last to hold
    std::vector<std::jthread> readers;
    for (std::size_t i = 0; i < n_readers; ++i) {
      readers.emplace_back(read, std::cref(*published), std::cref(checker), std::cref(of), std::ref(tally), wanted,
                           std::ref(reading_ends), std::cref(may_drop));
    }
    Trainer trainer(of.n, Checker::period);
    do {
      trainer.step();
      published->publish(trainer.optimizer());
      ++tally.publications;
    } while (!reading_ends.try_wait());
    tally.buffers = std::max(tally.buffers, published->buffers());
    published.reset();
    may_drop.store(true, std::memory_order_relaxed);
  }
}

}  // namespace

int main() {
  const Checker checker;
  bool good = true;
  for (const Case& of : {Case{4, 4'000'000, 1, 1}, Case{4, 4'000'000, 1, 8}, Case{100, 2'000'000, 1, 4},
                         Case{5000, 40'000, 1, 4}, Case{4, 100'000, 1000, 4}}) {
    Tally tally;
    run(of, checker, tally);
    std::cout << "n = " << of.n << ": " << tally.reads << " reads of " << tally.publications << " publications in "
              << of.rounds << " rounds, " << tally.wrong << " wrong, " << tally.out_of_order
              << " out of order, at most " << tally.buffers << " buffers\n";
    const std::size_t most = n_readers * (of.held + 1) + 2;
    good = good && tally.wrong == 0 && tally.out_of_order == 0 && tally.reads >= of.reads && tally.buffers <= most;
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
