#include <polyak/averagers/tail_average.hpp>
#include <polyak/sparse/row_average.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// polyak_row_threads: what a step on ten rows of 2^16 x 64 floats takes on the clock on the wall, divided by the steps
// of both threads: with and without a RowAverage, by one thread and by two, which share a table by a mutex or have one
// each. Ways in random turns, medians.

namespace {

using Table = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Rows = std::array<int, 10>;
using Clock = std::chrono::steady_clock;

constexpr int n_rows = 1 << 16, columns = 64, steps = 20'000;

std::vector<Rows> random_rows(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Rows> all(steps);
  for (Rows& rows : all) {
    for (int& row : rows) row = static_cast<int>(random() % n_rows);
  }
  return all;
}

/// Attracts the rows to their mean, as in word2vec's bags of words.
void attract(Table& table, const Rows& rows) {
  const Eigen::RowVectorXf mean = table(rows, Eigen::all).colwise().mean();
  for (const int row : rows) table.row(row) += 0.1f * (mean - table.row(row));
}

struct Worker {
  Table table = Table::Random(n_rows, columns);
  polyak::RowAverage<polyak::TailAverage<>, float> average{table};
  std::vector<Rows> rows;
  explicit Worker(std::uint32_t seed) : rows(random_rows(seed)) {}

  void plain() {
    for (const Rows& each : rows) attract(table, each);
  }
  void averaged() {
    for (const Rows& each : rows) average.step(table, each, [&] { attract(table, each); });
  }
  void averaged_in_turn(std::mutex& turn, const std::vector<Rows>& mine) {
    for (const Rows& each : mine) {
      const std::lock_guard lock(turn);
      average.step(table, each, [&] { attract(table, each); });
    }
  }
};

void both(const std::function<void()>& one, const std::function<void()>& other) {
  std::thread second(other);
  one();
  second.join();
}

}  // namespace

int main() {
  Worker a(1), b(2);
  std::mutex turn;
  struct Way {
    std::string_view name;
    int threads;
    std::function<void()> run;
    std::vector<double> nanoseconds = {};
  };
  std::array ways{
      Way{"one thread, no average", 1, [&] { a.plain(); }},
      Way{"one thread, `RowAverage`", 1, [&] { a.averaged(); }},
      Way{"two threads, a table each, no average", 2, [&] { both([&] { a.plain(); }, [&] { b.plain(); }); }},
      Way{"two threads, a table and a `RowAverage` each", 2,
          [&] { both([&] { a.averaged(); }, [&] { b.averaged(); }); }},
      Way{"two threads, one table and `RowAverage`, a mutex", 2,
          [&] { both([&] { a.averaged_in_turn(turn, a.rows); }, [&] { a.averaged_in_turn(turn, b.rows); }); }},
  };
  std::mt19937 random(1);
  std::array<std::size_t, ways.size()> order{0, 1, 2, 3, 4};
  for (int repetition = 0; repetition < 11; ++repetition) {
    std::ranges::shuffle(order, random);
    for (const std::size_t i : order) {
      const auto start = Clock::now();
      ways[i].run();
      const std::chrono::duration<double, std::nano> time = Clock::now() - start;
      ways[i].nanoseconds.push_back(time.count() / (steps * ways[i].threads));
    }
  }
  std::cout << "| ns a step | |\n|---|--:|\n" << std::fixed << std::setprecision(0);
  for (Way& way : ways) {
    const auto middle = way.nanoseconds.begin() + 5;
    std::nth_element(way.nanoseconds.begin(), middle, way.nanoseconds.end());
    std::cout << "| " << way.name << " | " << *middle << " |\n";
  }
}
