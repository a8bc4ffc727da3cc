#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/power_ema.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/schedules.hpp>
#include <polyak/sparse/row_average.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "sanitized.hpp"
#include "support.hpp"

namespace {

using namespace polyak;
using Eigen::MatrixXd;
using support::error_of;
using support::largest;
using support::worse;
using LongMatrix = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;

constexpr Eigen::Index n_rows = 10;
constexpr Eigen::Index n_cols = 3;

/// The same gains, folded densely in long double.
template <class Averager>
class Definition {
 public:
  explicit Definition(const Averager& averager) : gains_(averager.gains()) {}

  void before(const LongMatrix& table) {
    if (gains_.count() == 0) average_ = table;
  }
  void after(const LongMatrix& table) {
    const auto next = gains_.next();
    if (next.due()) average_ += static_cast<long double>(next.gain()) * (table - average_);
    gains_.commit(next);
  }
  [[nodiscard]] const LongMatrix& average() const { return average_; }

 private:
  std::remove_cvref_t<decltype(std::declval<const Averager&>().gains())> gains_;
  LongMatrix average_;
};

/// The largest error met, in weights of order one.
template <class Averager>
double compare(const Averager& averager, std::uint64_t steps, bool meddle = false) {
  support::Random random(5);
  MatrixXd table(n_rows, n_cols);
  for (auto& weight : table.reshaped()) weight = random.normal();
  const MatrixXd untouched = table.bottomRows(1);
  RowAverage average(table, averager);
  Definition definition(averager);
  double error = 0;
  for (std::uint64_t t = 1; t <= steps; ++t) {
    std::vector<std::uint32_t> rows(random.integer(0, 3));
    for (auto& row : rows) row = static_cast<std::uint32_t>(random.integer(0, n_rows - 2));
    if (meddle && t % 997 == 0) {
      average.detach(table);
      table.topRows(n_rows - 1) *= -0.5;
    }
    definition.before(table.cast<long double>());
    average.step(table, rows, [&] {
      for (const auto row : rows) {
        table.row(row) *= 0.9;
        table(row, 1) += random.normal();
      }
    });
    definition.after(table.cast<long double>());
    if (average.has_average() && (t < 50 || t % (steps / 64) == 0)) {
      const MatrixXd s = average.average(table);
      error = worse(error, largest(s.cast<long double>() - definition.average()));
      error = worse(error, largest(average.average_row(table, 2) - s.row(2)));
      error = worse(error, largest(s.bottomRows(1) - untouched));
    }
  }
  CHECK(average.steps() == steps);
  CHECK(average.has_average());
  return error;
}

double restarting(std::uint64_t k) { return 1 / static_cast<double>((k - 1) % 1000 + 1); }

}  // namespace

TEST_CASE("The average of a table agrees with the dense recursion over many steps", "[sparse]") {
  const bool meddle = GENERATE(false, true);
  constexpr std::uint64_t steps = support::slow ? 5'000 : support::patient ? 100'000 : 20'000;
  CHECK(compare(TailAverage{}, steps, meddle) <= 1e-12);
  CHECK(compare(TailAverage{{.start = 500, .every = 7}}, steps, meddle) <= 1e-12);
  CHECK(compare(Ema{{.decay = 0.0}}, steps, meddle) <= 1e-12);
  CHECK(compare(Ema{{.decay = 0.1}}, steps, meddle) <= 1e-12);
  CHECK(compare(Ema{{.decay = 0.99}}, steps, meddle) <= 1e-12);
  CHECK(compare(Ema{{.decay = 0.9999, .bias_correction = false}}, steps, meddle) <= 1e-12);
  const auto rising = [](std::uint64_t k) { return std::min(1.0, static_cast<double>(k) / 1000); };
  CHECK(compare(Ema{{.decay = rising}}, steps, meddle) <= 1e-12);
  CHECK(compare(Ema{{.decay = 1, .bias_correction = false}}, steps, meddle) <= 1e-12);
  CHECK(compare(PowerEma{}, steps, meddle) <= 1e-12);
  CHECK(compare(GainAverage{{.gain = restarting}}, steps, meddle) <= 1e-12);
}

TEST_CASE("Behind its back, a table drags its average along, unless detached", "[sparse]") {
  MatrixXd table = MatrixXd::Constant(2, 1, 4);
  const std::array rows{0};
  RowAverage average(table, Ema{{.decay = 0.5}});
  average.step(table, rows, [&] { table(0, 0) = 8; });
  average.step(table, rows, [&] { table(0, 0) = 2; });
  CHECK(average.average(table)(0, 0) == Approx(4));  // (8 + 2 · 2)/3
  const MatrixXd before = table;
  table(0, 0) = 5;
  CHECK(average.average(table)(0, 0) == Approx(7));  // dragged along all the way
  SECTION("after the change, with a copy") { average.detach(before); }
  SECTION("before the change") {
    table = before;
    average.detach(table);
    table(0, 0) = 5;
  }
  CHECK(average.average(table)(0, 0) == Approx(4));
  CHECK(average.average(table)(1, 0) == Approx(4));
  average.step(table, std::array<int, 0>{}, [] {});
  CHECK(average.average(table)(0, 0) == Approx(4 + (5 - 4) * 4.0 / 7));
  CHECK(average.sweeps() == 1);
}

TEST_CASE("A row named twice moves once", "[sparse]") {
  MatrixXd table = MatrixXd::Zero(2, 2);
  RowAverage average(table, TailAverage{});
  const std::vector<long> rows{1, 1, 1};
  average.step(table, rows, [&] { table(1, 0) = 1; });
  average.step(table, rows, [&] { table(1, 0) = 3; });
  CHECK(average.average(table) == MatrixXd{{0, 0}, {2, 0}});
}

TEST_CASE("A table of floats has an average of doubles", "[sparse]") {
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> table(1, 2);
  table << 1, 2;
  RowAverage average(table, TailAverage{});
  const std::vector<int> rows{0};
  for (int t = 0; t < 3; ++t) average.step(table, std::span(rows), [&] { table.array() *= 2; });
  CHECK(average.average(table)(0, 1) == Approx(28.0 / 3).epsilon(1e-15));
  RowAverage<TailAverage<>, float> narrow(table);
  narrow.step(table, rows, [] {});
  static_assert(std::is_same_v<decltype(narrow.average(table))::Scalar, float>);
  CHECK(narrow.average(table)(0, 0) == 8);
}

TEST_CASE("A move that throws leaves table and average as they were", "[sparse]") {
  MatrixXd table = MatrixXd::Constant(3, 2, 1);
  const std::vector<int> rows{0, 2};
  RowAverage average(table, Ema{{.decay = 0.9}});
  for (int t = 0; t < 2; ++t) average.step(table, rows, [&] { table.row(2).array() += 1; });
  const MatrixXd before = table;
  const MatrixXd average_before = average.average(table);
  CHECK_THROWS_AS(average.step(table, rows,
                               [&] {
                                 table.row(0).setZero();
                                 throw std::runtime_error("stop");
                               }),
                  std::runtime_error);
  CHECK(table == before);
  CHECK(average.average(table) == average_before);
  CHECK(average.steps() == 2);
}

TEST_CASE("reset of a RowAverage begins anew", "[sparse]") {
  MatrixXd start(3, 2);
  start << 1, 2, 3, 4, 5, 6;
  const auto check = [&](const auto& averager) {
    RowAverage average(start, averager);
    const auto run = [&] {
      MatrixXd table = start, early;
      for (int t = 0; t < 1600; ++t) {  // with a sweep shortly before the last
        average.step(table, std::array{t % 2}, [&] { table.row(t % 2).array() += 1; });
        if (t == 2) early = average.average(table);
      }
      return early;
    };
    const MatrixXd first = run();
    CHECK(average.sweeps() > 0);
    average.reset();
    CHECK_FALSE(average.has_average());
    CHECK(average.steps() == 0);
    CHECK(average.sweeps() == 0);
    CHECK(run() == first);
  };
  check(Ema{{.decay = 0.9}});
  check(Ema{{.decay = 0.9, .bias_correction = false}});
}

TEST_CASE("RowAverage refuses what does not fit", "[sparse]") {
  MatrixXd table = MatrixXd::Zero(3, 2);
  MatrixXd other = MatrixXd::Zero(3, 1);
  RowAverage average(table);
  bool moved = false;
  const auto move = [&] { moved = true; };
  CHECK(error_of([&] {
          average.step(table, std::array{0, 3}, move);
        }) == "invalid_argument: polyak::RowAverage: indices must be below 3, got 3");
  CHECK(error_of([&] { average.step(table, std::array{-1}, move); }) ==
        "invalid_argument: polyak::RowAverage: indices must be >= 0, got -1");
  CHECK(error_of([&] { average.step(other, std::array{0}, move); }) ==
        "invalid_argument: polyak::RowAverage: columns of the table must be 2, got 1");
  CHECK(error_of([&] { static_cast<void>(average.average(table)); }) ==
        "logic_error: polyak::RowAverage: there is no average before the first fold, due at step 1, got 0 steps");
  CHECK(error_of([&] { static_cast<void>(average.average_row(table, 0)); }) ==
        "logic_error: polyak::RowAverage: there is no average before the first fold, due at step 1, got 0 steps");
  CHECK_FALSE(moved);
  average.step(table, std::array{0}, move);
  CHECK(error_of([&] { static_cast<void>(average.average_row(table, 3)); }) ==
        "invalid_argument: polyak::RowAverage: indices must be below 3, got 3");
  const auto of_all = [&](const MatrixXd& wrong, const std::string& what) {
    const std::string error = "invalid_argument: polyak::RowAverage: " + what;
    CHECK(error_of([&] { average.detach(wrong); }) == error);
    CHECK(error_of([&] { static_cast<void>(average.average(wrong)); }) == error);
    CHECK(error_of([&] { static_cast<void>(average.average_row(wrong, 0)); }) == error);
  };
  of_all(other, "columns of the table must be 2, got 1");
  of_all(MatrixXd::Zero(4, 2), "rows of the table must be 3, got 4");
  Ema<> used;
  used.update(Eigen::VectorXd(Eigen::VectorXd::Zero(2)));
  CHECK(error_of([&] { RowAverage(table, used); }) ==
        "logic_error: polyak::RowAverage: the averager must not be in use already");
  Ema<> started;
  started.start_from(Eigen::VectorXd(Eigen::VectorXd::Zero(2)));
  CHECK(error_of([&] { RowAverage(table, started); }) ==
        "logic_error: polyak::RowAverage: the averager must not be in use already");
}

TEST_CASE("A detached average does not see what becomes of its table", "[sparse]") {
  MatrixXd table = MatrixXd::Ones(2, 1);
  RowAverage average(table);
  const std::array rows{0};
  for (int t = 0; t < 3; ++t) average.step(table, rows, [&] { table(0, 0) *= 2; });
  average.detach(table);
  table.setConstant(support::not_a_number);
  CHECK(average.average(table)(0, 0) == Approx(14.0 / 3));
  CHECK(average.average_row(table, 1)[0] == 1);
}

TEST_CASE("An average that is its table can be detached from it, and become it again", "[sparse]") {
  // The gains are 1, 1, 1/2, 1, 1, 1/2.
  RowAverage average(MatrixXd::Ones(1, 1),
                     GainAverage{{.gain = [](std::uint64_t k) { return k % 3 == 0 ? 0.5 : 1.0; }}});
  MatrixXd table = MatrixXd::Ones(1, 1);
  const std::array rows{0};
  const auto step = [&] { average.step(table, rows, [&] { table(0, 0) *= 2; }); };
  const auto detached = [&](double expected) {
    average.detach(table);
    const double before = table(0, 0);
    table(0, 0) = 100;
    CHECK(average.average(table)(0, 0) == expected);
    table(0, 0) = before;
  };
  step();
  detached(2);
  step();
  CHECK(average.average(table)(0, 0) == 4);
  step();
  CHECK(average.average(table)(0, 0) == 6);
  step();
  detached(16);
  step();
  CHECK(average.average(table)(0, 0) == 32);
  step();
  CHECK(average.average(table)(0, 0) == 48);
}

TEST_CASE("An average that was its table stays where it was detached, and goes on from there", "[sparse]") {
  MatrixXd table = MatrixXd::Constant(1, 1, 2);
  RowAverage average(table);
  const auto step = [&] { average.step(table, std::array<int, 0>{}, [] {}); };
  step();
  average.detach(table);
  table(0, 0) = 10;
  step();
  CHECK(average.average(table)(0, 0) == 6);

  // What was infinite before it became its table has no share in it.
  RowAverage restarted(table, GainAverage{{.gain = [](std::uint64_t k) { return k == 2 ? 0.5 : 1.0; }}});
  for (const double x : {1.0, support::infinity, 4.0}) {
    restarted.step(table, std::array{0}, [&] { table(0, 0) = x; });
  }
  restarted.detach(table);
  CHECK(restarted.average(table)(0, 0) == 4);
}

TEST_CASE("A gain of 1 after others costs a sweep, and is counted", "[sparse]") {
  MatrixXd table = MatrixXd::Ones(2, 1);
  RowAverage average(table, GainAverage{{.gain = [](std::uint64_t k) { return k % 2 == 1 ? 1.0 : 0.5; }}});
  const std::array rows{0};
  for (int t = 0; t < 20; ++t) average.step(table, rows, [&] { table(0, 0) += 1; });
  CHECK(average.average(table)(0, 0) == 20.5);
  CHECK(average.sweeps() == 9);
}

TEST_CASE("Threads with a table each have the mean over the iterates of all", "[sparse]") {
  struct Worker {
    MatrixXd table = MatrixXd::Ones(4, 2), sum = MatrixXd::Zero(4, 2);
    RowAverage<> average = RowAverage(table);

    void run(int steps) {
      for (int t = 0; t < steps; ++t) {
        average.step(table, std::array{t % 4}, [&] { table.row(t % 4).array() += t % 3 - 0.5; });
        sum += table;
      }
    }
  };
  Worker a, b;
  std::thread first([&] { a.run(700); }), second([&] { b.run(300); });
  first.join();
  second.join();
  const auto m = static_cast<double>(a.average.count()), n = static_cast<double>(b.average.count());
  const MatrixXd mean = (m * a.average.average(a.table) + n * b.average.average(b.table)) / (m + n);
  CHECK(m + n == 1000);
  CHECK(largest(mean - (a.sum + b.sum) / 1000) <= 1e-12 * largest(mean));
}

TEST_CASE("Threads with a mutex share a table and its average", "[sparse]") {
  MatrixXd table = MatrixXd::Zero(4, 2), sum = table;
  RowAverage average(table);
  std::mutex turn;
  const auto work = [&](int row) {
    for (int t = 0; t < 500; ++t) {
      const std::lock_guard lock(turn);
      average.step(table, std::array{row, 3}, [&] { table.row(row).array() += 1; });
      sum += table;
    }
  };
  std::thread first(work, 0), second(work, 1);
  first.join();
  second.join();
  CHECK(average.steps() == 1000);
  CHECK(largest(average.average(table) - sum / 1000) <= 1e-12 * largest(table));
}

TEST_CASE("What move must not do is refused", "[sparse]") {
  MatrixXd table = MatrixXd::Ones(3, 1);
  RowAverage average(table);
  const std::array rows{0, 1};
  CHECK(error_of([&] { average.step(table, rows, [&] { average.step(table, rows, [] {}); }); }) ==
        "logic_error: polyak::RowAverage: step must not be called while a step moves rows");
  average.step(table, rows, [] {});
  CHECK(average.steps() == 1);
  CHECK(error_of([&] { average.step(table, rows, [&] { table.conservativeResize(1, 1); }); }) ==
        "logic_error: polyak::RowAverage: the table must keep its size while a step moves rows");
}
