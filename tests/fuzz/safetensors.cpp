#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "arrays.hpp"
#include "serialize/archive.hpp"

// Any bytes as a file of safetensors, as they are and with the length of the header and the checksum made right, so
// that the search gets past them. What is refused is refused by the exceptions that are documented and leaves every
// object as it was; what is accepted can be trained on, and saved and loaded again to the same state. Neither takes
// memory that the bytes do not fill.

namespace {

using fuzz::accepted;
using fuzz::accepted_within;
using fuzz::require;
using namespace polyak;

/// What a run consists of: optimizers with averages and wrappers, weights of each kind, numbers and a text.
struct Run {
  Eigen::VectorXd theta = Eigen::VectorXd::LinSpaced(3, 1, 3);
  Averaged<Sgd<double>, Ema<>, Lawa<float>> opt{Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, Ema{{.decay = 0.9}},
                                                Lawa<float>{{.window = 2}}};
  std::vector<Eigen::MatrixXf> layers{Eigen::MatrixXf::Constant(2, 3, 0.5F), Eigen::MatrixXf::Constant(1, 1, 2)};
  SkipNonFinite<Averaged<Accumulate<Lookahead<Adam<float>>>, AnytimeTailAverage<>>> wrapped{
      Averaged{Accumulate{Lookahead{Adam<float>{{.amsgrad = true}}, {.every = 2}}}, AnytimeTailAverage{}}};
  std::uint64_t epoch = 1;
  std::string note = "first";
  std::vector<std::int32_t> counts{1, 2};
  std::minstd_rand random{7};
  double rate = 0.5;

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
    const auto add = [&](const auto& block) { bytes += fuzz::bytes_of(block) + ','; };
    add(theta);
    for (const auto& block : layers) add(block);
    add(counts);
    add(std::array{rate});
    return bytes + note + ',' + detail::text_of(random);
  }
};

template <class F>
void with_all(Run& run, const F& f) {
  f(named("theta", run.theta), named("opt", run.opt), named("layers", run.layers), named("wrapped", run.wrapped),
    named("epoch", run.epoch), named("note", run.note), named("counts", run.counts), named("random", run.random),
    named("rate", run.rate));
}

/// Loads into a run that was trained, and saves and loads that again.
template <class Load>
void load_run(const std::filesystem::path& path, std::size_t size, Load load) {
  static Run trained = [] {
    Run run;
    run.train(3);
    return run;
  }();
  static const std::string before = trained.state();
  Run run = trained;
  if (!accepted_within(size, [&] { load(path, run); })) {
    return require(run.state() == before, "what is refused changes nothing");
  }
  static const auto again = fuzz::directory() / "again";
  const std::string loaded = run.state();
  with_all(run, [](const auto&... objects) { save(again, objects...); });
  Run other;
  with_all(other, [](const auto&... objects) { polyak::load(again, objects...); });
  require(other.state() == loaded, "what was loaded is saved and loaded as it is");
  // A state that fits no weights is refused by the step at the latest.
  accepted([&] { run.train(3); });
}

void read(const std::string& file) {
  static const auto path = fuzz::directory() / "input";
  files::write(path, file);
  std::vector<EntryInfo> all;
  const bool has_header = accepted_within(file.size(), [&] { all = entries(path); });
  const auto has = [&](std::string_view name) {
    return std::any_of(all.begin(), all.end(), [&](const EntryInfo& entry) { return entry.name.starts_with(name); });
  };
  using Load = void (*)(const std::filesystem::path&, Run&);
  constexpr Load whole = [](const auto& from, Run& run) {
    with_all(run, [&](const auto&... objects) { load(from, objects...); });
  };
  if (!has_header || all.empty()) return load_run(path, file.size(), whole);
  if (has("w")) {
    fuzz::check_arrays(
        path, file.size(), [](const auto& from, auto& array) { load(from, named("w", array)); },
        [](const auto& to, const auto& array) { save(to, named("w", array)); });
    std::vector<std::uint16_t> numbers;
    Eigen::Matrix<long double, 2, 1> wide = Eigen::Matrix<long double, 2, 1>::Zero();
    accepted_within(file.size(), [&] { load(path, named("w", numbers)); });
    accepted_within(file.size(), [&] { load(path, named("w", wide)); });
  }
  constexpr Load parts[] = {
      [](const auto& from, Run& run) { load(from, named("opt", run.opt)); },
      [](const auto& from, Run& run) { load(from, named("wrapped", run.wrapped)); },
      [](const auto& from, Run& run) { load(from, named("layers", run.layers), named("rate", run.rate)); },
      [](const auto& from, Run& run) {
        load(from, named("note", run.note), named("epoch", run.epoch), named("random", run.random));
      },
      [](const auto& from, Run& run) { load(from, named("counts", run.counts)); },
      [](const auto& from, Run& run) {
        OtherOptions other;
        load(from, other, named("opt", run.opt), named("wrapped", run.wrapped));
      },
  };
  constexpr std::string_view names[] = {"opt.", "wrapped.", "layers.", "note", "counts", "opt."};
  std::vector<Load> possible;
  for (std::size_t i = 0; i < std::size(parts); ++i) {
    if (has(names[i])) possible.push_back(parts[i]);
  }
  // One of them is enough for one input.
  const std::uint64_t hash = XXH64(file.data(), file.size(), 0), choice = hash >> 8;
  if (possible.empty() || (has("theta") && hash % 2 == 0)) return load_run(path, file.size(), whole);
  load_run(path, file.size(), possible[choice % possible.size()]);
  Run run;
  accepted_within(file.size(), [&] {
    if (choice % 3 == 0) load_average(path, "opt", run.theta);
    if (choice % 3 == 1) load_average(path, "opt.averager.1", run.theta);
    if (choice % 3 == 2) load_average(path, "wrapped", run.layers);
  });
}

/// The same with the length of the header that its braces have, and the checksum that such a file must have.
std::string repaired(std::string file) {
  if (file.size() < 8) return file;
  std::size_t end = 8;
  bool quoted = false;
  for (int open = 0; end < file.size(); ++end) {
    if (quoted && file[end] == '\\') {
      ++end;
    } else if (file[end] == '"') {
      quoted = !quoted;
    } else if (!quoted && file[end] == '{') {
      ++open;
    } else if (!quoted && file[end] == '}' && --open <= 0) {
      ++end;
      break;
    }
  }
  end = std::min(end, file.size());
  while (end < file.size() && end % 8 != 0 && file[end] == ' ') ++end;
  detail::encode_one(std::uint64_t{end - 8}, reinterpret_cast<std::byte*>(file.data()));
  constexpr std::string_view before = "\"polyak.checksum\":\"";
  const std::size_t at = file.find(before) + before.size();
  if (at < before.size() || at + 16 > end) return file;
  std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), 16, '0');
  return file.replace(at, 16, detail::TensorFile::hexadecimal(XXH64(file.data(), file.size(), 0)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  read(file);
  if (const std::string good = repaired(file); good != file) read(good);
  return 0;
}
