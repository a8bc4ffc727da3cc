#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/io/checkpoint.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "holders.hpp"
#include "io/files.hpp"
#include "io/tracker.hpp"
#include "support.hpp"

// What save writes and load reads back, and what load refuses because it does not fit.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Eigen::VectorXf;
using support::error_of;
using support::has;
using support::same_bits;
using tracker::Tracker;

namespace {

/// "name dtype shape" and "name = text", a line each; of the library's own, the checksum without its digits.
std::string listing(const std::filesystem::path& path) {
  std::string result;
  for (const EntryInfo& entry : entries(path)) {
    const bool is_text = entry.dtype == "text", is_checksum = entry.name == "polyak.checksum";
    result += entry.name + (is_text ? " = " : ' ' + entry.dtype + ' ');
    result += is_checksum ? "…" : is_text ? entry.text : detail::to_text(entry.shape);
    result += '\n';
  }
  return result;
}
const std::string ours = "polyak.checksum = …\npolyak.version = 1\n";

enum class Mode : std::uint8_t { warmup, annealing = 200 };

}  // namespace

TEST_CASE("A checkpoint gives back what was saved, under its names and in their order", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const VectorXd theta = support::Random(1).vector(5);
  const Tracker opt = tracker::example(3);
  const std::uint64_t step = 77;
  save(path, named("weights", theta), named("opt", opt), named("step", step), named("note", "annealed"));
  CHECK(directory.count() == 1);

  VectorXd weights = VectorXd::Zero(5);
  Tracker loaded;
  std::uint64_t steps = 0;
  std::string text;
  load(path, named("opt", loaded), named("weights", weights), named("note", text), named("step", steps));
  CHECK(same_bits(weights, theta));
  CHECK(loaded == opt);
  CHECK(steps == 77);
  CHECK(text == "annealed");
  CHECK(listing(path) ==
        "opt.average F64 (6,)\nopt.part.0.values F32 (2,)\nopt.part.1.values F32 (0,)\nweights F64 (5,)\n"
        "note = annealed\nopt.0 = 1\nopt.1 = 1003\nopt.2 = -3\nopt.3 = 0.75\nopt.4 = run 3\nopt.5 = 0\n"
        "opt.part.0.0 = 0\nopt.part.1.0 = 4\n" +
            ours + "step = 77\n");
  // The widest first, so that each is aligned, and the names in order.
  const std::string bytes = files::read(path);
  const auto place = [&](const std::string& name) { return bytes.find('"' + name + "\":{\"dtype"); };
  CHECK(place("opt.average") < place("weights"));
  CHECK(place("weights") < place("opt.part.0.values"));
  CHECK(bytes.substr(8, 17) == "{\"__metadata__\":{");

  // A part, and a member of an object, by its full name.
  tracker::Part part;
  VectorXf average(6), values(2);
  VectorXd exact(6);
  load(path, named("opt.part.1", part), named("opt.average", exact), named("opt.part.0.values", values),
       named("opt.1", steps));
  CHECK(part.flag == 4);
  CHECK(exact == opt.average);
  CHECK(values == VectorXf{{3, 2}});
  CHECK(steps == 1003);
}

TEST_CASE("Objects without names are weights and states, numbered", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  VectorXd a = VectorXd::Constant(2, 1.5), b = VectorXd::Constant(3, -2);
  Tracker opt = tracker::example(1);
  int epoch = 9;
  save(path, a, opt, b, epoch, (a * 2).cast<float>());
  const std::string names = listing(path);
  CHECK(has(names, "weights F64 (2,)\nweights_2 F64 (3,)\nweights_3 F32 (2,)\n"));
  CHECK(has(names, "state_2 = 9\n"));

  a.setZero(), b.setZero();
  Tracker loaded;
  epoch = 0;
  load(path, a, loaded, b, epoch);
  CHECK(a == VectorXd::Constant(2, 1.5));
  CHECK(b == VectorXd::Constant(3, -2));
  CHECK(loaded == opt);
  CHECK(epoch == 9);
}

TEMPLATE_TEST_CASE("Every scalar comes back bit by bit, and its average is read without the optimizer", "[checkpoint]",
                   float, double, long double, Eigen::half, Eigen::bfloat16) {
  using Scalar = TestType;
  using Limits = std::numeric_limits<Scalar>;
  const files::Directory directory;
  const auto path = directory / "weights.safetensors";
  auto coordinates = support::Random(2).vector<Scalar>(700);
  Ema<Scalar> ema;
  ema.update(coordinates);
  coordinates.head(7) << static_cast<Scalar>(-0.0f), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
      Limits::denorm_min(), Limits::max(), Limits::lowest();
  auto* const payload = reinterpret_cast<unsigned char*>(coordinates.data() + 7);
  coordinates[7] = Limits::quiet_NaN();
  payload[0] = 0x5A;  // of a NaN, in its lowest bits
  holders::Vector<Scalar> loaded = holders::Vector<Scalar>::Zero(700);
  save(path, coordinates, named("ema", ema));
  load(path, loaded);
  CHECK(same_bits(loaded, coordinates));
  VectorXd weights(700);
  load_average(path, "ema", weights);
  CHECK(weights == ema.average().template cast<double>());
  const bool is_wide = sizeof(Scalar) == 16;
  CHECK(has(listing(path), "weights.scalar = float80 in 16 bytes\n") ==
        (is_wide && std::numeric_limits<Scalar>::digits == 64));
  CHECK(has(listing(path), "weights U8 (700, 16)\n") == is_wide);
}

TEST_CASE("Every holder of parameters comes back bit by bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "weights.safetensors";
  const auto coordinates = support::Random(2).vector<float>(holders::size);
  std::string lost;
  holders::for_each<float>([&](const char* name, auto&& params, const auto&, const auto& memory, const auto&) {
    memory.write(coordinates);
    save(path, params);
    memory.write(holders::Vector<float>::Zero(holders::size));
    load(path, params);
    if (!same_bits(memory.read(), coordinates)) lost += std::string(name) + ' ';
  });
  CHECK(lost.empty());
}

TEST_CASE("Views, spans, sets and ranges of views are loaded through temporaries of them", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  std::vector<std::int16_t> counts{-7, 8};
  MatrixXd w = MatrixXd::Constant(2, 2, 7);
  VectorXd b = VectorXd::Constant(2, 8);
  using Map = Eigen::Map<MatrixXd>;
  const auto views = [&] { return std::vector{Map(memory.data(), 1, 2), Map(memory.data() + 2, 2, 2)}; };
  save(path, named("map", Map(memory.data(), 2, 3)), named("layers", ParameterSet{w, b}), named("column", w.col(1)),
       named("views", views()), named("counts", std::span(counts)), named("span", std::span(memory)));
  CHECK(listing(path) ==
        "column F64 (2,)\ncounts I16 (2,)\nlayers.0 F64 (2, 2)\nlayers.1 F64 (2,)\nmap F64 (2, 3)\nspan F64 (6,)\n"
        "views.0 F64 (1, 2)\nviews.1 F64 (2, 2)\n" +
            ours);
  const auto clear = [&] { memory.assign(6, 0), counts.assign(2, 0), w.setZero(), b.setZero(); };
  const std::vector<double> saved = memory;
  clear();
  load(path, named("map", Map(memory.data(), 2, 3)), named("layers", ParameterSet{w, b}),
       named("counts", std::span(counts)));
  CHECK(memory == saved);
  CHECK(counts == std::vector<std::int16_t>{-7, 8});
  CHECK((w == MatrixXd::Constant(2, 2, 7) && b == VectorXd::Constant(2, 8)));
  clear();
  load(path, named("views", views()), named("column", w.col(0)));
  CHECK(memory == saved);
  CHECK(w == MatrixXd{{7, 0}, {7, 0}});
  clear();
  load(path, named("span", std::vector{std::span(memory).first(6)}[0]), named("column", b.head(2)));
  CHECK(memory == saved);
  CHECK(b == VectorXd::Constant(2, 7));
}

TEST_CASE("Expressions are saved as what they are worth", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const MatrixXd w{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
  VectorXd theta = VectorXd::LinSpaced(3, 1, 3);
  Averaged opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.5}}};
  for (int t = 0; t < 3; ++t) opt.step(theta, theta);
  save(path, named("sum", theta + 2 * theta), named("row", w.row(1)), named("corner", w.topLeftCorner(2, 2)),
       named("transposed", w.transpose()), named("average", opt.average().cast<float>()));
  CHECK(listing(path) ==
        "average F32 (3,)\ncorner F64 (2, 2)\nrow F64 (3,)\nsum F64 (3,)\ntransposed F64 (3, 3)\n" + ours);
  VectorXd sum(3);
  Eigen::RowVectorXd row(3);
  MatrixXd corner(2, 2), transposed(3, 3);
  VectorXf average(3);
  load(path, named("sum", sum), named("row", row), named("corner", corner), named("transposed", transposed),
       named("average", average));
  CHECK(sum == theta + 2 * theta);
  CHECK(row == Eigen::RowVectorXd{{4, 5, 6}});
  CHECK(corner == MatrixXd{{1, 2}, {4, 5}});
  CHECK(transposed == w.transpose());
  CHECK(average == opt.average().cast<float>());
}

namespace {

/// How x is written, or what is wrong with what comes back.
template <class T>
std::string text_of(const std::filesystem::path& path, const T& x) {
  save(path, named("x", x));
  T loaded{};
  load(path, named("x", loaded));
  bool same = loaded == x;
  if constexpr (FloatingPoint<T>) {
    same = (std::isnan(loaded) && std::isnan(x)) || same_bits(loaded, x);
  }
  return same ? entries(path).back().text : "lost";
}

}  // namespace

TEST_CASE("Numbers, enums, truth values, texts and generators come back as they were", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const auto text = [&](const auto& x) { return text_of(path, x); };
  CHECK(text(true) + text(false) == "truefalse");
  CHECK(text(Mode::annealing) == "200");
  CHECK(text(std::int8_t{-128}) + text('a') + text(std::uint8_t{255}) == "-12897255");
  CHECK(text(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(text(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  std::string floats;
  for (const double x :
       {0.0, -0.0, 0.1, -1e300, 5e-324, support::infinity, -support::infinity, support::not_a_number}) {
    floats += text(x) + ' ';
  }
  CHECK(floats == "0 -0 0.1 -1e+300 5e-324 inf -inf nan ");
  CHECK(text(0.1f) + ' ' + text(Eigen::half(0.1f)) == "0.10000000149011612 0.0999755859375");
  CHECK(text(std::string("two\nlines \"quoted\" \\ \u03b8")) == "two\nlines \"quoted\" \\ \u03b8");
  CHECK(text(std::string()).empty());

  std::mt19937_64 engine(5), loaded;
  engine.discard(1000);
  save(path, named("engine", engine));
  load(path, named("engine", loaded));
  CHECK(loaded == engine);
  CHECK(loaded() == engine());

  std::vector<Mode> modes{Mode::annealing, Mode::warmup, Mode::annealing}, modes_loaded(1);
  std::vector<std::int64_t> none, more(7);
  std::array<bool, 2> truths{true, false}, truths_loaded{};
  long double wide = 1 / 3.0L, wide_loaded = 0;
  save(path, named("modes", modes), named("none", none), named("truths", truths), named("wide", wide));
  load(path, named("modes", modes_loaded), named("none", more), named("truths", truths_loaded),
       named("wide", wide_loaded));
  CHECK(modes_loaded == modes);
  CHECK(more.empty());
  CHECK(truths_loaded == truths);
  CHECK(wide_loaded == wide);
  CHECK(has(listing(path), "modes U8 (3,)\nnone I64 (0,)\ntruths BOOL (2,)\n"));
}

TEST_CASE("A locale that writes numbers otherwise changes nothing", "[checkpoint]") {
  const files::Directory directory;
  for (const char* const name : {"de_DE.UTF-8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    CHECK(text_of(directory / "x", 1234567.5) == "1234567.5");
  }
  std::setlocale(LC_ALL, "C");
}

TEST_CASE("A text that is no number of its kind is refused", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  std::string accepted;
  const auto refused = [&](const std::string& text, auto into) {
    save(path, named("x", text));
    const auto before = into;
    const std::string error = error_of([&] { load(path, named("x", into)); });
    const std::string expected = "invalid_argument: polyak::load: " + path.string() +
                                 ": \"x\" must be what it is loaded into, got \"" + text + '"';
    if (error != expected || !(into == before)) accepted += '"' + text + "\": " + error + '\n';
  };
  for (const std::string text : {"abc", "", "-1", "300", "1.5", "true", "null", "[1]", "1 2"}) {
    refused(text, std::uint8_t{1});
    if (text != "300") refused(text, std::uint64_t{1});
  }
  for (const std::string text : {"128", "-129", "256", "1e2", "18446744073709551615"}) refused(text, std::int8_t{1});
  for (const std::string text : {"2147483648", "-2147483649", "18446744073709551615"}) refused(text, 1);
  for (const std::string text : {"9223372036854775808", "18446744073709551615", "18446744073709551616"}) {
    refused(text, std::int64_t{1});
  }
  for (const std::string text : {"abc", "", "-", "--1", "infinity", "1,5", "true", "0x10", "1e400", "\"1\""}) {
    refused(text, 1.5);
  }
  for (const std::string text : {"1", "0", "True", ""}) refused(text, true);
  for (const std::string text : {"256", "-1", "warmup"}) refused(text, Mode::annealing);
  for (const std::string text : {"abc", "", "1 2 3"}) refused(text, std::mt19937_64(3));
  refused("1e300", 1.5f);
  CHECK(accepted == "");
}

TEST_CASE("What does not fit is refused by name, and nothing is loaded", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const VectorXd theta = VectorXd::LinSpaced(4, 1, 4);
  const Tracker opt = tracker::example(2);
  const std::vector<int> counts{1, 2, 3};
  save(path, named("weights", theta), named("opt", opt), named("layers", std::vector{theta, theta}), named("step", 7),
       named("counts", counts));

  const std::string who = "invalid_argument: polyak::load: " + path.string() + ": ";
  const std::string there =
      "; there are \"counts\" (I32, (3,)), \"layers.0\" (F64, (4,)), \"layers.1\" (F64, (4,)), \"opt.average\" (F64, "
      "(5,)), \"opt.part.0.values\" (F32, (2,)), \"opt.part.1.values\" (F32, (0,)), \"weights\" (F64, (4,))";
  VectorXd good = VectorXd::Zero(4);
  Tracker fresh;
  int step = 0;
  std::vector<int> few;
  bool untouched = true;
  const auto refused = [&](const std::string& name, auto&& object) {
    const std::string error = error_of([&] {
      load(path, named("weights", good), named("opt", fresh), named("step", step), named("counts", few),
           named(name, object));
    });
    untouched = untouched && good == VectorXd::Zero(4) && fresh == Tracker() && step == 0 && few.empty();
    return error.starts_with(who) ? error.substr(who.size()) : error;
  };

  VectorXd five(5);
  CHECK(refused("weights", five) == "\"weights\" (F64, (4,)) must be F64, 5 x 1, as what it is loaded into");
  std::vector<double> three(3);
  CHECK(refused("weights", three) == "\"weights\" (F64, (4,)) must be F64, 3 x 1, as what it is loaded into");
  MatrixXd square(2, 2);
  CHECK(refused("weights", square) == "\"weights\" (F64, (4,)) must be F64, 2 x 2, as what it is loaded into");
  VectorXf single(4);
  CHECK(refused("weights", single) == "\"weights\" (F64, (4,)) must be F32, 4 x 1, as what it is loaded into");
  std::vector<long double> wide(4);
  if constexpr (detail::is_wide<long double>) {
    CHECK(has(refused("weights", wide), " in 16 bytes, 4 x 1, as what it is loaded into"));
  }
  std::vector<std::int64_t> longer;
  CHECK(refused("counts", longer) == "\"counts\" (I32, (3,)) must be I64, 3 x 1, as what it is loaded into");
  std::array<int, 2> two{};
  CHECK(refused("counts", two) == "\"counts\" (I32, (3,)) must be I32, 2 x 1, as what it is loaded into");
  double number = 0;
  CHECK(refused("weights", number) == "there is no text \"weights\"" + there);
  std::string text;
  CHECK(refused("note", text) == "there is no text \"note\"" + there);
  VectorXd other(4);
  CHECK(refused("theta", other) == "there is no tensor \"theta\"" + there);
  CHECK(refused("step", other) == "there is no tensor \"step\"" + there);
  CHECK(refused("opt", other) == "there is no tensor \"opt\"" + there);
  std::vector set(3, VectorXd(4));
  CHECK(refused("layers", set) == "there is no tensor \"layers.2\"" + there);
  set.resize(1);
  CHECK(refused("layers", set) == "\"layers\" must have as many blocks as were saved, got 1" + there);
  Tracker of_weights;
  CHECK(refused("weights", of_weights) == "there is no object \"weights\"" + there);
  CHECK(refused("opt.part", of_weights) == "there is no \"opt.part.0\"");
  CHECK(untouched);

  Eigen::RowVectorXd row(4);  // as flat as the column that was saved
  CHECK(refused("weights", row) == "nothing");
  CHECK((good == theta && fresh == opt && step == 7 && few == counts && row == theta.transpose()));
}

namespace {

struct OneNumberMore : Tracker {
  std::uint64_t more = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned version) {
    Tracker::serialize(archive, version);
    archive& more;
  }
};
struct OneArrayLess {
  Tracker whole;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    std::uint32_t version = 1;
    archive& version& whole.steps& whole.sign& whole.rate& whole.label& whole.own.flag;
  }
};
struct OtherNumber {
  bool version = true;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& version;
  }
};
struct SameArrayTwice {
  double x = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive.array("x", &x, 1);
    archive.array("x", &x, 1);
  }
};
/// Parts without a name, and of each kind of number, and a text that ends it; told of its version.
struct Unnamed {
  double rate = 0;
  Mode mode = Mode::warmup;
  bool flag = false;
  tracker::Part part;
  std::mt19937 engine;
  std::string label;
  unsigned version = 9;

  template <class Archive>
  void serialize(Archive& archive, unsigned now) {
    version = now;
    archive& rate& mode& flag& part& engine& label;
  }
};

}  // namespace

TEST_CASE("An object of one's own keeps what has no name under its number, and is told version 0", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  Unnamed saved{-support::infinity, Mode::annealing, true, {{1.5f}, 3}, std::mt19937(7), "best"}, loaded;
  saved.engine.discard(3);
  save(path, named("best", saved));
  CHECK(saved.version == 0);
  load(path, named("best", loaded));
  CHECK(loaded.rate == saved.rate);
  CHECK((loaded.mode == saved.mode && loaded.flag && loaded.part.flag == 3 && loaded.part.values == saved.part.values));
  CHECK((loaded.engine == saved.engine && loaded.label == "best" && loaded.version == 0));
  std::string numbered;
  for (const EntryInfo& entry : entries(path)) {
    if (entry.name != "best.4") numbered += entry.name + ' ' + entry.text + '\n';  // the generator is long
  }
  CHECK(has(numbered, "best.values \nbest.0 -inf\nbest.1 200\nbest.2 true\nbest.3 3\nbest.5 best\n"));
}

TEST_CASE("The state of another type is refused, as is a state with something left over", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const std::string who = "invalid_argument: polyak::load: " + path.string() + ": ";
  const auto refusal = [&](auto object) {
    const std::string error = error_of([&] { load(path, named("opt", object)); });
    return error.starts_with(who) ? error.substr(who.size()) : error;
  };
  save(path, named("opt", tracker::example(2)), named("optimal", 1));
  CHECK(refusal(Tracker()) == "nothing");
  CHECK(refusal(OneNumberMore()) == "there is no \"opt.6\"");
  CHECK(refusal(OneArrayLess()) == "\"opt.average\" must be part of what it is loaded into");
  CHECK(refusal(OtherNumber()) == "\"opt.0\" must be a number of its kind, got \"1\"");
  CHECK(refusal(SameArrayTwice()) == "two things must not be named \"opt.x\"");
  save(path, named("opt", OneNumberMore()));
  CHECK(refusal(Tracker()) == "\"opt.6\" must be part of what it is loaded into");
  CHECK(has(error_of([&] { save(path, named("opt", SameArrayTwice())); }), "two things must not be named \"opt.x\""));
  CHECK(refusal(OneNumberMore()) == "nothing");
}

TEST_CASE("Optimizers and averages are loaded by their path in the object that they were saved in", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Ones(3);
  Averaged opt{Sgd{{.learning_rate = 0.1, .momentum = 0.9}}, Ema{{.decay = 0.9}}, Ema{{.decay = 0.5}}};
  for (int t = 0; t < 3; ++t) opt.step(theta, theta);
  save(path, named("runs.best.opt", opt), named("runs.best", theta));

  Sgd sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  Ema ema{{.decay = 0.5}};
  VectorXd weights(3), velocity(3);
  load(path, named("runs.best.opt.optimizer", sgd), named("runs.best.opt.averager.1", ema), named("runs.best", weights),
       named("runs.best.opt.optimizer.velocity", velocity));
  CHECK(ema.average() == opt.average<1>());
  CHECK(weights == theta);
  opt.step(theta, velocity);
  sgd.step(weights, velocity);
  CHECK(same_bits(weights, theta));
  load_average(path, "runs.best.opt.averager.0", weights);
  CHECK(weights != theta);
  Ema other{{.decay = 0.9}};
  CHECK(error_of([&] { load(path, named("runs.best.opt.averager.1", other)); }) ==
        "invalid_argument: polyak::Ema: decay must be 0.5 as in the saved state, got 0.9");
}

TEST_CASE("Names must differ and be names", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const VectorXd theta = VectorXd::Ones(2);
  const std::string who = "invalid_argument: polyak::save: " + path.string() + ": ";
  const auto error = [&](const auto&... objects) { return error_of([&] { save(path, objects...); }); };
  const auto rule = [&](const std::string& name) {
    return who + "a name must have 1 to 1000 characters, none a control one, and not begin with \"polyak.\", got \"" +
           name + '"';
  };
  std::string accepted;
  for (const std::string& name : {std::string(), std::string("a\n"), std::string("a\x7f"), std::string(1001, 'a'),
                                  std::string("polyak.checksum"), std::string("__metadata__")}) {
    if (error(named(name, theta)) != rule(name)) accepted += name + '\n';
    if (error(named(name, 1)) != rule(name)) accepted += name + '\n';
  }
  CHECK(accepted == "");
  CHECK(error(named("a", theta), named("a", theta)) == who + "two things must not be named \"a\"");
  CHECK(error(named("a", theta), named("a", 1)) == who + "two things must not be named \"a\"");
  CHECK(error(theta, named("weights", theta)) == who + "two things must not be named \"weights\"");
  CHECK(error(named("a.1", theta), named("a", std::vector{theta, theta})) ==
        who + "two things must not be named \"a.1\"");
  Ema ema;
  ema.update(theta);
  CHECK(error(named(std::string(1000, 'a'), ema)).starts_with(who + "a name must have 1 to 1000 characters"));
  CHECK(error(named("a\xff", theta)).starts_with(who + "a name or a text cannot be written: "));
  CHECK(error(named("a", "\xff")).starts_with(who + "a name or a text cannot be written: "));
  CHECK(directory.count() == 0);
  CHECK(error(named("a.b ~\u03b8\"\\/", theta), named("polyak", 1), named(std::string(1000, 'z'), theta)) == "nothing");
  VectorXd loaded(2);
  load(path, named("a.b ~\u03b8\"\\/", loaded));
  CHECK(loaded == theta);
  CHECK(has(listing(path), "a.b ~\u03b8\"\\/ F64 (2,)"));
}

TEST_CASE("What is not there is said beside what is, as far as one can read", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  double x = 1;
  const auto missing = [&] { return error_of([&] { load(path, named("missing", x)); }); };
  const auto save_blocks = [&](std::size_t n) { save(path, named("w", std::vector<std::vector<double>>(n, {1}))); };
  save(path, named("x", x));
  CHECK(missing() ==
        "invalid_argument: polyak::load: " + path.string() + ": there is no text \"missing\"; there are no tensors");
  save_blocks(40);
  CHECK(missing().ends_with("\"w.9\" (F64, (1,))"));
  save_blocks(41);
  CHECK(missing().ends_with("\"w.8\" (F64, (1,)) and more"));
}

TEST_CASE("An average is read without its optimizer, rounded to the weights", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Zero(6);
  Tracker opt = tracker::example(3);
  opt.average[0] = 0.1;
  save(path, named("weights", theta), named("opt", opt), named("fresh", Tracker()), named("new", Ema()));

  VectorXf shipped = VectorXf::Zero(6);
  load_average(path, "opt", shipped);
  CHECK(shipped == opt.average.cast<float>());
  MatrixXd w(2, 2);
  VectorXd b(2);
  load_average(path, "opt", ParameterSet{w, b});
  CHECK(Eigen::Map<VectorXd>(w.data(), 4) == opt.average.head(4));
  CHECK(b == opt.average.tail(2));

  VectorXd kept = VectorXd::Ones(6), five = VectorXd::Ones(5);
  const std::string who = "invalid_argument: polyak::load_average: " + path.string() + ": ";
  const auto error = [&](const std::string& name, VectorXd& into) {
    return error_of([&] { load_average(path, name, into); });
  };
  for (const std::string name : {"weights", "new", "op", "opt.average", ""}) {
    CHECK(error(name, kept).starts_with(who + "there is no average in \"" + name + "\"; there are \"fresh.average\" "));
  }
  CHECK(error("opt", five) == who + "\"opt.average\" (F64, (6,)) must be 5 numbers, as what it is loaded into");
  CHECK(error("fresh", five) == who + "\"fresh.average\" (F64, (0,)) must be 5 numbers, as what it is loaded into");
  CHECK((kept == VectorXd::Ones(6) && five == VectorXd::Ones(5)));
}

TEST_CASE("A file large enough for large pages comes back bit by bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "weights.safetensors";
  const VectorXd theta = VectorXd::LinSpaced(2'200'000, -1, 1);
  save(path, theta);
  VectorXd loaded = VectorXd::Zero(theta.size());
  load(path, loaded);
  CHECK(same_bits(loaded, theta));
}

namespace {

/// A run of one's own, with an average in it.
struct Whole {
  Averaged<Sgd<>, Ema<>> opt{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.9}}};
  VectorXd w = VectorXd::Ones(4);

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& opt;
    archive.array("w", w.data(), 4);
  }
};
struct Empty {
  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

}  // namespace

TEST_CASE("An average that is swapped in within an object is found", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run";
  Whole run;
  for (int t = 0; t < 3; ++t) run.opt.step(run.w, VectorXd::Ones(4));
  save(path, named("run", run));
  const VectorXd trained = run.w;
  {
    const auto guard = run.opt.swap_in(run.w);
    CHECK(error_of([&] { save(path, named("run", run)); }).starts_with("logic_error: polyak::Ema: the average is"));
    CHECK(error_of([&] { load(path, named("run", run)); }).starts_with("logic_error: polyak::Ema: the average is"));
  }
  CHECK(run.w == trained);
  load(path, named("run", run));
  CHECK(run.w == trained);
}

TEST_CASE("The state of long double weights comes back bit by bit, and one that is empty as it is", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run";
  const auto make = [] {
    return Averaged{Sgd<long double>{{.learning_rate = 0.1, .momentum = 0.9}}, Ema<long double>{{.decay = 0.9}}};
  };
  auto opt = make(), loaded = make();
  holders::Vector<long double> w = holders::Vector<long double>::Ones(6), other;
  for (int t = 0; t < 3; ++t) opt.step(w, w);
  Empty empty;
  save(path, named("w", w), named("opt", opt), named("empty", empty));
  other.setZero(6);
  load(path, named("w", other), named("opt", loaded), named("empty", empty));
  CHECK(loaded.average() == opt.average());
  opt.step(w, w);
  loaded.step(other, other);
  CHECK(same_bits(other, w));
}

TEST_CASE("No name begins as the parts of an object or of a set do", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run";
  const Ema ema;
  const VectorXd w = VectorXd::Ones(2);
  const std::string must = " must not begin as the parts of another do";
  CHECK(error_of([&] { save(path, named("opt", ema), named("opt.w", w)); }) ==
        "invalid_argument: polyak::save: " + path.string() + ": \"opt.w\"" + must);
  CHECK(has(error_of([&] { save(path, named("w.2", w), named("w", std::vector(2, w))); }), "\"w.2\"" + must));
  CHECK(error_of([&] { save(path, named("w", w), named("w.bias", w)); }) == "nothing");
}
