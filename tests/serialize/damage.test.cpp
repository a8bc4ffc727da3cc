#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/sparse/sparse_adagrad.hpp>
#include <polyak/sparse/sparse_row.hpp>
#include <polyak/sparse/sparse_sgd.hpp>
#include <polyak/wrappers/accumulate.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "serialize/checks.hpp"

// Loading what is not all there, or not what it seems, throws and leaves an object as it was.

using namespace polyak;
using serialize::Bytes;
using serialize::load;
using serialize::Run;
using serialize::save;
using serialize::Saveable;
using support::error_of;

namespace {

template <class Scalar, class Object>
void train(Object& object, std::size_t steps, Eigen::Index n = 5) {
  const Run<Scalar> run(n, steps);
  auto theta = run.start;
  for (const auto& gradient : run.gradients) serialize::take_step(object, theta, gradient);
}

}  // namespace

TEST_CASE("a sparse model that breaks off in loading is left as it was", "[serialize]") {
  SparseAdagrad model({.features = 3, .outputs = 2, .l1 = 0.1}, Ema{{.decay = 0.5}});
  const auto fresh = model;
  const std::vector<int> indices{0, 2};
  const std::vector<double> values{1, 2};
  model.step(SparseRow{indices, values}, values);
  const Bytes whole = save(model);
  auto other = fresh;
  other.step(SparseRow{indices, values}, std::vector<double>{-1, 3});
  other.step(SparseRow{indices, values}, values);
  const Bytes before = save(other);
  Eigen::MatrixXd table = Eigen::MatrixXd::Ones(2, 2);
  RowAverage average{table};
  const Bytes empty_average = save(average);
  RowAverage used = average;
  used.step(table, std::vector{0}, [&] { table.row(0) *= 2; });
  const Bytes used_average = save(used);
  serialize::check_truncated("SparseAdagrad", whole, [&](const Bytes& bytes) { load(bytes, other); });
  serialize::check_truncated("RowAverage", used_average, [&](const Bytes& bytes) { load(bytes, average); });
  CHECK(save(other) == before);
  CHECK(save(average) == empty_average);
}

TEST_CASE("another version of what is no part is refused", "[serialize]") {
  serialize::check_version("Averaged", Saveable(Averaged{Sgd{}, Ema{}}));
  serialize::check_version("SparseSgd", Saveable(SparseSgd<>({.features = 2})));
  serialize::check_version("RowAverage", Saveable(RowAverage{Eigen::MatrixXd::Ones(2, 2)}));
}

TEST_CASE("what does not fit together is refused", "[serialize]") {
  const auto replaced = [](Bytes bytes, std::uint64_t from, std::uint64_t to, std::size_t which) {
    for (std::size_t at = 0; at + sizeof from <= bytes.size(); ++at) {
      if (std::memcmp(bytes.data() + at, &from, sizeof from) != 0 || which-- > 0) continue;
      std::memcpy(bytes.data() + at, &to, sizeof to);
      return bytes;
    }
    throw std::logic_error("not found");
  };
  const std::string damaged = ": the saved state is damaged: ";
  Sgd sgd{{.momentum = 0.5}};
  train<double>(sgd, 1, 77);  // a number that comes twice: of rows, and of the velocity
  const auto error = [&](std::uint64_t to, std::size_t which) {
    Sgd present{{.momentum = 0.5}};
    return error_of([&] { load(replaced(save(sgd), 77, to, which), present); });
  };
  CHECK(error(77, 0) == "nothing");
  CHECK(error(78, 1) == "invalid_argument: polyak::Sgd" + damaged + "velocity must have size 77, got 78");
  CHECK(error(78, 0) == "invalid_argument: polyak::Sgd" + damaged + "velocity must have size 78, got 77");
  CHECK(error(std::uint64_t{1} << 63, 0) == "invalid_argument: polyak::Sgd" + damaged + "a block is too large");
  CHECK(error((std::uint64_t{1} << 63) - 1, 0) ==
        "invalid_argument: polyak::Sgd" + damaged + "velocity must have size 9223372036854775807, got 77");
  Eigen::MatrixXd matrix = Eigen::MatrixXd::Ones(71, 83);
  Sgd of_matrix, other;
  of_matrix.step(matrix, matrix);
  CHECK(error_of([&] { load(replaced(replaced(save(of_matrix), 71, std::uint64_t{1} << 62, 0), 83, 4, 0), other); }) ==
        "invalid_argument: polyak::Sgd" + damaged + "a block is too large");

  std::vector<std::vector<double>> blocks{std::vector<double>(77), std::vector<double>(88)};
  Averaged set{Sgd{}, Ema{}};
  set.step(blocks, blocks);
  Averaged present{Sgd{}, Ema{}};
  const std::uint64_t half = std::uint64_t{1} << 62;
  CHECK(error_of([&] { load(replaced(replaced(save(set), 77, half, 0), 88, half, 0), present); }) ==
        "invalid_argument: polyak::Sgd" + damaged + "its blocks are too large");

  Lawa lawa{{.window = 33}};
  train<double>(lawa, 34);
  Lawa loaded{{.window = 33}};
  CHECK(error_of([&] { load(replaced(save(lawa), 33, 34, 1), loaded); }) ==
        "invalid_argument: polyak::Lawa" + damaged + "window must have size 33, got 34");

  Accumulate accumulate{Sgd{}, {.micro_batches = 55}};
  train<double>(accumulate, 44);
  Accumulate fresh{Sgd{}, {.micro_batches = 55}};
  CHECK(error_of([&] { load(replaced(save(accumulate), 44, 55, 0), fresh); }) ==
        "invalid_argument: polyak::Accumulate" + damaged + "it has 55 gradients pending");
  const auto samples = [](double x) { return std::bit_cast<std::uint64_t>(x); };
  CHECK(error_of([&] { load(replaced(save(accumulate), samples(44), samples(0), 0), fresh); }) ==
        "invalid_argument: polyak::Accumulate" + damaged + "it has 0 samples");
  CHECK(fresh.pending() == 0);
}

TEST_CASE("an average that is swapped in can be saved, but not loaded over", "[serialize]") {
  Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.5}}};
  Eigen::VectorXd theta = Eigen::VectorXd::Ones(3);
  for (int t = 0; t < 3; ++t) opt.step(theta, theta);
  Lawa lawa;
  lawa.update(theta);
  const Bytes saved = save(opt), saved_window = save(lawa);
  {
    const auto guard = opt.swap_in(theta);
    CHECK(save(opt) == saved);
    CHECK(error_of([&] { load(saved, opt); }) ==
          "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
    CHECK(error_of([&] { load(save(opt.averager()), opt.averager()); }) ==
          "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
  }
  {
    const auto guard = lawa.swap_in(theta);
    CHECK(save(lawa) == saved_window);
    CHECK(error_of([&] { load(saved_window, lawa); }) ==
          "logic_error: polyak::Lawa: the average is swapped in; restore the trained weights first");
  }
  load(saved, opt);
  load(saved_window, lawa);
  CHECK(save(opt) == saved);
}

TEST_CASE("blocks that come to overlap by loading are refused", "[serialize]") {
  std::vector<double> weights(40, 1.0), gradients(40, 1.0);
  const auto step = [&](Sgd<>& sgd, std::size_t first, std::size_t second) {
    using Blocks = std::vector<std::span<double>>;
    Blocks params{{weights.data(), first}, {weights.data() + 10, second}};
    Blocks gradient{{gradients.data(), first}, {gradients.data() + 20, second}};
    sgd.step(params, gradient);
  };
  Sgd longer;
  std::vector<std::vector<double>> apart{std::vector<double>(15), std::vector<double>(10)};
  longer.step(apart, apart);
  Sgd sgd;
  step(sgd, 10, 10);
  load(save(longer), sgd);
  CHECK(error_of([&] { step(sgd, 15, 10); }) ==
        "invalid_argument: polyak::Sgd: block 1 must not overlap block 0 of the parameters");
  CHECK(error_of([&] { step(sgd, 10, 10); }) ==
        "invalid_argument: polyak::Sgd: parameters must keep the size of block 0, 15x1, got 10x1");
}
