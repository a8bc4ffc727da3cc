#include <polyak/averagers/ema.hpp>
#include <polyak/io/checkpoint.hpp>
#include <polyak/schedules.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
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

std::string names_of(const std::filesystem::path& path) {
  std::string result;
  for (const EntryInfo& entry : entries(path)) {
    result += entry.name + ' ' + entry.scalar + ' ' + std::to_string(entry.shape.rows) + 'x' +
              std::to_string(entry.shape.cols) + (entry.shape.row_major ? " row-major\n" : "\n");
  }
  return result;
}

}  // namespace

TEST_CASE("A checkpoint gives back what was saved, under its names", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  support::Random random(1);
  const VectorXd theta = random.vector(5);
  const Tracker opt = tracker::example(3);
  const std::uint64_t step = 77;
  const std::string note = "annealed";
  save(path, named("weights", theta), named("opt", opt), named("step", step), named("note", note));
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

  CHECK(names_of(path) ==
        "weights float64 5x1\n"
        "opt.average float64 6x1\n"
        "opt.part.0.values float32 2x1\n"
        "opt.part.1.values float32 0x1\n"
        "opt state " +
            std::to_string(entries(path)[4].shape.rows) +
            "x1\n"
            "step uint64 1x1\n"
            "note text 8x1\n");
  CHECK(entries(path)[0].role == EntryRole::value);
  CHECK(entries(path)[1].role == EntryRole::average);
  CHECK(entries(path)[2].role == EntryRole::array);
  CHECK(entries(path)[4].role == EntryRole::state);
}

TEST_CASE("Objects without names are weights and states, numbered", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  VectorXd a = VectorXd::Constant(2, 1.5), b = VectorXd::Constant(3, -2);
  Tracker opt = tracker::example(1);
  int epoch = 9;
  save(path, a, opt, b, epoch);
  CHECK(has(names_of(path), "weights float64 2x1\n"));
  CHECK(has(names_of(path), "weights_2 float64 3x1\n"));
  CHECK(has(names_of(path), "state_2 int32 1x1\n"));

  a.setZero(), b.setZero();
  Tracker loaded;
  epoch = 0;
  load(path, a, loaded, b, epoch);
  CHECK(a == VectorXd::Constant(2, 1.5));
  CHECK(b == VectorXd::Constant(3, -2));
  CHECK(loaded == opt);
  CHECK(epoch == 9);
}

TEMPLATE_TEST_CASE("Every scalar comes back bit by bit", "[checkpoint]", float, double, long double, Eigen::half,
                   Eigen::bfloat16) {
  using Scalar = TestType;
  const files::Directory directory;
  const auto path = directory / "weights.polyak";
  auto coordinates = support::Random(2).vector<Scalar>(700);
  coordinates[0] = static_cast<Scalar>(-0.0f);
  coordinates[1] = static_cast<Scalar>(support::infinity);
  coordinates[2] = std::numeric_limits<Scalar>::quiet_NaN();
  coordinates[3] = std::numeric_limits<Scalar>::denorm_min();
  holders::Vector<Scalar> loaded = holders::Vector<Scalar>::Zero(700);
  save(path, coordinates);
  load(path, loaded);
  CHECK(same_bits(loaded, coordinates));
}

TEST_CASE("Every holder of parameters comes back bit by bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "weights.polyak";
  const auto coordinates = support::Random(2).vector<float>(holders::size);
  holders::for_each<float>([&](const char* name, auto&& params, const auto&, const auto& memory, const auto&) {
    INFO(name);
    memory.write(coordinates);
    save(path, params);
    memory.write(holders::Vector<float>::Zero(holders::size));
    load(path, params);
    CHECK(same_bits(memory.read(), coordinates));
  });
}

TEST_CASE("Maps, spans and sets are loaded through temporaries of them", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  std::vector<double> memory{1, 2, 3, 4, 5, 6};
  MatrixXd w = MatrixXd::Constant(2, 2, 7);
  VectorXd b = VectorXd::Constant(2, 8);
  save(path, named("map", Eigen::Map<MatrixXd>(memory.data(), 2, 3)), named("layers", ParameterSet{w, b}));
  CHECK(names_of(path) == "map float64 2x3\nlayers.0 float64 2x2\nlayers.1 float64 2x1\n");
  memory.assign(6, 0);
  w.setZero(), b.setZero();
  load(path, named("map", Eigen::Map<MatrixXd>(memory.data(), 2, 3)), named("layers", ParameterSet{w, b}));
  CHECK(memory == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(w == MatrixXd::Constant(2, 2, 7));
  CHECK(b == VectorXd::Constant(2, 8));
}

TEST_CASE("What does not fit is refused by name, and nothing is loaded", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  const VectorXd theta = VectorXd::LinSpaced(4, 1, 4);
  const Tracker opt = tracker::example(2);
  save(path, named("weights", theta), named("opt", opt), named("layers", std::vector{theta, theta}));

  const std::string who = "invalid_argument: polyak::load: " + path.string() + ": ";
  VectorXd good = VectorXd::Zero(4);
  Tracker fresh;
  const auto refused = [&](auto&&... objects) {
    const std::string error = error_of([&] { load(path, named("weights", good), named("opt", fresh), objects...); });
    CHECK(good == VectorXd::Zero(4));
    CHECK(fresh == Tracker());
    CHECK(error.starts_with(who));
    return error.substr(std::min(error.size(), who.size()));
  };

  VectorXd five(5);
  CHECK(refused(named("weights", five)) ==
        "\"weights\" (float64, 4 x 1) must be float64, 5 x 1, as what it is loaded into");
  std::vector<double> three(3);
  CHECK(refused(named("weights", three)) ==
        "\"weights\" (float64, 4 x 1) must be float64, 3 x 1, as what it is loaded into");
  Eigen::RowVectorXd row(4);
  CHECK(has(refused(named("weights", row)), "must be float64, 1 x 4"));
  MatrixXd square(2, 2);
  CHECK(has(refused(named("weights", square)), "must be float64, 2 x 2"));
  VectorXf single(4);
  CHECK(has(refused(named("weights", single)), "must be float32, 4 x 1"));
  double number = 0;
  CHECK(has(refused(named("weights", number)), "must be float64, 1 x 1"));
  std::string text;
  CHECK(has(refused(named("weights", text)), "must be text"));
  VectorXd other(4);
  CHECK(has(
      refused(named("theta", other)),
      "there is no entry \"theta\"; the entries are \"weights\" (float64, 4 x 1), \"opt.average\" (float64, 5 x 1)"));
  std::vector set(3, VectorXd(4));
  CHECK(has(refused(named("layers", set)), "there is no entry \"layers.2\""));
  set.resize(1);
  CHECK(has(refused(named("layers", set)), "\"layers\" must have as many blocks as were saved, 2, got 1"));

  SECTION("an average is not taken for weights, nor weights for the state of an optimizer") {
    VectorXd into(5);
    CHECK(has(refused(named("opt", into)), "\"opt\" must have been saved as parameters or a value, and is the state"));
    CHECK(has(refused(named("opt.average", into)), "none a dot"));
    Tracker of_weights;
    CHECK(has(refused(named("weights", of_weights)), "\"weights\" must be an object with a state, and is none"));
  }
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
    archive& version& whole.steps& whole.sign& whole.rate& whole.label;
    archive.enter("part.0");
    archive& whole.parts[0];
    archive.leave();
    archive.enter("part.1");
    archive& whole.parts[1];
    archive.leave();
    archive& whole.own.flag;
  }
};
struct OtherNumber {
  std::uint64_t version = 1;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& version;
  }
};
struct OtherPart {
  std::uint32_t version = 1;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& version;
    archive.enter("averager");
    archive.leave();
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

}  // namespace

TEST_CASE("The state of another type is refused, as is a state with something left over", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  const auto refused = [&](auto object) {
    const std::string error = error_of([&] { load(path, named("opt", object)); });
    CHECK(error.starts_with("invalid_argument: polyak::load: " + path.string() + ": "));
    return error;
  };
  save(path, named("opt", tracker::example(2)));
  CHECK(has(refused(OneNumberMore()), "\"opt\" is that of another type, expected more than there is before byte"));
  {
    const std::string bytes = files::read(path);
    const std::size_t state = bytes.find(std::string("\3\0opt", 5)) + 5 + 4 + 16;
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data() + state - 16, 8);
    CHECK(refused(OneNumberMore()).ends_with(" before byte " + std::to_string(state + length)));
  }
  CHECK(has(refused(OneArrayLess()), "\"opt.average\" (float64, 5 x 1) must be part of what \"opt\" is loaded into"));
  CHECK(has(refused(OtherNumber()), "another type, expected uint64, found uint32 before byte"));
  CHECK(has(refused(OtherPart()), "expected the part \"averager\", found uint64"));
  OneNumberMore more;
  save(path, named("opt", more));
  CHECK(has(refused(Tracker()), "expected its end, found 9 bytes more"));
  CHECK(has(error_of([&] { save(path, named("opt", SameArrayTwice())); }), "two entries must not be named \"opt.x\""));
  CHECK(has(refused(SameArrayTwice()), "there is no entry \"opt.x\""));
}

TEST_CASE("Names must differ and be names", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  const VectorXd theta = VectorXd::Ones(2);
  const auto error = [&](const auto&... objects) { return error_of([&] { save(path, objects...); }); };
  CHECK(error(named("a", theta), named("a", theta)) ==
        "invalid_argument: polyak::save: " + path.string() + ": two entries must not be named \"a\"");
  CHECK(has(error(theta, named("weights", theta)), "two entries must not be named \"weights\""));
  CHECK(has(error(named("", theta)), "a name must have 1 to 1000 characters, none a dot or a control one, got \"\""));
  CHECK(has(error(named("a.b", theta)), "got \"a.b\""));
  CHECK(has(error(named("a\n", theta)), "none a dot or a control one"));
  CHECK(has(error(named("a\x7f", theta)), "none a dot or a control one"));
  CHECK(has(error(named(std::string(1001, 'a'), theta)), "1 to 1000"));
  Ema ema;
  ema.update(theta);
  CHECK(has(error(named(std::string(1000, 'a'), ema)),  // and ".average"
            "the name of an entry must have 1 to 1000 characters, none a control one, got \"aaa"));
  CHECK(directory.count() == 0);
  CHECK(error(named("a ~\u03b8", theta)) == "nothing");
  CHECK(has(names_of(path), "a ~\u03b8 float64 2x1"));
}

TEST_CASE("What is not there is said beside what is, as far as one can read", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  double x = 1;
  const auto missing = [&] { return error_of([&] { load(path, named("missing", x)); }); };
  const auto save_blocks = [&](std::size_t n) { save(path, named("w", std::vector<std::vector<double>>(n, {1}))); };
  save(path, named("x", x), named("y", x));
  CHECK(
      has(missing(), "there is no entry \"missing\"; the entries are \"x\" (float64, 1 x 1), \"y\" (float64, 1 x 1)"));
  save_blocks(40);
  CHECK(has(missing(), "\"w.39\" (float64, 1 x 1)"));
  CHECK(!has(missing(), "more"));
  save_blocks(42);
  CHECK(has(missing(), "\"w.39\" (float64, 1 x 1) and 2 more"));
}

namespace {

/// A user's own object, whose last part is a text.
struct Labelled {
  std::uint64_t number = 0;
  std::string label;
  unsigned version = 9;

  template <class Archive>
  void serialize(Archive& archive, unsigned now) {
    version = now;
    archive& number;
    archive& label;
  }
};

}  // namespace

TEST_CASE("An object of one's own ends with a text, and is told version 0", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  Labelled saved{.number = 3, .label = "best"}, loaded;
  save(path, named("best", saved));
  CHECK(saved.version == 0);
  load(path, named("best", loaded));
  CHECK(loaded.number == 3);
  CHECK(loaded.label == "best");
  CHECK(loaded.version == 0);
}

TEST_CASE("An average is read without its optimizer, rounded to the weights", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  VectorXd theta = VectorXd::Zero(6);
  Tracker opt = tracker::example(3);
  opt.average[0] = 0.1;
  save(path, named("weights", theta), named("opt", opt), named("fresh", Tracker()));

  VectorXf shipped = VectorXf::Zero(6);
  load_average(path, "opt", shipped);
  CHECK(shipped == opt.average.cast<float>());
  MatrixXd w(2, 2);
  VectorXd b(2);
  load_average(path, "opt", ParameterSet{w, b});
  CHECK(Eigen::Map<VectorXd>(w.data(), 4) == opt.average.head(4));
  CHECK(b == opt.average.tail(2));

  const std::string who = "invalid_argument: polyak::load_average: " + path.string() + ": ";
  VectorXd kept = VectorXd::Ones(6);
  CHECK(error_of([&] {
          load_average(path, "weights", kept);
        }).starts_with(who + "there is no average in \"weights\"; the entries are \"weights\" (float64, 6 x 1), "));
  CHECK(
      has(error_of([&] { load_average(path, "fresh", kept); }), "the average in \"fresh\" is empty; the entries are"));
  CHECK(kept == VectorXd::Ones(6));
  VectorXd five(5);
  CHECK(error_of([&] { load_average(path, "opt", five); }) ==
        who + "\"opt.average\" (float64, 6 x 1) must have as many numbers as what it is loaded into, 5");
}

TEMPLATE_TEST_CASE("An average of any scalar is read without its optimizer", "[checkpoint]", float, double, long double,
                   Eigen::half, Eigen::bfloat16) {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  Ema<TestType> ema;
  ema.update(support::Random(5).vector<TestType>(300));
  save(path, named("ema", ema));
  VectorXd weights(300);
  load_average(path, "ema", weights);
  CHECK(weights == ema.average().template cast<double>());
}

TEST_CASE("A file of other types than the object's is refused", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  const VectorXd ones = VectorXd::Ones(2);
  Ema ema;
  ema.update(ones);
  save(path, named("ema", ema));
  // The same entries, but the average in numbers of another type.
  const auto rewrite = [&](auto number) {
    const std::string bytes = files::read(path);
    const detail::FileName name{"test", path.string()};
    const detail::Checkpoint file = detail::read_checkpoint(name, std::as_bytes(std::span(bytes)));
    detail::ReplacementFile replacement(path, "test");
    detail::CheckpointWriter writer(replacement);
    const std::vector numbers(2, number);
    for (const detail::CheckpointEntry& entry : file.entries()) {
      if (entry.role == EntryRole::average) {
        writer.add(std::string(entry.name), entry.role, numbers.data(), entry.shape);
      } else {
        writer.add(std::string(entry.name), entry.role, reinterpret_cast<const std::uint8_t*>(entry.data.data()),
                   entry.shape, entry.type);
      }
    }
    writer.finish();
    replacement.commit();
  };
  const auto refusal = [&] { return error_of([&] { load(path, named("ema", ema)); }); };
  rewrite(1.0);
  CHECK(refusal() == "nothing");
  rewrite(3.0f);
  CHECK(has(refusal(), "\"ema.average\" (float32, 2 x 1) must have 2 numbers of float64"));
  rewrite(std::int32_t{3});
  CHECK(has(refusal(), "must have 2 numbers of float64"));
  CHECK(ema.average() == ones);
  VectorXd weights = VectorXd::Zero(2);
  CHECK(has(error_of([&] { load_average(path, "ema", weights); }), "must have a scalar that weights can have"));
  CHECK(weights == VectorXd::Zero(2));
}

TEST_CASE("A file large enough for large pages comes back bit by bit", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "weights.polyak";
  const VectorXd theta = VectorXd::LinSpaced(2'200'000, -1, 1);
  save(path, theta);
  VectorXd loaded = VectorXd::Zero(theta.size());
  load(path, loaded);
  CHECK(same_bits(loaded, theta));
}

TEST_CASE("An entry is read by its full name", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.polyak";
  const MatrixXd theta = MatrixXd::Constant(2, 3, 4);
  save(path, named("weights", theta), named("opt", tracker::example(3)));

  MatrixXd weights(2, 3);
  load_entry(path, "weights", weights);
  CHECK(weights == theta);
  VectorXd average(6);
  load_entry(path, "opt.average", average);
  CHECK(average == tracker::example(3).average);
  std::vector<float> values(2);
  load_entry(path, "opt.part.0.values", values);
  CHECK(values == std::vector<float>{3, 2});

  const auto error = [&](const std::string& name, auto into) {
    return error_of([&] { load_entry(path, name, into); });
  };
  CHECK(error("weights", MatrixXd(3, 2)) ==
        "invalid_argument: polyak::load_entry: " + path.string() +
            ": \"weights\" (float64, 2 x 3) must be 3 x 2, as what it is loaded into");
  CHECK(has(error("weights", Eigen::MatrixXf(2, 3)), "must be float32, as what it is loaded into"));
  CHECK(has(error("opt.average", VectorXd(5)), "must have as many numbers as what it is loaded into, 5"));
  CHECK(has(error("average", VectorXd(6)), "there is no entry \"average\"; the entries are "));
  CHECK(has(error("opt", VectorXd(6)), "\"opt\" (state, "));
}
