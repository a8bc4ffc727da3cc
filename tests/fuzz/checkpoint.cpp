#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "allocated.hpp"
#include "fuzz.hpp"
#include "io/files.hpp"
#include "refusal.hpp"
#include "serialize/archive.hpp"

// Any bytes as a checkpoint, as they are and with size and checksum made right, so that the search gets past them. What
// is refused is refused by the exceptions that are documented and leaves every object as it was; what is accepted can
// be trained on, and saved and loaded again to the same state. Neither takes memory that the bytes do not fill.

namespace {

using fuzz::accepted;
using fuzz::require;
using namespace polyak;

/// What a run consists of: optimizers with averages and wrappers, weights of each kind, a number and a text.
struct Run {
  Eigen::VectorXd theta = Eigen::VectorXd::LinSpaced(3, 1, 3);
  Averaged<Sgd<double>, Ema<>, Lawa<float>> opt{Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, Ema{{.decay = 0.9}},
                                                Lawa<float>{{.window = 2}}};
  std::vector<Eigen::MatrixXf> layers{Eigen::MatrixXf::Constant(2, 3, 0.5F), Eigen::MatrixXf::Constant(1, 1, 2)};
  SkipNonFinite<Averaged<Accumulate<Lookahead<Adam<float>>>, AnytimeTailAverage<>>> wrapped{
      Averaged{Accumulate{Lookahead{Adam<float>{{.amsgrad = true}}, {.every = 2}}}, AnytimeTailAverage{}}};
  std::uint64_t epoch = 1;
  std::string note = "first";

  void train(int steps) {
    for (int t = 0; t < steps; ++t) {
      opt.step(theta, Eigen::VectorXd::Constant(3, 0.25 + t).eval());
      std::vector<Eigen::MatrixXf> gradient = layers;
      for (auto& block : gradient) block.setConstant(0.125F);
      wrapped.step(layers, gradient);
    }
  }

  /// All of it, bit by bit.
  [[nodiscard]] std::string state() {
    serialize::Output archive;
    archive& opt& wrapped& epoch;
    std::string bytes(archive.bytes.begin(), archive.bytes.end());
    const auto add = [&](const auto& block) {
      bytes.append(reinterpret_cast<const char*>(block.data()),
                   static_cast<std::size_t>(block.size()) * sizeof(block.data()[0]));
    };
    add(theta);
    for (const auto& block : layers) add(block);
    return bytes + note;
  }
};

void save(const std::filesystem::path& path, const Run& run) {
  polyak::save(path, named("theta", run.theta), named("opt", run.opt), named("layers", run.layers),
               named("wrapped", run.wrapped), named("epoch", run.epoch), named("note", run.note));
}

/// Names of the entries that load_entry may be tried on.
std::vector<std::string> names_in(const std::filesystem::path& path) {
  std::vector<std::string> names;
  accepted([&] {
    for (const EntryInfo& entry : entries(path)) names.push_back(entry.name);
  });
  return names;
}

template <class Load>
void load_parts(const std::filesystem::path& path, std::size_t size, Load load) {
  Run run;
  run.train(3);
  const std::string before = run.state();
  bool whole = false;
  const std::size_t bytes = fuzz::bytes_allocated_in([&] { whole = accepted([&] { load(path, run); }); });
  require(bytes <= 65536 + 64 * size,
          [&] { return std::to_string(bytes) + " bytes allocated for " + std::to_string(size); });
  if (!whole) {
    require(run.state() == before, "what is refused changes nothing");
    return;
  }
  const files::Directory directory;
  const std::string loaded = run.state();
  save(directory / "again", run);
  Run again;
  polyak::load(directory / "again", named("theta", again.theta), named("opt", again.opt), named("layers", again.layers),
               named("wrapped", again.wrapped), named("epoch", again.epoch), named("note", again.note));
  require(again.state() == loaded, "what was loaded is saved and loaded as it is");
  // A state that fits no weights is refused by the step at the latest.
  accepted([&] { run.train(3); });
}

void read(const std::string& file) {
  static const files::Directory directory;
  const std::filesystem::path path = directory / "input";
  files::write(path, file);
  const std::vector<std::string> names = names_in(path);
  load_parts(path, file.size(), [](const auto& from, Run& run) {
    load(from, named("theta", run.theta), named("opt", run.opt), named("layers", run.layers),
         named("wrapped", run.wrapped), named("epoch", run.epoch), named("note", run.note));
  });
  if (names.empty()) return;  // refused as a whole, or empty
  using Load = void (*)(const std::filesystem::path&, Run&);
  constexpr Load parts[] = {
      [](const auto& from, Run& run) { load(from, named("opt", run.opt)); },
      [](const auto& from, Run& run) { load(from, named("wrapped", run.wrapped)); },
      [](const auto& from, Run& run) {
        load(from, named("layers", run.layers), named("note", run.note), named("epoch", run.epoch));
      },
  };
  load_parts(path, file.size(), parts[file.size() % std::size(parts)]);
  Run run;
  const std::string& name = names[file.size() % names.size()];
  accepted([&] { load_entry(path, name, run.theta); });
  accepted([&] { load_entry(path, name, run.layers); });
  accepted([&] { load_average(path, "opt", run.theta); });
  accepted([&] { load_average(path, "wrapped", run.layers); });
}

/// The same with the size and the checksum that such a file must have at its end.
std::string sealed(std::string file) {
  if (file.size() < 16) return file;
  const std::uint64_t size = file.size();
  detail::encode(&size, 1, reinterpret_cast<std::byte*>(file.data() + size - 16));
  detail::Xxh64 hash;
  hash.update(std::as_bytes(std::span(file)).first(size - 8));
  const std::uint64_t checksum = hash.value();
  detail::encode(&checksum, 1, reinterpret_cast<std::byte*>(file.data() + size - 8));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  read(file);
  if (const std::string good = sealed(file); good != file) read(good);
  return 0;
}
