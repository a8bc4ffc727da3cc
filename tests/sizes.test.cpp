#include <polyak/polyak.hpp>

#include <Eigen/SparseCore>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"
#include "support.hpp"

// The ends of what sizes and indices can be: nothing, one, and more than fits.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using support::error_of;

namespace {

/// Assertions take long to compile, and what asks for them here is compiled for every part.
void check(const std::string& name, const std::string& what, bool good) {
  INFO(name << ": " << what);
  CHECK(good);
}

/// Steps enough that every variant is past its first fold and a later one, on no coordinates, on one, and on a set with
/// empty blocks around one: which must be alike.
constexpr int steps = 12;

template <class Optimizer>
void check_none_and_one(const char* name, const Optimizer& fresh) {
  Optimizer none = fresh, one = fresh, set = fresh, empty_set = fresh;
  VectorXd nothing, theta{{2}}, layer{{2}};
  MatrixXd no_rows(0, 3), no_cols(3, 0);
  const VectorXd g{{0.5}};
  bool alike = true;
  for (int t = 0; t < steps; ++t) {
    const bool taken = one.step(theta, g);
    alike = none.step(nothing, VectorXd()) == taken && alike;
    alike = set.step(ParameterSet{no_rows, layer, no_cols}, ParameterSet{no_rows, g, no_cols}) == taken && alike;
    alike = empty_set.step(ParameterSet{no_rows, no_cols}, ParameterSet{no_rows, no_cols}) == taken && alike;
    alike = support::same_bits(theta, layer) && alike;
  }
  check(name, "steps are alike", alike);
  check(name, "no coordinate stays none", nothing.size() == 0);
  check(name, "one coordinate moves", theta[0] != 2);
  // By the step at the latest, where gradients are added up before it.
  const auto next_step = [&] {
    while (!none.step(theta, g)) {
    }
  };
  check(name, "one coordinate is refused after none", error_of(next_step) != "nothing");
}

template <class Averager>
void check_average_of_none_and_one(const char* name, const Averager& averager) {
  Averaged<Sgd<>, Averager> none{Sgd{}, averager};
  Averaged<Sgd<>, Averager> set{Sgd{}, averager};
  VectorXd nothing, theta{{2}};
  MatrixXd no_rows(0, 3);
  for (int t = 0; t < steps; ++t) {
    none.step(nothing, nothing);
    set.step(ParameterSet{no_rows, theta}, ParameterSet{no_rows, theta});
  }
  check(name, "there is an average", none.has_average());
  check(name, "the average of nothing is empty", none.average().size() == 0 && none.average_or(nothing).size() == 0);
  none.copy_average_to(nothing);
  check(name, "the average of nothing is not one number", error_of([&] { none.copy_average_to(theta); }) != "nothing");
  {
    const auto guard = none.swap_in(nothing);
    check(name, "no step is taken while nothing is swapped in",
          support::has(error_of([&] { none.step(nothing, nothing); }), "swapped in"));
  }
  none.step(nothing, nothing);

  check(name, "the average has one coordinate", set.average().size() == 1);
  check(name, "the blocks of the average have the shapes of the set",
        set.average_block(0).rows() == 0 && set.average_block(0).cols() == 3 &&
            set.average_block(1)(0, 0) == set.average()[0]);
  const VectorXd trained = theta;
  {
    const auto guard = set.swap_in(ParameterSet{no_rows, theta});
    check(name, "the average is swapped in", theta[0] == set.average()[0]);
  }
  check(name, "the weights are swapped back", theta == trained);

  Averager alone = averager;
  if constexpr (requires { alone.start_from(nothing); }) alone.start_from(nothing);
  for (int t = 0; t < steps; ++t) alone.update(nothing);
  check(name, "alone, the average of nothing is empty", alone.average().size() == 0);
}

template <class Index>
std::string error_of_index(std::size_t features, Index index) {
  SparseSgd model{{.features = features}};
  const std::vector<Index> indices{index};
  const std::vector<double> values{1};
  return error_of([&] { model.step(SparseRow{indices, values}, 1.0); });
}

}  // namespace

TEST_CASE("no coordinate and one are parameters like any other, to every optimizer and wrapper") {
  const auto check_each = [](const char* name, const auto& optimizer) { check_none_and_one(name, optimizer); };
  parts::for_each_optimizer<double>(check_each);
  parts::for_each_wrapper(Sgd{}, check_each);
  check_none_and_one("all", Averaged{Accumulate{Lookahead{ClipNorm{SkipNonFinite{AdamW{}}}}}, Ema{}, Lawa{}});
}

TEST_CASE("no coordinate and one are averaged like any other") {
  const auto check_each = [](const char* name, const auto& averager) { check_average_of_none_and_one(name, averager); };
  parts::for_each_averager<default_shadow>(check_each);
  check_each("Ema from the weights", Ema{{.bias_correction = false}});
}

TEST_CASE("an empty range of blocks is a parameter set without coordinates") {
  std::vector<VectorXd> no_blocks;
  Averaged opt{AdamW{}, Ema{}};
  CHECK(opt.step(no_blocks, no_blocks));
  CHECK(opt.average().size() == 0);
  opt.copy_average_to(no_blocks);
  const auto guard = opt.swap_in(no_blocks);
}

TEST_CASE("an average of no coordinates is published") {
  Averaged opt{Sgd{}, Ema{}};
  VectorXd nothing;
  opt.step(nothing, nothing);
  Published published;
  CHECK(published.publish(opt) == 1);
  CHECK(published.snapshot().average().size() == 0);
  CHECK(published.publish(std::vector<double>()) == 2);
  CHECK(error_of([&] { published.publish(std::vector<double>(1)); }) ==
        "invalid_argument: polyak::Published: what is published must keep the size 0, got 1");
}

TEST_CASE("a table may be without rows or columns, and a step without rows") {
  for (const auto& [rows, cols] : {std::pair<Eigen::Index, Eigen::Index>{0, 3}, {3, 0}, {0, 0}, {1, 1}}) {
    MatrixXd table = MatrixXd::Ones(rows, cols);
    RowAverage average{table, Ema{{.decay = 0.5}}};
    std::vector<int> named;
    if (rows > 0) named.push_back(0);
    for (int t = 0; t < 3; ++t) {
      average.step(table, std::vector<int>(), [] {});
      average.step(table, named, [&] { table *= 2; });
    }
    average.detach(table);
    CHECK(average.average(table).rows() == rows);
    CHECK(average.average(table).cols() == cols);
    const std::vector<std::int64_t> beyond{rows};
    CHECK(error_of([&] { average.step(table, beyond, [] {}); }) ==
          "invalid_argument: polyak::RowAverage: indices must be below " + std::to_string(rows) + ", got " +
              std::to_string(rows));
  }
}

TEST_CASE("a sparse model has at least one feature, and takes rows that store nothing") {
  CHECK(error_of([] { SparseSgd{{.features = 0}}; }) ==
        "invalid_argument: polyak::SparseSgd: features must be >= 1, got 0");
  SparseSgd model{{.features = 1, .learning_rate = 0.5, .l2 = 0.5}, Ema{{.decay = 0.5}}};
  const std::array<int, 1> first{0};
  const std::array<double, 1> two{2};
  const SparseRow<int, double> nothing{};
  model.step(SparseRow{first, two}, -1.0);  // w = 1, intercept = 0.5
  model.step(nothing, -1.0);
  model.step(Eigen::SparseVector<double>(1), -1.0);
  CHECK(model.weights()(0, 0) == 0.5625);
  CHECK(model.intercept()[0] == 1.5);
  CHECK(model.predict(nothing) == 1.5);
  CHECK(model.predict(SparseRow{first, two}) == 2.625);
  CHECK(model.predict_average(nothing) == model.average_intercept()[0]);
}

TEST_CASE("indices of any width are compared as the numbers they are") {
  const std::string below_200 = "invalid_argument: polyak::SparseSgd: indices must be below 200, got ";
  const std::string negative = "invalid_argument: polyak::SparseSgd: indices must be >= 0, got ";
  CHECK(error_of_index<std::uint8_t>(200, 199) == "nothing");
  CHECK(error_of_index<std::uint8_t>(200, 200) == below_200 + "200");
  CHECK(error_of_index<std::uint8_t>(200, 255) == below_200 + "255");
  CHECK(error_of_index<std::uint8_t>(256, 255) == "nothing");
  CHECK(error_of_index<std::uint8_t>(1000, 255) == "nothing");
  CHECK(error_of_index<std::int8_t>(200, 127) == "nothing");
  CHECK(error_of_index<std::int8_t>(200, -1) == negative + "-1");
  CHECK(error_of_index<std::int8_t>(200, -128) == negative + "-128");
  CHECK(error_of_index<std::int8_t>(1000, -1) == negative + "-1");
  CHECK(error_of_index<std::int16_t>(100'000, -1) == negative + "-1");
  CHECK(error_of_index<std::int32_t>(200, std::numeric_limits<std::int32_t>::max()) == below_200 + "2147483647");
  CHECK(error_of_index<std::int32_t>(200, std::numeric_limits<std::int32_t>::min()) == negative + "-2147483648");
  CHECK(error_of_index<std::uint32_t>(200, std::numeric_limits<std::uint32_t>::max()) == below_200 + "4294967295");
  CHECK(error_of_index<std::int64_t>(200, std::int64_t{1} << 32) == below_200 + "4294967296");
  CHECK(error_of_index<std::int64_t>(200, std::numeric_limits<std::int64_t>::min()) ==
        negative + "-9223372036854775808");
  CHECK(error_of_index<std::uint64_t>(200, std::numeric_limits<std::uint64_t>::max()) ==
        below_200 + "18446744073709551615");
}

TEST_CASE("rows of a table are named by indices of any width") {
  MatrixXd table = MatrixXd::Ones(200, 1);
  RowAverage average{table};
  const auto error = [&](auto row) {
    const std::vector<decltype(row)> rows{row};
    return error_of([&] { average.step(table, rows, [] {}); });
  };
  CHECK(error(std::uint8_t{199}) == "nothing");
  CHECK(error(std::uint8_t{200}) == "invalid_argument: polyak::RowAverage: indices must be below 200, got 200");
  CHECK(error(std::int8_t{-56}) == "invalid_argument: polyak::RowAverage: indices must be >= 0, got -56");
  CHECK(error(std::uint64_t{1} << 63) ==
        "invalid_argument: polyak::RowAverage: indices must be below 200, got 9223372036854775808");
}

TEST_CASE("more numbers than memory can have are refused, though their product wraps around") {
  const std::string refused = "invalid_argument: polyak::SparseSgd: features times outputs must fit in memory, got ";
  constexpr std::size_t half = std::size_t{1} << 32;
  CHECK(error_of([&] { SparseSgd{{.features = half, .outputs = half}}; }) == refused + "4294967296");
  CHECK(error_of([&] { SparseSgd{{.features = std::size_t{1} << 63}}; }) == refused + "9223372036854775808");
  CHECK(error_of([&] { SparseSgd{{.features = 1, .outputs = std::numeric_limits<std::size_t>::max()}}; }) ==
        refused + "1");
  CHECK(error_of([&] { SparseSgd{{.features = 1, .outputs = std::size_t{1} << 62}}; }) == refused + "1");
  CHECK(error_of([&] { SparseAdagrad{{.features = half, .outputs = half}}; }) ==
        "invalid_argument: polyak::SparseAdagrad: features times outputs must fit in memory, got 4294967296");
}
