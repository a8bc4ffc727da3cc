#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"
#include "support.hpp"

// Whole runs: what is trained, stopped, loaded and trained on is bit for bit what is trained in one go.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using Eigen::VectorXf;
using support::error_of;
using support::has;
using support::same_bits;

namespace {

// [checkpoint]
/// Goes on from the file, if there is one, and saves now and then; whenever it is killed, it can be started again.
template <class Gradient>
void train(VectorXf& theta, Gradient gradient, const std::filesystem::path& path) {
  polyak::Averaged opt{polyak::AdamW<float>{}, polyak::Ema{{.decay = 0.99}}};
  std::uint64_t step = 0;
  using polyak::named;
  if (std::filesystem::exists(path)) {
    polyak::load(path, named("weights", theta), named("opt", opt), named("step", step));
  }
  while (step < 1000) {
    opt.step(theta, gradient(theta));
    if (++step % 100 == 0) polyak::save(path, named("weights", theta), named("opt", opt), named("step", step));
  }
}

/// What is shipped is the average. It is asked for by name, and the optimizer need not be known.
VectorXf ship(const std::filesystem::path& path, Eigen::Index size) {
  VectorXf theta(size);
  polyak::load_average(path, "opt", theta);
  return theta;
}
// [/checkpoint]

/// A layer trained by AdamW, averaged twice.
struct DenseLayer {
  MatrixXf w = MatrixXf::Constant(3, 4, 1);
  VectorXf b = VectorXf::Constant(3, -1);
  Averaged<AdamW<float>, Ema<>, Swa<>> opt{AdamW<float>{{.learning_rate = Cosine{{.initial = 0.1, .steps = 40}}}},
                                           Ema<>{{.decay = 0.9}}, Swa<>{{.start = 4, .period = 3}}};

  void train(int from, int to) {
    for (int t = from; t < to; ++t) {
      support::Random random(static_cast<std::uint64_t>(t));
      const MatrixXf dw = random.vector<float>(12).reshaped(3, 4);
      const VectorXf db = random.vector<float>(3);
      opt.step(ParameterSet{w, b}, ParameterSet{dw, db});
    }
  }
  friend bool same(const DenseLayer& x, const DenseLayer& y) {
    return same_bits(x.w, y.w) && same_bits(x.b, y.b) && x.opt.average<0>() == y.opt.average<0>() &&
           x.opt.average<1>() == y.opt.average<1>();
  }
};

}  // namespace

TEST_CASE("A run that breaks off and is started again learns what it would have learnt", "[checkpoint]") {
  const files::Directory directory;
  const auto gradient = [](const VectorXf& theta) { return VectorXf(theta.array().sin() + 0.5f); };
  const VectorXf start = VectorXf::LinSpaced(7, -2, 3);
  VectorXf whole = start, broken = start;
  train(whole, gradient, directory / "whole.safetensors");

  int left = 555;
  const auto breaking = [&](const VectorXf& theta) {
    if (--left < 0) throw std::runtime_error("out of power");
    return gradient(theta);
  };
  CHECK_THROWS_AS(train(broken, breaking, directory / "broken.safetensors"), std::runtime_error);
  CHECK(broken != whole);
  train(broken, gradient, directory / "broken.safetensors");
  CHECK(same_bits(broken, whole));
  CHECK(files::read(directory / "broken.safetensors") == files::read(directory / "whole.safetensors"));
  CHECK(ship(directory / "broken.safetensors", 7) == ship(directory / "whole.safetensors", 7));
  CHECK(ship(directory / "whole.safetensors", 7) != whole);
}

TEST_CASE("A run with two averages goes on from a checkpoint bit for bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  DenseLayer whole, half, loaded;
  whole.train(0, 30);
  half.train(0, 13);
  save(path, named("layers", ParameterSet{half.w, half.b}), named("opt", half.opt));

  load(path, named("layers", ParameterSet{loaded.w, loaded.b}), named("opt", loaded.opt));
  CHECK(same(loaded, half));
  loaded.train(13, 30);
  CHECK(same(loaded, whole));
  // Into an object in the middle of another run too.
  load(path, named("opt", loaded.opt), named("layers", ParameterSet{loaded.w, loaded.b}));
  loaded.train(13, 30);
  CHECK(same(loaded, whole));

  std::string names;
  for (const EntryInfo& entry : entries(path)) {
    if (entry.dtype != "text") names += entry.name + ' ' + entry.dtype + detail::to_text(entry.shape) + '\n';
  }
  CHECK(names ==
        "layers.0 F32(3, 4)\nlayers.1 F32(3,)\nopt.averager.0.average F64(15,)\nopt.averager.1.average F64(15,)\n"
        "opt.optimizer.moment F32(15,)\nopt.optimizer.square F32(15,)\n");

  VectorXf weights(15);
  CHECK(
      has(error_of([&] { load_average(path, "opt", weights); }), "there are several averages in \"opt\"; there are "));
  load_average(path, "opt.averager.1", weights);
  CHECK(weights == half.opt.average<1>().cast<float>());
  VectorXd average(15);
  load(path, named("opt.averager.0.average", average));
  CHECK(average == half.opt.average<0>());
  CHECK(has(error_of([&] { load_average(path, "layers", weights); }), "there is no average in \"layers\""));
  CHECK(has(error_of([&] { load(path, named("opt.averager.0.average", weights)); }), "must be F32, 15 x 1"));
}

TEST_CASE("Another option is refused, and neither weights nor optimizer move", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Ones(4);
  Averaged saved{Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, Ema{{.decay = 0.999}}, TailAverage{}};
  saved.step(theta, theta);
  save(path, theta, saved);

  Averaged other{Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, Ema{{.decay = 0.999}}, TailAverage{{.every = 2}}};
  VectorXd weights = VectorXd::Zero(4);
  other.step(weights, VectorXd::Ones(4));
  const VectorXd before = weights;
  const VectorXd average = other.average<0>();
  CHECK(error_of([&] { load(path, weights, other); }) ==
        "invalid_argument: polyak::TailAverage: every must be 1 as in the saved state, got 2");
  CHECK(weights == before);
  CHECK(other.average<0>() == average);
  other.step(weights, VectorXd::Ones(4));  // with the momentum it had

  Sgd alone{{.learning_rate = 0.1, .momentum = 0.9}};
  VectorXd expected = VectorXd::Zero(4);
  for (int t = 0; t < 2; ++t) alone.step(expected, VectorXd::Ones(4));
  CHECK(same_bits(weights, expected));
}

TEST_CASE("Nothing is saved or loaded while an average stands in the place of the weights", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Ones(4);
  Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.9}}};
  for (int t = 0; t < 3; ++t) opt.step(theta, theta);
  save(path, theta, opt);
  const VectorXd trained = theta;
  const std::string bytes = files::read(path);
  {
    const auto guard = opt.swap_in(theta);
    CHECK(error_of([&] { save(path, theta, opt); }).starts_with("logic_error: polyak::Ema: the average is swapped in"));
    CHECK(error_of([&] { load(path, theta, opt); }).starts_with("logic_error: polyak::Ema: the average is swapped in"));
    CHECK(theta == opt.average());
  }
  CHECK(theta == trained);
  CHECK(files::read(path) == bytes);
  CHECK(directory.count() == 1);
  load(path, theta, opt);
  CHECK(error_of([&] { opt.step(theta, theta); }) == "nothing");
}

TEST_CASE("A start is shipped as the average that it is, and nothing where there is none", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  Ema ema{{.bias_correction = false}};
  ema.start_from(support::constant(3, 1));
  save(path, named("ema", ema), named("fresh", Ema{}));
  VectorXd weights = VectorXd::Zero(3);
  CHECK(has(error_of([&] { load_average(path, "fresh", weights); }),
            "there is no average in \"fresh\"; there are \"ema.average\" (F64, (3,))"));
  CHECK(weights == VectorXd::Zero(3));
  load_average(path, "ema", weights);
  CHECK(weights == support::constant(3, 1));
  Ema loaded{{.bias_correction = false}};
  load(path, named("ema", loaded));
  CHECK(loaded.average() == support::constant(3, 1));
  loaded.update(support::constant(3, 2));
  ema.update(support::constant(3, 2));
  CHECK(loaded.average() == ema.average());
}

TEST_CASE("An average is loaded into 16 bits rounded once", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  TailAverage tail;
  tail.update(VectorXd{{1 + 0x1p-11 + 0x1p-40, 3}});
  save(path, named("tail", tail));
  std::vector<Eigen::half> weights(2);
  load_average(path, "tail", weights);
  CHECK(static_cast<float>(weights[0]) == 1.0009765625f);
  CHECK(static_cast<float>(weights[1]) == 3);
}

TEST_CASE("Sparse models go on from a checkpoint bit for bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "model.safetensors";
  const auto make = [] {
    return SparseSgd{{.features = 50, .learning_rate = 0.1, .l2 = 1e-2, .l1 = 1e-4}, Ema{{.decay = 0.99}}};
  };
  const auto train = [](auto& model, int from, int to) {
    for (int t = from; t < to; ++t) {
      support::Random random(static_cast<std::uint64_t>(t));
      const std::vector<int> indices{t % 50, 10 + (t * 7) % 40};
      const std::vector<double> values{random.normal(), random.normal()};
      if (indices[0] < indices[1]) model.step(SparseRow{std::span(indices), std::span(values)}, random.normal());
    }
  };
  auto whole = make(), half = make(), loaded = make();
  train(whole, 0, 400);
  train(half, 0, 170);
  save(path, named("model", half));
  load(path, named("model", loaded));
  CHECK(loaded.weights() == half.weights());
  CHECK(loaded.average() == half.average());
  VectorXd average(50);  // c v and b v + a u are there, but s itself is not
  CHECK(
      error_of([&] { load_average(path, "model", average); }).starts_with("invalid_argument: polyak::load_average: "));
  train(loaded, 170, 400);
  CHECK(loaded.weights() == whole.weights());
  CHECK(loaded.average() == whole.average());
  CHECK(loaded.steps() == whole.steps());
  CHECK(whole.steps() > 200);

  SparseSgd other{{.features = 50, .learning_rate = 0.1}, Ema{{.decay = 0.99}}};
  CHECK(
      has(error_of([&] { load(path, named("model", other)); }), "polyak::SparseSgd: l2 must be 0.01 as in the saved"));
}

namespace {

/// A bag of numbers that can be moved by construction alone.
struct NotAssignable {
  const int id = 7;
  std::vector<double> values;
  std::shared_ptr<int> owner = {};

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    std::uint64_t n = values.size();
    archive.array_size("values", n);
    if constexpr (Archive::is_loading::value) values.resize(n);
    archive.array("values", values.data(), n);
  }
};
static_assert(!std::is_move_assignable_v<NotAssignable>);

/// What takes the place of an object when all is loaded must not throw. Those of the library are assigned to.
static_assert(std::is_nothrow_move_assignable_v<Averaged<AdamW<float>, Ema<>, Swa<>>>);
static_assert(std::is_nothrow_move_assignable_v<Averaged<ClipNorm<Sgd<>>, Lawa<>>>);
static_assert(std::is_nothrow_move_assignable_v<Lookahead<Accumulate<SkipNonFinite<ClipValue<NAdam<>>>>>>);
static_assert(std::is_nothrow_move_assignable_v<SparseSgd<PowerEma<>>>);
static_assert(std::is_nothrow_move_assignable_v<SparseAdagrad<TailAverage<>>>);
static_assert(std::is_nothrow_move_assignable_v<RowAverage<>>);

}  // namespace

TEST_CASE("An object that cannot be assigned to is constructed anew", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  save(path, named("bag", NotAssignable{.values = {1, 2, 3}}));
  NotAssignable loaded;
  loaded.owner = std::make_shared<int>(1);
  load(path, named("bag", loaded));
  CHECK(loaded.values == std::vector<double>{1, 2, 3});
  CHECK(loaded.owner.use_count() == 1);  // that of the copy, the old object having been destroyed
}
