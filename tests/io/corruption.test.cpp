#include <polyak/averagers/ema.hpp>
#include <polyak/io/checkpoint.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "io/files.hpp"
#include "io/tracker.hpp"
#include "support.hpp"

// Files that are damaged in any way are refused with what is wrong, before an object is touched and without more memory
// than they have bytes.

using namespace polyak;
using Eigen::VectorXd;
using support::error_of;
using support::has;
using tracker::Tracker;

namespace {

std::string as_bytes(std::uint64_t x) {
  std::string bytes(8, '\0');
  detail::encode_one(x, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

const std::string checksum_key = "\"polyak.checksum\":\"";

/// Makes the checksum right again, if there is one.
std::string repaired(std::string bytes) {
  const std::size_t at = bytes.find(checksum_key) + checksum_key.size();
  if (at < checksum_key.size() || bytes.find('"', at) != at + 16) return bytes;
  bytes.replace(at, 16, 16, '0');
  return bytes.replace(at, 16, detail::TensorFile::hexadecimal(XXH64(bytes.data(), bytes.size(), 0)));
}

/// A file of that header, with the texts that polyak adds and a right checksum, and of so many bytes of scalars.
std::string crafted(const std::string& tensors, std::size_t scalars, const std::string& texts = "") {
  const std::string header = "{\"__metadata__\":{" + texts + (texts.empty() ? "" : ",") + checksum_key +
                             std::string(16, '0') + "\",\"polyak.version\":\"1\"}" + (tensors.empty() ? "" : ",") +
                             tensors + '}';
  return repaired(as_bytes(header.size()) + header + std::string(scalars, 'x'));
}

/// A small checkpoint, as bytes, and objects that nothing is to touch.
struct Small {
  files::Directory directory;
  std::filesystem::path path = directory / "run.safetensors";
  VectorXd theta = VectorXd::LinSpaced(3, 1, 3);
  Tracker opt = tracker::example(1);
  std::string bytes;
  VectorXd weights = VectorXd::Zero(3);
  Tracker loaded;

  Small() {
    save(path, named("weights", theta), named("opt", opt));
    bytes = files::read(path);
  }
  /// What load says of other bytes: "damaged: " or "misfit: " and the text, "changed something", or "nothing".
  std::string error_in(const std::string& other) {
    files::write(path, other);
    const std::string who = "polyak::load: " + path.string() + ": ";
    std::string error;
    try {
      load(path, named("weights", weights), named("opt", loaded));
      return "nothing";
    } catch (const std::invalid_argument& misfit) {
      error = std::string("misfit: ") + misfit.what();
    } catch (const std::runtime_error& damage) {
      error = std::string("damaged: ") + damage.what();
    }
    if (weights != VectorXd::Zero(3) || !(loaded == Tracker())) return "changed something";
    const std::size_t at = error.find(who);
    return at == std::string::npos ? error : error.erase(at, who.size());
  }
};

constexpr std::uint64_t huge = std::uint64_t{1} << 62;

}  // namespace

TEST_CASE("A checkpoint cut anywhere or with bytes appended is refused", "[checkpoint]") {
  Small small;
  std::string accepted;
  for (std::size_t n = 0; n < small.bytes.size(); ++n) {
    if (!small.error_in(small.bytes.substr(0, n)).starts_with("damaged: ")) accepted += std::to_string(n) + ' ';
    if (!small.error_in(repaired(small.bytes.substr(0, n))).starts_with("damaged: "))
      accepted += std::to_string(n) + ' ';
  }
  for (const std::size_t n : {1u, 8u, 24u, 26u, 1000u}) {
    const std::string more = ' ' + std::to_string(n);
    if (!small.error_in(repaired(small.bytes + std::string(n, '\0'))).starts_with("damaged: ")) accepted += more;
    if (!small.error_in(small.bytes + small.bytes.substr(0, n)).starts_with("damaged: ")) accepted += more;
  }
  CHECK(accepted == "");
  const std::size_t scalars = 3 * 8 + 4 * 8 + 2 * 4;
  CHECK(small.error_in(small.bytes + 'x') == "damaged: must end with its last tensor, after " +
                                                 std::to_string(scalars) + " bytes of scalars, got " +
                                                 std::to_string(scalars + 1));
  CHECK(small.error_in(small.bytes) == "nothing");
  CHECK((small.weights == small.theta && small.loaded == small.opt));
}

TEST_CASE("A checkpoint with any bit flipped is refused, and nothing is touched", "[checkpoint]") {
  Small small;
  std::string accepted, bytes = small.bytes;
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    const char good = bytes[i / 8];
    bytes[i / 8] = static_cast<char>(good ^ (1 << i % 8));
    const std::string error = small.error_in(bytes);
    bytes[i / 8] = good;
    if (!error.starts_with("damaged: ")) accepted += "bit " + std::to_string(i) + ": " + error + '\n';
  }
  CHECK(accepted == "");
}

TEST_CASE("A checkpoint with any byte replaced and the checksum made right again is refused or well formed",
          "[checkpoint]") {
  Small small;
  std::string wrong;
  for (std::size_t i = 0; i < small.bytes.size(); ++i) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = small.bytes;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      const std::string error = small.error_in(repaired(bytes));
      if (error == "nothing") small.weights.setZero(), small.loaded = Tracker();
      if (error == "changed something" || error.find(": ") == 0) wrong += std::to_string(i) + ' ';
    }
  }
  CHECK(wrong == "");
}

TEST_CASE("Loading a damaged file says what is wrong", "[checkpoint]") {
  Small small;
  const std::string& good = small.bytes;
  CHECK(small.error_in("") == "damaged: must have 8 bytes and more, got 0");
  const std::string begin = "damaged: must have a header of at most ";
  CHECK(small.error_in("PK\3\4 something else altogether") == begin + "22 bytes, got 7885648053892500304");
  CHECK(small.error_in(good.substr(0, 20)) ==
        begin + "12 bytes, got " + std::to_string(good.find("}}") + 2 + (8 - (good.find("}}") + 2) % 8) % 8 - 8));
  std::string bytes = good;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const std::string checksum = good.substr(good.find(checksum_key) + checksum_key.size(), 16);
  const std::string other = repaired(bytes).substr(good.find(checksum_key) + checksum_key.size(), 16);
  CHECK(small.error_in(bytes) == "damaged: is damaged: its checksum must be " + other + ", got " + checksum);

  const auto replaced = [&](const std::string& from, const std::string& to) {
    bytes = good;
    REQUIRE(has(bytes, from));
    bytes.replace(bytes.find(from), from.size(), to);
    bytes.replace(0, 8,
                  as_bytes(detail::decode_one<std::uint64_t>(reinterpret_cast<const std::byte*>(good.data())) +
                           to.size() - from.size()));
    return small.error_in(repaired(bytes));
  };
  const std::string lacks = "damaged: is damaged: it lacks its version or its checksum";
  const std::string digits = "damaged: is damaged: its checksum must have 16 digits";
  CHECK(replaced("\"polyak.version\":\"1\"", "\"polyak.version\":\"2\"") ==
        "damaged: has version 2 of polyak's files, this polyak reads 1");
  CHECK(replaced("polyak.version", "version") == lacks);
  CHECK(replaced("polyak.checksum", "checksum") == lacks);
  CHECK(replaced(checksum, "") == digits);
  CHECK(replaced(checksum, checksum + '0') == digits);
  CHECK(replaced(checksum_key, "\"polyak.checksum\": \"") == digits);
  // Those of another program have neither, and are what they say.
  const std::string header = "{\"x\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}";
  files::write(small.path, as_bytes(header.size()) + header + as_bytes(0));
  VectorXd x = VectorXd::Ones(1);
  load(small.path, named("x", x));
  CHECK(x[0] == 0);
}

TEST_CASE("What is no readable file is refused", "[checkpoint]") {
  const Small small;
  VectorXd weights(3);
  const auto error = [&](const std::filesystem::path& path) {
    return files::runtime_error_of([&] { load(path, named("weights", weights)); });
  };
  CHECK(error(small.directory.path()) ==
        "polyak::load: " + small.directory.path().string() + ": must be a regular file, and is not");
  CHECK(error("/dev/null") == "polyak::load: /dev/null: must be a regular file, and is not");
  const auto absent = small.directory / "absent", pipe = small.directory / "pipe";
  CHECK(error(absent) == "system: polyak::load: " + absent.string() + ": cannot be opened: No such file or directory");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(error(pipe) == "polyak::load: " + pipe.string() + ": must be a regular file, and is not");
  if (::geteuid() != 0) {  // root reads everything
    REQUIRE(::chmod(small.path.c_str(), 0) == 0);
    CHECK(error(small.path) ==
          "system: polyak::load: " + small.path.string() + ": cannot be opened: Permission denied");
  }
}

TEST_CASE("A checkpoint with a good checksum is refused where its contents are not", "[checkpoint]") {
  Small small;
  const auto tensor = [](const std::string& name, const std::string& shape, std::uint64_t begin, std::uint64_t end_at,
                         const std::string& dtype = "F64") {
    return '"' + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
           std::to_string(begin) + ',' + std::to_string(end_at) + "]}";
  };
  const std::string tail = "; there are no tensors", a = "damaged: tensor \"a\" must have ";
  CHECK(small.error_in(crafted("", 0)) == "misfit: there is no tensor \"weights\"" + tail);
  CHECK(small.error_in(crafted(tensor("weights", "3", 0, 24), 24)).starts_with("misfit: there is no object \"opt\""));
  const std::vector<std::pair<std::string, std::string>> all{
      {crafted(tensor("a", "5", 0, 8), 8), a + "40 bytes by its shape and dtype, got 8"},
      {crafted(tensor("a", "2", 0, 16), 8), a + "data_offsets within the 8 bytes there are, got 0 to 16"},
      {crafted(tensor("a", "1", 8, 0), 8), a + "data_offsets within the 8 bytes there are, got 8 to 0"},
      {crafted(tensor("a", std::to_string(huge) + ",4", 0, 8), 8), a + "a shape of fewer numbers"},
      {crafted(tensor("a", "-1", 0, 8), 8), a + "whole numbers, got -1"},
      {crafted(tensor("a", "1.0", 0, 8), 8), a + "whole numbers, got 1.0"},
      {crafted(tensor("a", "1", 0, 8), 16), "damaged: must end with its last tensor, after 8 bytes of scalars, got 16"},
      {crafted(tensor("a", "1", 0, 8) + ',' + tensor("b", "1", 0, 8), 8),
       "damaged: tensor \"b\" must begin where the one before ends, at 8, got 0"},
      {crafted(tensor("a", "1", 0, 8) + ',' + tensor("b", "1", 16, 24), 24),
       "damaged: tensor \"b\" must begin where the one before ends, at 8, got 16"},
      {crafted(tensor("a", "1", 0, 8) + ',' + tensor("a", "1", 8, 16), 16),
       "damaged: its header must have each name once, got a second \"a\""},
      {crafted("", 0, "\"opt.1\":\"1\",\"opt.1\":\"2\""),
       "damaged: its header must have each name once, got a second \"opt.1\""},
      {crafted("", 0, "\"opt.1\":1"), "damaged: its __metadata__ must be an object of texts, and is not"},
      {crafted("\"a\":{}", 0), a + "a dtype, a shape and two data_offsets"},
      {crafted("\"a\":" + std::string(1000, '[') + std::string(1000, ']'), 0),
       "damaged: its header must be an object of objects, and goes deeper"}};
  std::string others;
  for (const auto& [bytes, expected] : all) {
    if (const std::string error = small.error_in(bytes); error != expected)
      others += error + "\n, not " + expected + '\n';
  }
  CHECK(others == "");
}

TEST_CASE("A state of which anything is missing or no number does not reach the object", "[checkpoint]") {
  Small small;
  std::string accepted;
  for (const EntryInfo& entry : entries(small.path)) {
    if (!entry.name.starts_with("opt.")) continue;
    std::string renamed = small.bytes, changed = small.bytes;
    const std::size_t at = small.bytes.find('"' + entry.name + "\":");
    renamed.replace(at + 5, 1, "_");
    if (!small.error_in(repaired(renamed)).starts_with("misfit: ")) accepted += entry.name + " renamed\n";
    if (entry.dtype != "text" || entry.name == "opt.4") continue;
    changed.replace(at + entry.name.size() + 4, 1, "?");
    const std::string text = "?" + entry.text.substr(1);
    if (small.error_in(repaired(changed)) !=
        "misfit: \"" + entry.name + "\" must be a number of its kind, got \"" + text + '"') {
      accepted += entry.name + " changed\n";
    }
  }
  CHECK(accepted == "");
}

TEST_CASE("An average in numbers of another type, or of another size, is refused", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "run.safetensors";
  const VectorXd ones = VectorXd::Ones(2);
  Ema ema;
  ema.update(ones);
  save(path, named("ema", ema));
  const std::string good = files::read(path);
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    bytes.replace(bytes.find(from), from.size(), to);
    files::write(path, repaired(bytes));
    return error_of([&] { load(path, named("ema", ema)); });
  };
  const std::string who = "invalid_argument: polyak::load: " + path.string() + ": \"ema.average\" ";
  CHECK(refusal("F64", "I64") == who + "(I64, (2,)) must have 2 numbers of F64");
  VectorXd weights = VectorXd::Zero(2);
  CHECK(error_of([&] { load_average(path, "ema", weights); }) ==
        "invalid_argument: polyak::load_average: " + path.string() +
            ": \"ema.average\" (I64, (2,)) must be 2 numbers, as what it is loaded into");
  CHECK(weights == VectorXd::Zero(2));
  CHECK(refusal("\"F64\",\"shape\":[2]", "\"F32\",\"shape\":[4]") ==
        "invalid_argument: polyak::Ema: the saved state is damaged: average must have size 2, got 4");
  const std::string rows = "\"ema.blocks.0.rows\":\"";
  CHECK(refusal(rows + '2', rows + '3') ==
        "invalid_argument: polyak::Ema: the saved state is damaged: average must have size 3, got 2");
  CHECK(refusal("\"F64\"", "\"F64\"") == "nothing");
  CHECK(ema.average() == ones);
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("Lengths that the file does not have claim no memory", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "crafted.safetensors";
  const auto claimed = [&](const std::string& bytes, const auto& into, const std::string& name) {
    files::write(path, bytes);
    auto object = into;
    bool refused = false;
    const std::size_t n = allocation_counter::bytes_in([&] {
      try {
        load(path, named(name, object));
      } catch (const std::exception&) {
        refused = true;
      }
    });
    CHECK(refused);
    return n;
  };
  const VectorXd one(1);
  for (const std::uint64_t n : {huge, ~std::uint64_t{0}, std::uint64_t{100'000'000}, std::uint64_t{1000}}) {
    CHECK(claimed(as_bytes(n) + std::string(8, 'x'), one, "w") < 32 * 1024);
    for (const std::string& shape : {std::to_string(n), "1," + std::to_string(n), std::to_string(n) + ",0"}) {
      const std::string bytes =
          crafted("\"w\":{\"dtype\":\"F64\",\"shape\":[" + shape + "],\"data_offsets\":[0,8]}", 8);
      CHECK(claimed(bytes, one, "w") < 32 * 1024);
    }
  }
  // A dtype that is not known here says nothing of its size, nor do rows of nothing.
  const std::string unknown = "\"dtype\":\"X1\",\"shape\":[9000000000],\"data_offsets\":[0,0]}";
  const std::string empty = "\"dtype\":\"F64\",\"shape\":[0,9000000000],\"data_offsets\":[0,0]}";
  for (const std::string& how : {unknown, empty}) {
    CHECK(claimed(crafted("\"w\":{" + how, 0), one, "w") < 32 * 1024);
    CHECK(claimed(crafted("\"w\":{" + how, 0), std::vector<int>(), "w") < 32 * 1024);
    std::string text;
    for (int i = 0; i < 6; ++i) text += "\"opt." + std::to_string(i) + "\":\"1\",";
    text += "\"opt.part.0.0\":\"1\",\"opt.part.1.0\":\"1\"";
    CHECK(claimed(crafted("\"opt.average\":{" + how, 0, text), Tracker(), "opt") < 32 * 1024);
  }
  // Nor do a layout, and the average that it has.
  Ema ema;
  ema.update(one);
  save(path, named("ema", ema));
  std::string bytes = files::read(path);
  const std::size_t begin = bytes.find("\"ema.begun"), length = bytes.find(",\"polyak.") - begin;
  std::string texts = bytes.substr(begin, length);
  const std::string rows = "\"ema.blocks.0.rows\":\"";
  texts.insert(texts.find(rows) + rows.size(), "900000000");
  const std::string average = "\"dtype\":\"X1\",\"shape\":[9000000001],\"data_offsets\":[0,0]}";
  CHECK(claimed(crafted("\"ema.average\":{" + average, 0, texts), Ema(), "ema") < 64 * 1024);
}

TEST_CASE("Reading takes the memory of the file and no multiple of it, saving none", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "large.safetensors";
  VectorXd theta = VectorXd::Ones(1 << 17);
  const std::size_t bytes = (1 << 17) * sizeof(double);
  const auto saving = [&] { save(path, named("weights", theta)); };
  CHECK(allocation_counter::bytes_in(saving) < 100 * 1024);
  const auto loading = [&] { load(path, named("weights", theta)); };
  CHECK(allocation_counter::bytes_in(loading) < bytes + 32 * 1024);

  std::string many;
  for (int i = 0; i < 2000; ++i) {
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]}";
  }
  files::write(path, crafted(many, 0));
  std::size_t n = 0;
  const auto reading = [&] { n = entries(path).size(); };
  CHECK(allocation_counter::bytes_in(reading) < 60 * many.size());
  CHECK(n == 2002);
}
#endif
