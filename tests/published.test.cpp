#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/swa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/parameters.hpp>
#include <polyak/published.hpp>
#include <polyak/schedules.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/SparseCore>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "support.hpp"

// What a Published does in one thread; tests/threads has several.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::constant;
using support::error_of;

namespace {

// [published average]
/// The trainer publishes now and then, and waits for nobody.
template <class Gradient>
void train(VectorXd& theta, Gradient gradient, polyak::Published<>& published) {
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = 0.1}}, polyak::Ema{{.decay = 0.99}}};
  for (int t = 1; t <= 1000; ++t) {
    opt.step(theta, gradient(theta));
    if (t % 100 == 0) published.publish(opt);
  }
}

/// In any other thread, one of these: a request is scored by one average from beginning to end.
class Scorer {
 public:
  explicit Scorer(const polyak::Published<>& published) : published_(published), snapshot_(published.snapshot()) {}

  VectorXd operator()(const MatrixXd& request) {
    if (!published_.is_latest(snapshot_)) snapshot_ = published_.snapshot();
    return request * snapshot_.average();
  }

 private:
  const polyak::Published<>& published_;
  polyak::Published<>::Snapshot snapshot_;
};
// [/published average]

using Snapshot = Published<>::Snapshot;

template <class T>
concept Copies = std::copy_constructible<T> || std::is_copy_assignable_v<T> || std::is_move_constructible_v<T> ||
                 std::is_move_assignable_v<T>;

static_assert(!Copies<Published<>>);
static_assert(std::copyable<Snapshot>);
static_assert(std::is_nothrow_move_constructible_v<Snapshot> && std::is_nothrow_move_assignable_v<Snapshot>);

}  // namespace

TEST_CASE("a published average as the guide has it follows the trainer") {
  Published published;
  VectorXd theta = constant(3, 0);
  published.publish(theta);
  Scorer score(published);
  CHECK(score(MatrixXd::Identity(3, 3)) == theta);

  train(
      theta, [](const VectorXd& at) -> VectorXd { return at - constant(3, 7); }, published);
  const auto snapshot = published.snapshot();
  CHECK(snapshot.version() == 11);
  CHECK(snapshot.steps() == 1000);
  CHECK((snapshot.average() - constant(3, 7)).norm() < 0.01);
  CHECK(score(MatrixXd::Identity(3, 3)) == snapshot.average());
}

TEST_CASE("a snapshot stays as it is while others are published") {
  Published published;
  std::vector<Snapshot> held;
  for (int i = 1; i <= 20; ++i) {
    CHECK(published.publish(constant(5, i), static_cast<std::uint64_t>(10 * i)) == static_cast<std::uint64_t>(i));
    held.push_back(published.snapshot());
    if (i % 3 == 0) held.push_back(published.snapshot());
  }
  for (int i = 0; i < 100; ++i) published.publish(constant(5, -1));
  std::uint64_t version = 0;
  for (const Snapshot& snapshot : held) {
    CHECK((snapshot.version() == version || snapshot.version() == version + 1));
    version = snapshot.version();
    CHECK(snapshot.steps() == 10 * version);
    CHECK(snapshot.average() == constant(5, static_cast<double>(version)));
  }
  CHECK(version == 20);
  CHECK(published.snapshot().version() == 120);
}

TEST_CASE("buffers are those held, the latest and one to write") {
  Published published;
  CHECK(published.buffers() == 0);
  const auto publish = [&published](int times) {
    for (int i = 0; i < times; ++i) published.publish(constant(2, i));
  };
  publish(1);
  CHECK(published.buffers() == 1);
  publish(100);
  CHECK(published.buffers() == 2);

  std::vector<Snapshot> held;
  for (std::size_t k = 1; k <= 9; ++k) {
    held.push_back(published.snapshot());
    held.push_back(published.snapshot());  // of the same publication
    publish(10);
    CHECK(published.buffers() == k + 2);
  }
  const VectorXd* const reused = &held[4].average();
  held.erase(held.begin() + 4, held.begin() + 6);
  std::vector<const VectorXd*> seen;
  for (int i = 0; i < 4; ++i) {
    publish(1);
    seen.push_back(&published.snapshot().average());
  }
  CHECK(std::count(seen.begin(), seen.end(), reused) > 0);
  held.clear();
  publish(100);
  CHECK(published.buffers() == 11);
}

TEST_CASE("copies of a snapshot hold what it holds") {
  Published published;
  published.publish(constant(2, 1));
  std::optional<Snapshot> first = published.snapshot();
  Snapshot copy = *first;
  Snapshot moved = std::move(*first);
  first.reset();
  const auto publish = [&published] {
    for (int i = 2; i < 8; ++i) published.publish(constant(2, i));
  };
  publish();
  CHECK(copy.average() == constant(2, 1));
  CHECK(&copy.average() == &moved.average());
  CHECK(published.buffers() == 3);

  copy = published.snapshot();
  publish();
  CHECK(copy.version() == 7);
  CHECK(moved.version() == 1);
  CHECK(published.buffers() == 4);

  const Snapshot& itself = copy;
  copy = itself;
  CHECK(copy.version() == 7);
  moved = copy;
  copy = std::move(moved);
  publish();
  CHECK(copy.version() == 7);
  CHECK(copy.average() == constant(2, 7));
  { const Snapshot last = std::move(copy); }
  publish();
  CHECK(published.buffers() == 4);
}

TEST_CASE("a snapshot knows whether it is the latest") {
  Published published;
  Published other;
  published.publish(constant(2, 1));
  Snapshot snapshot = published.snapshot();
  CHECK(published.is_latest(snapshot));
  CHECK_FALSE(other.is_latest(snapshot));
  other.publish(constant(2, 1));
  CHECK_FALSE(other.is_latest(snapshot));
  published.publish(constant(2, 1));
  CHECK_FALSE(published.is_latest(snapshot));
  snapshot = published.snapshot();
  CHECK(published.is_latest(snapshot));
}

TEST_CASE("snapshots outlive what they were taken from") {
  auto published = std::make_unique<Published<>>();
  std::vector<Snapshot> held;
  for (int i = 1; i <= 4; ++i) {
    published->publish(constant(3, i));
    if (i > 1) held.push_back(published->snapshot());
  }
  held.push_back(published->snapshot());
  published.reset();
  held.push_back(held.front());
  held.erase(held.begin());
  const std::vector<double> expected{3, 4, 4, 2};
  for (std::size_t i = 0; i < held.size(); ++i) {
    CHECK(held[i].average() == constant(3, expected[i]));
    CHECK(held[i].version() == static_cast<std::uint64_t>(expected[i]));
  }
}

TEST_CASE("whatever has an average is published, with its steps") {
  Published published;
  VectorXd theta = constant(4, 8);
  Averaged opt{Sgd{{.learning_rate = 0.5}}, Ema{{.decay = 0.5, .every = 2}}, TailAverage{{.start = 3}}};
  for (int t = 0; t < 5; ++t) opt.step(theta, theta);
  published.publish(opt.averager<1>());
  CHECK(published.snapshot().average() == opt.average<1>());
  CHECK(published.snapshot().steps() == 5);
  published.publish(opt.average<0>());
  CHECK(published.snapshot().average() == opt.average<0>());
  CHECK(published.snapshot().steps() == 0);

  Averaged nested{Averaged{Sgd{{.learning_rate = 0.5}}, Swa{{.period = 2}}}, Lawa{{.window = 2}}};
  for (int t = 0; t < 4; ++t) nested.step(theta, theta);
  published.publish(nested);
  CHECK(published.snapshot().average() == nested.average());
  CHECK(published.snapshot().steps() == 4);
  published.publish(nested.optimizer());
  CHECK(published.snapshot().average() == nested.optimizer().average());

  struct Plain {
    VectorXd average() const { return constant(4, 3); }
  };
  published.publish(Plain{});
  CHECK(published.snapshot().average() == constant(4, 3));
  CHECK(published.snapshot().steps() == 0);

  Ema started{{.bias_correction = false}};
  started.start_from(constant(4, 2));
  published.publish(started);
  CHECK(published.snapshot().average() == constant(4, 2));
  CHECK(published.snapshot().steps() == 0);

  SparseSgd sparse{{.features = 4}, TailAverage{}};
  const Eigen::SparseVector<double> x = constant(4, 1).sparseView();
  for (int t = 0; t < 3; ++t) sparse.step(x, [](double score) { return score - 1; });
  published.publish(sparse);
  CHECK(published.snapshot().average() == sparse.average());
  CHECK(published.snapshot().steps() == 3);
}

TEST_CASE("parameters of any kind are published, one block after the other, rounded") {
  Published<float> published;
  const MatrixXd matrix{{1, 2}, {3, 0.1}};
  const VectorXd vector{{5, 6}};
  published.publish(ParameterSet{matrix, vector}, 12);
  CHECK(published.snapshot().average() == Eigen::VectorXf{{1, 3, 2, 0.1f, 5, 6}});
  CHECK(published.snapshot().steps() == 12);
  published.publish(std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(published.snapshot().average() == Eigen::VectorXf{{1, 2, 3, 4, 5, 6}});
  const Snapshot old = [] {
    Published<> other;
    other.publish(constant(6, 7));
    return other.snapshot();
  }();
  published.publish(old.average(), old.steps());
  CHECK(published.snapshot().average() == Eigen::VectorXf::Constant(6, 7));

  Published nothing;
  nothing.publish(VectorXd());
  CHECK(nothing.snapshot().average().size() == 0);
}

TEST_CASE("the average is published while it is swapped in, and the weights are not") {
  Published published;
  Averaged opt{Sgd{{.learning_rate = 1}}, TailAverage{}};
  VectorXd theta = constant(2, 0);
  for (int t = 0; t < 3; ++t) opt.step(theta, constant(2, -1));
  {
    const auto guard = opt.swap_in(theta);
    published.publish(opt);
  }
  CHECK(published.snapshot().average() == constant(2, 2));
  CHECK(theta == constant(2, 3));
}

TEST_CASE("what cannot be published leaves what was") {
  Published published;
  Averaged opt{Sgd{}, Ema{}};
  CHECK_FALSE(published.has_snapshot());
  CHECK(error_of([&] { static_cast<void>(published.snapshot()); }) ==
        "logic_error: polyak::Published: there is no snapshot before the first publication");
  CHECK(error_of([&] { published.publish(opt); }) ==
        "logic_error: polyak::Ema: there is no average before the first fold, due at step 1, got 0 steps");
  CHECK_FALSE(published.has_snapshot());
  CHECK(published.buffers() == 0);

  published.publish(constant(3, 1));
  CHECK(published.has_snapshot());
  const Snapshot before = published.snapshot();
  CHECK(error_of([&] { published.publish(constant(4, 2)); }) ==
        "invalid_argument: polyak::Published: what is published must keep the size 3, got 4");
  MatrixXd matrix = MatrixXd::Zero(4, 2);
  CHECK(error_of([&] { published.publish(matrix.topRows(3)); }) ==
        "invalid_argument: polyak::Published: a view of parameters must be contiguous, got inner stride 1, outer "
        "stride 4");
  CHECK(error_of([&] { published.publish(opt); }) ==
        "logic_error: polyak::Ema: there is no average before the first fold, due at step 1, got 0 steps");
  CHECK(published.is_latest(before));
  CHECK(before.average() == constant(3, 1));
  CHECK(published.publish(constant(3, 2)) == 2);
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("no snapshot allocates, and no publication after the second") {
  using allocation_counter::allocations_in;
  Published published;
  Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{}};
  VectorXd theta = constant(1000, 1);
  const auto publish = [&] {
    opt.step(theta, theta);
    published.publish(opt);
  };
  publish();
  CHECK(allocations_in(publish) > 0);
  CHECK(allocations_in([&] {
          for (int i = 0; i < 100; ++i) publish();
        }) == 0);

  std::vector<Snapshot> held;
  held.reserve(3);
  CHECK(allocations_in([&] {
          held.push_back(published.snapshot());
          held.push_back(held.front());
        }) == 0);
  publish();
  CHECK(allocations_in(publish) > 0);  // what is held is not written again
  CHECK(allocations_in([&] {
          for (int i = 0; i < 100; ++i) {
            publish();
            held.push_back(published.snapshot());
            held.pop_back();
            held.back() = held.front();
          }
        }) == 0);
}
#endif
