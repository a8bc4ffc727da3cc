#include <polyak/io/checkpoint.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <Eigen/Core>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
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
using support::has;
using tracker::Tracker;

namespace {

/// A small checkpoint, as bytes.
struct Small {
  files::Directory directory;
  std::filesystem::path path = directory / "run.polyak";
  VectorXd theta = VectorXd::LinSpaced(3, 1, 3);
  Tracker opt = tracker::example(1);
  std::string bytes;

  Small() {
    save(path, named("weights", theta), named("opt", opt));
    bytes = files::read(path);
  }
};

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

/// "runtime_error: what()" of the library's reader, or "nothing".
std::string error_in(const std::string& bytes) {
  const detail::FileName name{"test", "file"};
  try {
    static_cast<void>(detail::read_checkpoint(name, as_bytes(bytes)));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing";
}

template <class T>
void put(std::string& bytes, std::size_t at, T x) {
  detail::encode(&x, 1, reinterpret_cast<std::byte*>(bytes.data() + at));
}

/// Makes size and checksum right again.
std::string repaired(std::string bytes) {
  put(bytes, bytes.size() - 16, std::uint64_t{bytes.size()});
  detail::Xxh64 hash;
  hash.update(as_bytes(bytes).first(bytes.size() - 8));
  put(bytes, bytes.size() - 8, hash.value());
  return bytes;
}

}  // namespace

TEST_CASE("A checkpoint cut anywhere or with bytes appended is refused", "[checkpoint]") {
  const Small small;
  REQUIRE(error_in(small.bytes) == "nothing");
  for (std::size_t n = 0; n < small.bytes.size(); ++n) {
    const std::string error = error_in(small.bytes.substr(0, n));
    INFO(n << ": " << error);
    REQUIRE(error.starts_with("test: file: "));
  }
  for (const std::size_t n : {1u, 8u, 24u, 26u, 1000u}) {
    CHECK(has(error_in(small.bytes + std::string(n, '\0')), "is truncated, extended or damaged"));
    CHECK(has(error_in(small.bytes + small.bytes.substr(0, n)), "is truncated, extended or damaged"));
  }
  CHECK(has(error_in(small.bytes + small.bytes), "is truncated, extended or damaged: its end must give its size, " +
                                                     std::to_string(2 * small.bytes.size()) + " bytes, got " +
                                                     std::to_string(small.bytes.size())));
}

TEST_CASE("A checkpoint with any bit flipped is refused", "[checkpoint]") {
  Small small;
  for (std::size_t i = 0; i < small.bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      const char good = small.bytes[i];
      small.bytes[i] = static_cast<char>(good ^ (1 << bit));
      const std::string error = error_in(small.bytes);
      small.bytes[i] = good;
      INFO("byte " << i << ", bit " << bit << ": " << error);
      REQUIRE(error.starts_with("test: file: "));
    }
  }
}

TEST_CASE("A checkpoint with any byte replaced and the checksum made right again is refused or well formed",
          "[checkpoint]") {
  const Small small;
  const std::size_t n = small.bytes.size();
  for (std::size_t i = 0; i + 16 < n; ++i) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = small.bytes;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      bytes = repaired(bytes);
      const detail::FileName name{"test", "file"};
      try {
        const detail::Checkpoint file = detail::read_checkpoint(name, as_bytes(bytes));
        std::size_t in_all = 0;
        for (const auto& entry : file.entries()) in_all += entry.data.size();
        REQUIRE(in_all < n);
      } catch (const std::runtime_error& error) {
        REQUIRE(std::string(error.what()).starts_with("test: file: "));
      }
    }
  }
}

TEST_CASE("Loading a damaged file says what is wrong and leaves the objects as they were", "[checkpoint]") {
  Small small;
  VectorXd weights = VectorXd::Zero(3);
  Tracker opt;
  const auto refused = [&](const std::string& bytes) {
    files::write(small.path, bytes);
    const std::string error =
        files::runtime_error_of([&] { load(small.path, named("weights", weights), named("opt", opt)); });
    CHECK(weights == VectorXd::Zero(3));
    CHECK(opt == Tracker());
    const std::string who = "polyak::load: " + small.path.string() + ": ";
    CHECK(error.starts_with(who));
    return error.substr(std::min(error.size(), who.size()));
  };
  const std::size_t n = small.bytes.size();
  CHECK(refused("") == "must begin as a checkpoint of polyak, and does not; it has 0 bytes");
  CHECK(refused("PK\3\4 something else altogether") ==
        "must begin as a checkpoint of polyak, and does not; it has 30 bytes");
  CHECK(refused(small.bytes.substr(0, 20)) == "is truncated: it has only 20 bytes");
  std::string bytes = small.bytes;
  put(bytes, 8, std::uint32_t{0x04030201});
  CHECK(refused(bytes) == "the byte order must be marked by 0x01020304, got 0x04030201 at byte 8");
  bytes = small.bytes;
  put(bytes, 12, std::uint32_t{2});
  CHECK(refused(bytes) == "has version 2 of the format, this polyak reads 1 at byte 12");
  bytes = small.bytes;
  bytes[50] = static_cast<char>(bytes[50] ^ 1);
  CHECK(has(refused(bytes), "is damaged: the checksum must be 0x"));
  CHECK(has(refused(bytes), " at byte " + std::to_string(n - 8)));
  files::write(small.path, small.bytes);
  load(small.path, named("weights", weights), named("opt", opt));
  CHECK(weights == small.theta);
  CHECK(opt == small.opt);
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
  const auto absent = small.directory / "absent";
  CHECK(error(absent) == "system: polyak::load: " + absent.string() + ": cannot be opened: No such file or directory");
  const auto pipe = small.directory / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(error(pipe) == "polyak::load: " + pipe.string() + ": must be a regular file, and is not");
  if (::geteuid() != 0) {  // root reads everything
    REQUIRE(::chmod(small.path.c_str(), 0) == 0);
    CHECK(error(small.path) ==
          "system: polyak::load: " + small.path.string() + ": cannot be opened: Permission denied");
  }
}

namespace {

/// A checkpoint made by hand, byte by byte.
class Crafted {
 public:
  Crafted() : bytes_("\x89polyak\n") {
    number(std::uint32_t{0x01020304});
    number(std::uint32_t{1});
  }
  template <class T>
  Crafted& number(T x) {
    bytes_.resize(bytes_.size() + sizeof(T));
    put(bytes_, bytes_.size() - sizeof(T), x);
    return *this;
  }
  Crafted& text(const std::string& text) {
    bytes_ += text;
    return *this;
  }
  Crafted& entry(const std::string& name, int type, int role, int order, std::uint64_t rows, std::uint64_t cols) {
    number(static_cast<std::uint16_t>(name.size())).text(name);
    number(static_cast<std::uint8_t>(type)).number(static_cast<std::uint8_t>(role));
    number(static_cast<std::uint16_t>(order));
    return number(rows).number(cols);
  }
  std::string end(std::uint64_t count) {
    number(std::uint16_t{0}).number(count).number(std::uint64_t{0}).number(std::uint64_t{0});
    return repaired(bytes_);
  }

 private:
  std::string bytes_;
};

constexpr std::uint64_t huge = std::uint64_t{1} << 62;

/// A number of every type, a text, and arrays.
struct Every {
  std::uint8_t u8 = 1;
  std::uint16_t u16 = 2;
  std::uint32_t u32 = 3;
  std::uint64_t u64 = 4;
  std::int8_t i8 = -1;
  std::int16_t i16 = -2;
  std::int32_t i32 = -3;
  std::int64_t i64 = -4;
  bool yes = true;
  double f64 = -0.5;
  float f32 = 1.5;
  Eigen::half f16{2.0f};
  Eigen::bfloat16 bf16{3.0f};
  std::string label = "ab";
  std::array<float, 2> average{1, 2};
  std::array<std::int32_t, 1> counts{7};

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& u8& u16& u32& u64& i8& i16& i32& i64& yes& f64& f32& f16& bf16& label;
    archive.enter("part");
    archive.array("average", average.data(), average.size());
    archive.leave();
    archive.array("counts", counts.data(), counts.size());
  }
};

}  // namespace

TEST_CASE("Version 1 of the format of checkpoints is what it was, byte for byte", "[checkpoint]") {
  const auto text = [](Crafted& crafted, const std::string& letters) {
    crafted.number(std::uint64_t{letters.size()}).text(letters);
  };
  const auto tag = [](int code) { return static_cast<std::uint8_t>(code); };
  Crafted crafted;
  crafted.entry("w", 1, 1, 1, 2, 3);
  for (const double x : {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}) crafted.number(x);
  crafted.entry("every.part.average", 2, 3, 0, 2, 1).number(1.0f).number(2.0f);
  crafted.entry("every.counts", 34, 2, 0, 1, 1).number(std::int32_t{7});
  crafted.entry("every", 64, 4, 0, 85, 1);
  crafted.number(tag(16)).number(std::uint8_t{1}).number(tag(17)).number(std::uint16_t{2});
  crafted.number(tag(18)).number(std::uint32_t{3}).number(tag(19)).number(std::uint64_t{4});
  crafted.number(tag(32)).number(std::int8_t{-1}).number(tag(33)).number(std::int16_t{-2});
  crafted.number(tag(34)).number(std::int32_t{-3}).number(tag(35)).number(std::int64_t{-4});
  crafted.number(tag(48)).number(std::uint8_t{1}).number(tag(1)).number(-0.5).number(tag(2)).number(1.5f);
  crafted.number(tag(3)).number(std::uint16_t{0x4000}).number(tag(4)).number(std::uint16_t{0x4040});
  text(crafted.number(tag(49)), "ab");
  text(crafted.number(tag(0xF0)), "part");
  crafted.number(tag(0xF1));
  const std::string expected = crafted.end(4);

  const files::Directory directory;
  const auto path = directory / "every.polyak";
  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> w;
  w << 1, 2, 3, 4, 5, 6;
  Every every;
  save(path, named("w", w), named("every", every));
  CHECK(files::read(path) == expected);
  files::write(path, expected);
  Every read{.u8 = 0, .i64 = 0, .label = "", .average = {}, .counts = {}};
  w.setZero();
  load(path, named("w", w), named("every", read));
  CHECK(w(1, 0) == 4);
  CHECK(read.u8 == 1);
  CHECK(read.i64 == -4);
  CHECK(read.label == "ab");
  CHECK(read.average[1] == 2);
  CHECK(read.counts[0] == 7);
}

TEST_CASE("A checkpoint with a good checksum is refused where its contents are not", "[checkpoint]") {
  const std::string eight(8, 'x');
  CHECK(error_in(Crafted().end(0)) == "nothing");
  std::string foreign = Crafted().end(0);
  foreign[3] = 'x';
  CHECK(error_in(repaired(foreign)) == "test: file: must begin as a checkpoint of polyak, and does not");
  CHECK(has(error_in(Crafted().entry("a", 1, 1, 0, 5, 1).text(eight).end(1)), "\"a\" must fit into the "));
  CHECK(error_in(Crafted().entry("a", 1, 1, 0, 1, 1).text(eight).end(1)) == "nothing");
  CHECK(error_in(Crafted().entry("a", 1, 1, 0, 0, huge).end(1)) == "nothing");
  CHECK(error_in(Crafted().entry("a", 1, 1, 0, 1, 1).text(eight).end(2)) ==
        "test: file: must have as many entries as it says, 1, got 2 at byte 49");
  CHECK(has(error_in(Crafted().entry("a", 99, 1, 0, 1, 1).text(eight).end(1)),
            "a scalar type must be one of polyak's, got scalar type 99 at byte 19"));
  CHECK(
      has(error_in(Crafted().entry("a", 1, 0, 0, 1, 1).text(eight).end(1)), "a role must be 1 to 4, got 0 at byte 20"));
  CHECK(has(error_in(Crafted().entry("a", 1, 5, 0, 1, 1).text(eight).end(1)), "a role must be 1 to 4, got 5"));
  CHECK(has(error_in(Crafted().entry("a", 1, 1, 2, 1, 1).text(eight).end(1)),
            "a storage order must be 0 or 1, got 2 at byte 21"));
  CHECK(has(error_in(Crafted().entry("a\n", 1, 1, 0, 1, 1).text(eight).end(1)),
            "the name of an entry must be a name, and is not at byte 18"));
  CHECK(has(error_in(Crafted().entry(std::string(1001, 'a'), 1, 1, 0, 1, 1).text(eight).end(1)), "must be a name"));
  const std::string twice =
      Crafted().entry("a", 1, 1, 0, 1, 1).text(eight).entry("a", 1, 1, 0, 1, 1).text(eight).end(2);
  CHECK(has(error_in(twice), "names must differ, got a second \"a\""));
  CHECK(has(error_in(Crafted().entry("a", 1, 1, 0, 1, 1).text(eight).number(std::uint16_t{0}).text(eight).end(1)),
            "has 10 bytes after its entries at byte 49"));
  CHECK(has(error_in(Crafted().number(std::uint16_t{60000}).text("a").end(1)),
            "the name of an entry must have 60000 bytes, and there are "));
}

TEST_CASE("A text longer than the state that it is in is refused, with where it begins", "[checkpoint]") {
  Small small;
  const std::size_t label = small.bytes.find("run 1");
  REQUIRE(label < small.bytes.size());
  put(small.bytes, label - 8, huge);
  files::write(small.path, repaired(small.bytes));
  CHECK(support::error_of([&] { load(small.path, named("opt", small.opt)); }) ==
        "invalid_argument: polyak::load: " + small.path.string() +
            ": the state \"opt\" is that of another type, expected a text of " + std::to_string(huge) +
            " characters before byte " + std::to_string(label));
}

TEST_CASE("A checkpoint without entries is one, and has none to load", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "empty.polyak";
  files::write(path, Crafted().end(0));
  double x = 0;
  CHECK(support::error_of([&] { load(path, named("x", x)); }) ==
        "invalid_argument: polyak::load: " + path.string() + ": there is no entry \"x\"; the entries are none");
}

TEST_CASE("A wrong size and a wrong checksum are named with the right ones, and where they are", "[checkpoint]") {
  const std::string good = Crafted().end(0);
  std::string bytes = good;
  put(bytes, bytes.size() - 16, std::uint64_t{7});
  CHECK(error_in(bytes) ==
        "test: file: is truncated, extended or damaged: its end must give its size, 42 bytes, got 7 at byte 26");
  put(bytes, bytes.size() - 16, std::uint64_t{bytes.size()});
  put(bytes, bytes.size() - 8, std::uint64_t{0xAB});
  CHECK(has(error_in(bytes), "is damaged: the checksum must be 0x"));
  CHECK(has(error_in(bytes), ", got 0x00000000000000AB at byte 34"));
  // 16 digits, of one that begins with 0 too.
  for (std::uint64_t i = 0;; ++i) {
    REQUIRE(i < 1000);
    bytes = Crafted().entry("a", 1, 1, 0, 1, 1).number(i).end(1);
    const auto checksum = detail::decode_one<std::uint64_t>(as_bytes(bytes).subspan(bytes.size() - 8).data());
    if (checksum >> 60 != 0) continue;
    put(bytes, bytes.size() - 8, std::uint64_t{0});
    CHECK(has(error_in(bytes), "must be " + detail::hexadecimal(checksum, 16) + ", got"));
    CHECK(detail::hexadecimal(checksum, 16).size() == 18);
    break;
  }
}

TEST_CASE("Lengths that the file does not have claim no memory", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "crafted.polyak";
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> shapes{{huge, 1},
                                                                    {1, huge},
                                                                    {huge, huge},
                                                                    {huge, 4},
                                                                    {1000, 1},
                                                                    {~std::uint64_t{0}, 1},
                                                                    {~std::uint64_t{0}, ~std::uint64_t{0}}};
  for (const auto& [rows, cols] : shapes) {
    const std::string bytes = Crafted().entry("weights", 1, 1, 0, rows, cols).text(std::string(8, 'x')).end(1);
    CHECK(has(error_in(bytes), "\"weights\" must fit into the "));
    CHECK(has(error_in(bytes), " bytes that follow, got " + std::to_string(rows) + " x " + std::to_string(cols) +
                                   " of 8 bytes at byte 29"));
    files::write(path, bytes);
    VectorXd weights(1);
    std::size_t claimed = 0;
    (void)claimed;
#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
    claimed = allocation_counter::bytes_in(
        [&] { CHECK_THROWS_AS(load(path, named("weights", weights)), std::runtime_error); });
    CHECK(claimed < 16 * 1024);
#endif
  }
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("Reading takes the memory of the file and no multiple of it, saving none", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "large.polyak";
  VectorXd theta = VectorXd::Ones(1 << 17);
  const std::size_t bytes = (1 << 17) * sizeof(double);
  const auto saving = [&] { save(path, named("weights", theta)); };
  CHECK(allocation_counter::bytes_in(saving) < 100 * 1024);
  const auto loading = [&] { load(path, named("weights", theta)); };
  CHECK(allocation_counter::bytes_in(loading) < bytes + 16 * 1024);

  Crafted empty;
  for (int i = 0; i < 2000; ++i) empty.entry(std::to_string(i), 1, 1, 0, 0, 0);
  const std::string many = empty.end(2000);
  const auto reading = [&] { CHECK(error_in(many) == "nothing"); };
  CHECK(allocation_counter::bytes_in(reading) < 10 * many.size());
}
#endif

TEST_CASE("A state of which the numbers are cut or say too much does not reach the object", "[checkpoint]") {
  const files::Directory directory;
  const auto path = directory / "crafted.polyak";
  const Small small;
  const std::string& bytes = small.bytes;
  const std::size_t at = bytes.find(std::string("\3\0opt", 5)) + 5 + 4;  // rows of the state
  REQUIRE(at > 9);
  const auto length = detail::decode_one<std::uint64_t>(as_bytes(bytes).subspan(at).data());
  const std::string state = bytes.substr(at + 16, static_cast<std::size_t>(length));
  for (std::size_t n = 0; n < state.size(); ++n) {
    std::string cut = bytes.substr(0, at + 16) + state.substr(0, n) + bytes.substr(at + 16 + state.size());
    put(cut, at, std::uint64_t{n});
    files::write(path, repaired(cut));
    Tracker opt;
    REQUIRE_THROWS_AS(load(path, named("opt", opt)), std::invalid_argument);
    REQUIRE(opt == Tracker());
  }
}
