#include <polyak/io/checkpoint.hpp>
#include <polyak/io/npy.hpp>
#include <polyak/polyak.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"
#include "support.hpp"

// The code of include/polyak/io/README.md, each piece of it run.

using Eigen::MatrixXf;
using Eigen::VectorXd;
using Eigen::VectorXf;
using support::error_of;
using support::same_bits;

namespace {

std::vector<int> shuffled(int n, std::mt19937_64& random) {
  std::vector<int> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), random);
  return numbers;
}

// [run]
void train(VectorXf& theta, const auto& gradient, int samples, const std::filesystem::path& path) {
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 0.1, .momentum = 0.9}}, polyak::Ema{{.decay = 0.99}}};
  std::mt19937_64 random(1);
  std::vector<int> left;  // samples of this epoch, the next one last
  int epoch = 0;
  const auto with_all = [&](const auto& save_or_load) {  // one list for both
    save_or_load(polyak::named("weights", theta), polyak::named("opt", opt), polyak::named("random", random),
                 polyak::named("left", left), polyak::named("epoch", epoch));
  };
  if (std::filesystem::exists(path)) with_all([&](const auto&... all) { polyak::load(path, all...); });
  while (epoch < 5) {
    if (left.empty()) left = shuffled(samples, random);
    opt.step(theta, gradient(theta, left.back()));
    left.pop_back();
    if (left.empty()) ++epoch;
    if (left.size() % 10 == 0) with_all([&](const auto&... all) { polyak::save(path, all...); });
  }
}
// [/run]

// [ship]
void ship(const std::filesystem::path& path, const auto& opt, MatrixXf w, VectorXf b) {
  opt.copy_average_to(polyak::ParameterSet{w, b});
  polyak::save(path, polyak::named("fc.weight", w), polyak::named("fc.bias", b));
}
// [/ship]

// [other options]
auto go_on(const std::filesystem::path& path, VectorXd& theta, std::ostream& log) {
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = polyak::Cosine{{.initial = 0.1, .steps = 2000}}}},
                       polyak::Ema{{.decay = 0.999}}, polyak::Swa{{.period = 100}}};
  polyak::OtherOptions other;
  polyak::load(path, other, polyak::named("weights", theta), polyak::named("opt", opt));
  for (const std::string& difference : other.differences) log << difference << '\n';
  return opt;
}
// [/other options]

// [own]
struct Sampler {
  std::uint32_t epoch = 0;
  std::vector<std::uint32_t> left = {};

  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    archive.value("epoch", epoch);  // the text "sampler.epoch"
    std::uint64_t n = left.size();
    archive.array_size("left", n);  // on loading, n becomes the size that was saved
    left.resize(n);
    archive.array("left", left.data(), left.size());  // the tensor "sampler.left"
  }
};
// [/own]

/// Text without the directory of the test.
std::string without(const files::Directory& directory, std::string text) {
  const std::string prefix = directory.path().string() + '/';
  for (auto at = text.find(prefix); at != text.npos; at = text.find(prefix, at)) text.erase(at, prefix.size());
  return text;
}

}  // namespace

TEST_CASE("a run of the guide that is stopped ends with the bits of one that is not") {
  const files::Directory directory;
  struct Killed {};
  const auto run = [&](const std::string& name, int steps) {
    VectorXf theta = VectorXf::Constant(3, 1);
    const auto gradient = [&](const VectorXf& at, int sample) {
      if (steps-- == 0) throw Killed();
      return (at - VectorXf::Constant(3, static_cast<float>(sample))).eval();
    };
    try {
      train(theta, gradient, 25, directory / name);
    } catch (const Killed&) {
    }
    return theta;
  };
  const VectorXf whole = run("whole", -1);
  run("stopped", 7);  // before the first save
  for (const int steps : {12, 13, 30, 41}) run("stopped", steps);
  CHECK(same_bits(run("stopped", -1), whole));
}

TEST_CASE("the averages that the guide ships") {
  const files::Directory directory;
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 1}}, polyak::TailAverage{}};
  MatrixXf w{{0, 1, 2}, {3, 4, 5}};
  VectorXf b{{6, 7}};
  const MatrixXf dw = MatrixXf::Ones(2, 3);
  const VectorXf db = VectorXf::Ones(2);
  for (int t = 0; t < 2; ++t) opt.step(polyak::ParameterSet{w, b}, polyak::ParameterSet{dw, db});

  ship(directory / "layer.safetensors", opt, w, b);
  const auto entries = polyak::entries(directory / "layer.safetensors");
  REQUIRE(entries.size() == 4);  // and version and checksum
  CHECK((entries[0].name == "fc.bias" && entries[0].dtype == "F32" && entries[0].shape == std::vector<std::size_t>{2}));
  CHECK((entries[1].name == "fc.weight" && entries[1].shape == std::vector<std::size_t>{2, 3}));
  MatrixXf w_read(2, 3);
  polyak::load(directory / "layer.safetensors", polyak::named("fc.weight", w_read));
  CHECK(w_read == MatrixXf{{-1.5f, -0.5f, 0.5f}, {1.5f, 2.5f, 3.5f}});

  const std::filesystem::path path = directory / "vector.safetensors";
  polyak::save(path, polyak::named("weight", opt.average().cast<float>()));
  VectorXf theta(8);
  polyak::load(path, polyak::named("weight", theta));
  CHECK(theta == opt.average().cast<float>());
  polyak::save(path, polyak::named("opt", opt));
  theta.setZero();
  polyak::load_average(path, "opt", theta);
  CHECK(theta == opt.average().cast<float>());
}

TEST_CASE("the guide goes on with other options") {
  const files::Directory directory;
  const std::filesystem::path path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Constant(2, 1), loaded(2);
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = polyak::Cosine{{.initial = 0.1, .steps = 1000}}}},
                       polyak::Ema{{.decay = 0.99}}};
  for (int t = 0; t < 3; ++t) opt.step(theta, VectorXd::Ones(2));
  polyak::save(path, polyak::named("weights", theta), polyak::named("opt", opt));

  std::ostringstream log;
  const auto going_on = go_on(path, loaded, log);
  CHECK(without(directory, log.str()) ==
        "\"opt.number of averagers\" was 1, is 2\n"
        "\"opt.optimizer.learning_rate\" was Cosine(initial 0.1, final 0, steps 1000), is Cosine(initial 0.1, final 0, "
        "steps 2000)\n"
        "\"opt.averager.0.decay\" was 0.99, is 0.999\n"
        "\"opt.averager.1\" starts anew: polyak::load: run.safetensors: there is no \"opt.averager.1.class\"\n");
  CHECK(loaded == theta);
  CHECK(going_on.average<0>() == opt.average());
  CHECK(going_on.averager<0>().steps() == 3);
  CHECK(!going_on.averager<1>().has_average());
}

TEST_CASE("names and parts as the guide has them") {
  const files::Directory directory;
  const std::filesystem::path path = directory / "run.safetensors";
  MatrixXf w = MatrixXf::Ones(2, 3);
  VectorXf b = VectorXf::Ones(2);
  polyak::Averaged opt{polyak::AdamW<float>{}, polyak::Ema{{.decay = 0.99}}};
  const MatrixXf dw = w;
  const VectorXf db = b;
  opt.step(polyak::ParameterSet{w, b}, polyak::ParameterSet{dw, db});
  polyak::save(path, polyak::named("weights", polyak::ParameterSet{w, b}), polyak::named("opt", opt));

  MatrixXf w_read(2, 3);
  VectorXd average(8);
  polyak::AdamW<float> adam;
  polyak::load(path, polyak::named("weights.0", w_read), polyak::named("opt.optimizer", adam));
  polyak::load(path, polyak::named("opt.averager.0.average", average));
  CHECK(w_read == w);
  CHECK(average == opt.average());
  adam.step(polyak::ParameterSet{w_read, b}, polyak::ParameterSet{dw, db});
  b = VectorXf::Ones(2);
  opt.step(polyak::ParameterSet{w, b}, polyak::ParameterSet{dw, db});
  CHECK(same_bits(w_read, w));
  std::string listed;
  for (const polyak::EntryInfo& entry : polyak::entries(path)) {
    listed += entry.name + ' ' + entry.dtype + ' ' + entry.text + '\n';
  }
  for (const char* const line :
       {"opt.averager.0.average F64 \n", "opt.optimizer.moment F32 \n", "opt.optimizer.square F32 \n",
        "weights.0 F32 \n", "opt.averager.0.decay text 0.99\n", "opt.optimizer.class text polyak::AdamW\n",
        "opt.optimizer.steps text 1\n", "opt.optimizer.learning_rate text 0.001\n", "polyak.version text 1\n"}) {
    INFO(line);
    CHECK(support::has(listed, line));
  }
}

TEST_CASE("a class of one's own as the guide has it") {
  const files::Directory directory;
  const std::filesystem::path path = directory / "sampler.safetensors";
  Sampler sampler;
  sampler.epoch = 3;
  sampler.left = {4, 1, 5};
  polyak::save(path, polyak::named("sampler", sampler));
  Sampler loaded;
  polyak::load(path, polyak::named("sampler", loaded));
  CHECK((loaded.epoch == 3 && loaded.left == sampler.left));
  const auto entries = polyak::entries(path);
  REQUIRE(entries.size() == 4);  // with version and checksum
  CHECK((entries[0].name == "sampler.left" && entries[0].dtype == "U32"));
  CHECK((entries[3].name == "sampler.epoch" && entries[3].text == "3"));
}

TEST_CASE("arrays of NumPy as the guide has them") {
  const files::Directory directory;
  const VectorXd average{{1, 2, 3}};
  polyak::save_npy(directory / "average.npy", average);
  const polyak::NpyInfo info = polyak::npy_info(directory / "average.npy");
  CHECK((info.dtype == "<f8" && info.shape == std::vector<std::size_t>{3} && !info.fortran_order));
  VectorXd theta(3);
  polyak::load_npy(directory / "average.npy", theta);
  CHECK(theta == average);
}

TEST_CASE("errors as the guide has them") {
  const files::Directory directory;
  const std::filesystem::path path = directory / "run.safetensors";
  VectorXf theta = VectorXf::Ones(8), seven(7);
  polyak::Averaged opt{polyak::Sgd<float>{}, polyak::Ema{{.decay = 0.999}}};
  opt.step(theta, VectorXf::Ones(8));
  polyak::save(path, polyak::named("weights", theta), polyak::named("opt", opt));

  const auto error = [&](const auto& item) { return without(directory, error_of([&] { polyak::load(path, item); })); };
  CHECK(error(polyak::named("weights", seven)) ==
        "invalid_argument: polyak::load: run.safetensors: \"weights\" (F32, (8,)) must be F32, 7 x 1, as what it is "
        "loaded into");
  CHECK(error(polyak::named("weight", theta)) ==
        "invalid_argument: polyak::load: run.safetensors: there is no tensor \"weight\"; there are "
        "\"opt.averager.0.average\" (F64, (8,)), \"weights\" (F32, (8,))");
  polyak::Averaged other{polyak::Sgd<float>{}, polyak::Ema{{.decay = 0.99}}};
  CHECK(error(polyak::named("opt", other)) ==
        "invalid_argument: polyak::Ema: decay must be 0.999 as in the saved state, got 0.99");

  std::string bytes = files::read(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  files::write(path, bytes);
  CHECK(support::has(files::runtime_error_of([&] { polyak::load(path, polyak::named("weights", theta)); }),
                     "run.safetensors: is damaged: its checksum must be "));
}
