#include <benchmark/benchmark.h>

#include <polyak/polyak.hpp>

#include <atomic>
#include <cstdint>
#include <latch>
#include <string>
#include <thread>
#include <utility>

#include "benchmarks.hpp"
#include "steps.hpp"

// A published average: what it costs the trainer and its readers, alone and beside a reader that never rests.

namespace {

using namespace steps;

/// A thread that does one thing over and over, from before this is made until it goes.
template <class Work>
class Busy {
 public:
  explicit Busy(Work work)
      : thread_([this, once = std::move(work)] {
          once();
          begun_.count_down();
          while (!done_.load(std::memory_order_relaxed)) once();
        }) {
    begun_.wait();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() {
    done_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

 private:
  std::latch begun_{1};
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

/// Takes a snapshot and reads all of it.
template <class Scalar>
auto sum_of(const polyak::Published<Scalar>& published) {
  return [&published] { benchmark::DoNotOptimize(published.snapshot().average().sum()); };
}
/// Takes a snapshot and lets it go.
template <class Scalar>
auto take_from(const polyak::Published<Scalar>& published) {
  return [&published] { benchmark::DoNotOptimize(published.snapshot().version()); };
}

template <class Scalar>
struct Publisher {
  explicit Publisher(Eigen::Index n) : average(Eigen::VectorX<Scalar>::Ones(n)) {
    published.publish(average);
    published.publish(average);
  }
  Eigen::VectorX<Scalar> average;
  polyak::Published<Scalar> published;
};

// Of the trainer: a publication, and what it could not do without, a copy.

template <class Scalar>
void publish(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  escape(publisher);
  time_steps(state, 1, [&] { publisher.published.publish(publisher.average); });
}

template <class Scalar>
void publish_read(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  escape(publisher);
  const Busy reader(sum_of(publisher.published));
  time_steps(state, 1, [&] { publisher.published.publish(publisher.average); });
}

template <class Scalar>
void copy_in_turn(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  Eigen::VectorX<Scalar> copies[2] = {publisher.average, publisher.average};
  escape(publisher);
  escape(copies);
  bool first = false;
  time_steps(state, 1, [&] { copies[(first = !first) ? 0 : 1] = publisher.average; });
}

// A step with an average that is published after each, after one in a hundred, and never.

constexpr int never = 0;

template <class Scalar, int every>
void time_published(benchmark::State& state, Publisher<Scalar>& publisher) {
  Problem<Scalar> problem(state.range(0));
  polyak::Averaged optimizer{polyak::Sgd<Scalar>{{.learning_rate = rate}}, polyak::Ema<Scalar>{}};
  escape(problem);
  escape(optimizer);
  escape(publisher);
  int since = 0;
  time_steps(state, every == never ? 1 : every, [&] {
    optimizer.step(problem.weights, problem.gradient);
    if (every != never && ++since == every) {
      publisher.published.publish(optimizer);
      since = 0;
    }
  });
}

template <class Scalar, int every>
void published_step(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  time_published<Scalar, every>(state, publisher);
}

template <class Scalar, int every>
void published_step_read(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  const Busy reader(sum_of(publisher.published));
  time_published<Scalar, every>(state, publisher);
}

// Of a reader: a snapshot taken and given back, and the question whether it is the latest.

template <class Scalar>
void snapshot(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  time_steps(state, 1, take_from(publisher.published));
}

template <class Scalar>
void snapshot_read(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  const Busy reader(take_from(publisher.published));
  time_steps(state, 1, take_from(publisher.published));
}

template <class Scalar>
void snapshot_published(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  const Busy trainer([&publisher] { publisher.published.publish(publisher.average); });
  time_steps(state, 1, take_from(publisher.published));
}

template <class Scalar>
void is_latest(benchmark::State& state) {
  Publisher<Scalar> publisher(state.range(0));
  const auto latest = publisher.published.snapshot();
  time_steps(state, 1, [&] { benchmark::DoNotOptimize(publisher.published.is_latest(latest)); });
}

template <class Scalar>
void register_families(const std::string& scalar) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&), int largest = 20) {
    auto* benchmark = benchmark::RegisterBenchmark((family + "<" + scalar + ">").c_str(), function);
    for (int exponent = 10; exponent <= largest; exponent += 2) benchmark->Arg(std::int64_t{1} << exponent);
  };
  add("copy_in_turn", copy_in_turn<Scalar>);
  add("publish", publish<Scalar>);
  add("publish_read", publish_read<Scalar>);
  add("published_never", published_step<Scalar, never>);
  add("published_never_read", published_step_read<Scalar, never>);
  add("published_100", published_step<Scalar, 100>);
  add("published_100_read", published_step_read<Scalar, 100>);
  add("published_1", published_step<Scalar, 1>);
  add("published_1_read", published_step_read<Scalar, 1>);
  add("snapshot", snapshot<Scalar>, 10);
  add("snapshot_read", snapshot_read<Scalar>, 10);
  add("snapshot_published", snapshot_published<Scalar>, 10);
  add("is_latest", is_latest<Scalar>, 10);
}

}  // namespace

void register_published() {
  register_families<float>("float");
  register_families<double>("double");
}
