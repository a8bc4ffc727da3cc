#include "common/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <new>
#include <sstream>
#include <string>

#include "catch.hpp"
#include "common/data_sets.hpp"
#include "temporary_directory.hpp"

using namespace examples;

namespace {
std::size_t largest_allocation = 0;
}

// Replaced for the whole program, to see what the readers ask for.
void* operator new(std::size_t size) {
  largest_allocation = std::max(largest_allocation, size);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text.push_back(static_cast<char>(value));
  return text;
}

std::string number(std::uint32_t value) {
  std::string text;
  for (const int shift : {24, 16, 8, 0}) text.push_back(static_cast<char>(value >> shift & 0xff));
  return text;
}

std::string images_header(std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  return number(0x803) + number(count) + number(rows) + number(columns);
}

std::string labels_header(std::uint32_t count) { return number(0x801) + number(count); }

std::string gzip(const std::string& plain) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&z, plain.size()) + 32, '\0');
  std::string source = plain;
  z.next_in = reinterpret_cast<Bytef*>(source.data());
  z.avail_in = static_cast<uInt>(source.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

IdxImages images_from(const std::string& file) {
  std::istringstream stream(file);
  return read_idx_images(stream, "images");
}

std::vector<std::uint8_t> labels_from(const std::string& file) {
  std::istringstream stream(file);
  return read_idx_labels(stream, "labels", 10);
}

const std::string two_images = images_header(2, 1, 3) + bytes({0, 1, 2, 253, 254, 255});
const std::string two_labels = labels_header(2) + bytes({0, 9});

void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

}  // namespace

TEST_CASE("IDX files are read plain and as gzip") {
  for (const std::string& file : {two_images, gzip(two_images)}) {
    const IdxImages images = images_from(file);
    CHECK(images.count == 2);
    CHECK(images.rows == 1);
    CHECK(images.columns == 3);
    CHECK(images.pixels == std::vector<std::uint8_t>{0, 1, 2, 253, 254, 255});
  }
  for (const std::string& file : {two_labels, gzip(two_labels)}) {
    CHECK(labels_from(file) == std::vector<std::uint8_t>{0, 9});
  }
}

TEST_CASE("an IDX file larger than one portion is read whole") {
  std::string pixels(300 * 28 * 28, '\0');
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<char>(i * 31 % 251);
  const IdxImages images = images_from(gzip(images_header(300, 28, 28) + pixels));
  REQUIRE(images.pixels.size() == pixels.size());
  CHECK(std::equal(pixels.begin(), pixels.end(), images.pixels.begin(),
                   [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
}

TEST_CASE("an IDX file cut anywhere is refused") {
  for (const std::string& whole : {two_images, gzip(two_images)}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      INFO("cut after " << length << " of " << whole.size() << " bytes");
      CHECK_THROWS_AS(images_from(whole.substr(0, length)), std::runtime_error);
    }
  }
  CHECK_THROWS_WITH(images_from(""), "images: expected the IDX magic number in 4 bytes, found the end after 0");
  CHECK_THROWS_WITH(images_from(two_images.substr(0, 10)),
                    "images: expected the number of rows in 4 bytes, found the end after 2");
  CHECK_THROWS_WITH(images_from(two_images.substr(0, 20)), "images: expected 6 bytes after the header, found only 4");
  const std::string packed = gzip(two_images);
  CHECK_THROWS_WITH(images_from(packed.substr(0, packed.size() - 1)),
                    "images: expected more gzip data, found the end of the file");
}

TEST_CASE("an IDX file that goes on after its end is refused") {
  CHECK_THROWS_WITH(images_from(two_images + "x"), "images: expected 6 bytes after the header, found more");
  CHECK_THROWS_WITH(images_from(gzip(two_images + "x")), "images: expected 6 bytes after the header, found more");
  CHECK_THROWS_WITH(images_from(gzip(two_images) + "x"),
                    "images: expected the file to end with its gzip data, found more bytes");
}

TEST_CASE("an IDX file with a header that makes no sense is refused") {
  CHECK_THROWS_WITH(images_from(two_labels),
                    "images: expected the IDX magic number 0x00000803 (a file of images), "
                    "found 0x00000801 (a file of labels)");
  CHECK_THROWS_WITH(labels_from(two_images),
                    "labels: expected the IDX magic number 0x00000801 (a file of labels), "
                    "found 0x00000803 (a file of images)");
  CHECK_THROWS_WITH(labels_from("label,pixel"), Catch::Matchers::EndsWith("found 0x6c616265"));
  CHECK_THROWS_WITH(images_from(images_header(0, 28, 28)),
                    "images: expected the number of images to be from 1 to 1073741824, found 0");
  CHECK_THROWS_WITH(images_from(images_header(2, 0, 28)),
                    "images: expected the number of rows to be from 1 to 536870912, found 0");
  CHECK_THROWS_WITH(images_from(images_header(2, 28, 0)),
                    "images: expected the number of columns to be from 1 to 19173961, found 0");
}

TEST_CASE("what an IDX header claims costs no memory") {
  const std::uint32_t most = 0xffffffff;
  CHECK_THROWS_WITH(images_from(images_header(most, most, most)), Catch::Matchers::EndsWith("found 4294967295"));
  CHECK_THROWS_WITH(images_from(images_header(60000, most, 28)), Catch::Matchers::EndsWith("found 4294967295"));

  // Within the bounds, but with little behind it.
  largest_allocation = 0;
  CHECK_THROWS_WITH(images_from(images_header(1 << 14, 1 << 7, 1 << 7)),
                    "images: expected 268435456 bytes after the header, found only 0");
  CHECK_THROWS_WITH(images_from(gzip(images_header(1 << 14, 1 << 7, 1 << 7) + std::string(100'000, 'x'))),
                    "images: expected 268435456 bytes after the header, found only 100000");
  CHECK(largest_allocation >= 100'000);
  CHECK(largest_allocation < 1'000'000);
}

TEST_CASE("gzip that is padded with zeros is read, and other packings are named") {
  CHECK(images_from(gzip(two_images) + std::string(1000, '\0')).pixels.size() == 6);
  CHECK_THROWS_WITH(images_from("BZh91AY"), "images: expected plain bytes or gzip, found bzip2");
  CHECK_THROWS_WITH(labels_from("PK\x03\x04"), "labels: expected plain bytes or gzip, found a ZIP archive");
  CHECK_THROWS_WITH(images_from(gzip("\xfd"
                                     "7zXZ")),
                    "images: expected plain bytes or gzip, found xz");
}

TEST_CASE("damaged gzip is refused") {
  const std::string whole = gzip(two_images);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (i >= 3 && i < 10) continue;  // flags, time and system in the header carry no data
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    INFO("byte " << i << " of " << whole.size());
    CHECK_THROWS_AS(images_from(damaged), std::runtime_error);
  }
}

TEST_CASE("IDX labels outside the classes are refused") {
  CHECK_THROWS_WITH(labels_from(labels_header(3) + bytes({0, 10, 1})),
                    "labels: expected labels from 0 to 9, found 10 as label number 1");
}

TEST_CASE("a directory of IDX files is loaded and checked") {
  const TemporaryDirectory directory;
  const auto file = [&](const std::string& name) { return directory.path() / name; };
  write(file("train-images-idx3-ubyte.gz"), gzip(two_images));
  write(file("train-labels-idx1-ubyte"), two_labels);
  write(file("t10k-images-idx3-ubyte"), images_header(1, 1, 3) + bytes({51, 0, 255}));
  write(file("t10k-labels-idx1-ubyte.gz"), gzip(labels_header(1) + bytes({4})));

  const TrainTest data = load_idx_directory(directory.path());
  CHECK(data.train.samples() == 2);
  CHECK(data.test.labels == std::vector<int>{4});
  CHECK(data.test.inputs.col(0) == Eigen::Vector4f(0.2f, 0, 1, 1));

  SECTION("images and labels must be as many") {
    write(file("train-labels-idx1-ubyte"), labels_header(3) + bytes({0, 9, 1}));
    CHECK_THROWS_WITH(
        load_idx_directory(directory.path()),
        Catch::Matchers::EndsWith("expected 2 labels, one for each image in train-images-idx3-ubyte.gz, found 3"));
  }
  SECTION("test images must have the size of the training images") {
    write(file("t10k-images-idx3-ubyte"), images_header(1, 2, 2) + bytes({1, 2, 3, 4}));
    CHECK_THROWS_WITH(load_idx_directory(directory.path()),
                      Catch::Matchers::EndsWith("expected test images of 3 pixels, as in training, found 4"));
  }
  SECTION("names with a dot, of EMNIST, and a plain file beside its .gz, are known") {
    std::filesystem::rename(file("train-images-idx3-ubyte.gz"), file("train-images.idx3-ubyte.gz"));
    std::filesystem::rename(file("train-labels-idx1-ubyte"), file("emnist-digits-train-labels-idx1-ubyte"));
    std::filesystem::rename(file("t10k-images-idx3-ubyte"), file("emnist-digits-test-images-idx3-ubyte"));
    write(file("t10k-labels-idx1-ubyte"), labels_header(1) + bytes({5}));
    write(file("._train-images-idx3-ubyte"), "no image");
    const TrainTest same = load_idx_directory(directory.path());
    CHECK(same.train.samples() == 2);
    CHECK(same.test.labels == std::vector<int>{5});
  }
  SECTION("two files that may be meant are refused") {
    write(file("emnist-letters-train-labels-idx1-ubyte"), two_labels);
    CHECK_THROWS_WITH(load_idx_directory(directory.path()),
                      Catch::Matchers::EndsWith("expected one file train-labels-idx1-ubyte, found "
                                                "emnist-letters-train-labels-idx1-ubyte and train-labels-idx1-ubyte"));
  }
  SECTION("a missing file is named") {
    std::filesystem::remove(file("t10k-labels-idx1-ubyte.gz"));
    CHECK_THROWS_WITH(load_idx_directory(directory.path()),
                      Catch::Matchers::EndsWith("t10k-labels-idx1-ubyte.gz: no such file"));
  }
  SECTION("a directory in place of a file is refused") {
    std::filesystem::remove(file("t10k-images-idx3-ubyte"));
    std::filesystem::create_directory(file("t10k-images-idx3-ubyte"));
    CHECK_THROWS_WITH(load_idx_directory(directory.path()),
                      Catch::Matchers::EndsWith("expected a file, found a directory"));
  }
}

TEST_CASE("a missing directory is named") {
  CHECK_THROWS_WITH(load_data("no/such/place"), "no/such/place: no such directory");
}
