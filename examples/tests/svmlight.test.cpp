#include "common/svmlight.hpp"

#ifndef _WIN32
#include <sys/stat.h>
#endif

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "common/csv.hpp"
#include "common/input_file.hpp"
#include "common/line_reader.hpp"
#include "temporary_directory.hpp"

using namespace examples;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(POLYAK_EXAMPLES_FIXTURES_DIR) / name;
}

std::vector<SvmlightSample> read_all(SvmlightReader& reader) {
  std::vector<SvmlightSample> samples;
  for (SvmlightSample sample; reader.next(sample);) samples.push_back(sample);
  return samples;
}

std::vector<SvmlightSample> read_from(const std::string& text, IndexBase base = IndexBase::one) {
  std::istringstream stream(text);
  SvmlightReader reader(stream, "file", base);
  return read_all(reader);
}

SvmlightSummary summary_of(const std::string& text, std::optional<IndexBase> base = {}) {
  std::istringstream stream(text);
  return summarize_svmlight(stream, "file", 3, base);
}

/// A label of a sample has no index.
struct Number {
  std::size_t sample;
  std::string index;
  double value;

  friend bool operator==(const Number& a, const Number& b) {
    return std::tie(a.sample, a.index) == std::tie(b.sample, b.index) && a.value == b.value &&
           std::signbit(a.value) == std::signbit(b.value);
  }
};

std::vector<Number> numbers_in(const std::vector<SvmlightSample>& samples) {
  std::vector<Number> numbers;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    numbers.push_back({i, "", samples[i].label});
    for (std::size_t k = 0; k < samples[i].indices.size(); ++k) {
      numbers.push_back({i, std::to_string(samples[i].indices[k]), samples[i].values[k]});
    }
  }
  return numbers;
}

/// What scikit-learn read.
std::vector<Number> expected_numbers(const std::string& name) {
  std::ifstream stream(fixture(name));
  std::vector<Number> numbers;
  std::string line;
  std::getline(stream, line);
  while (std::getline(stream, line)) {
    const std::size_t first = line.find(','), second = line.find(',', first + 1);
    numbers.push_back({std::stoul(line), line.substr(first + 1, second - first - 1),
                       std::strtod(line.c_str() + second + 1, nullptr)});
  }
  return numbers;
}

}  // namespace

TEST_CASE("SVMlight files are read as scikit-learn reads them, to the bit") {
  using Row = std::tuple<std::string, std::string, IndexBase>;
  for (const auto& [file, csv, base] :
       {Row{"oddities.svm", "oddities.csv", IndexBase::one}, Row{"from_zero.svm", "from_zero.csv", IndexBase::zero},
        Row{"numbers.svm.gz", "numbers.csv", IndexBase::one}}) {
    INFO(file);
    const SvmlightSummary summary = summarize_svmlight(fixture(file), 10);
    CHECK(summary.base == base);
    SvmlightReader reader(fixture(file), summary.base);
    const auto numbers = numbers_in(read_all(reader));
    const auto expected = expected_numbers(csv);
    REQUIRE(expected.size() > 5);
    CHECK(numbers.size() == expected.size());
    CHECK(numbers == expected);
  }
}

TEST_CASE("what scikit-learn refuses of an SVMlight file is refused, and what it takes is taken") {
  const CsvTable accepted = read_csv(fixture("lines.csv"));
  LineReader lines(fixture("lines.svm"));
  std::string line;
  for (std::size_t i = 0; i < accepted.rows(); ++i) {
    REQUIRE(lines.next(line));
    INFO(line);
    if (accepted.at(i, 0) == 1) {
      CHECK_NOTHROW(read_from(line, IndexBase::zero));
    } else {
      CHECK_THROWS_AS(read_from(line, IndexBase::zero), std::runtime_error);
    }
  }
  CHECK_FALSE(lines.next(line));
}

TEST_CASE("a malformed SVMlight file is refused by line") {
  const auto refusal = [](const std::string& line, IndexBase base = IndexBase::one) {
    try {
      read_from("1 1:2\n# comment\n" + line + "\n1 1:2\n", base);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK(refusal("1,2 1:2") == "file:3: expected one label, found several: 1,2");
  CHECK(refusal("one 1:2") == "file:3: expected a finite number as the label, found one");
  CHECK(refusal("1:2 2:3") == "file:3: expected a finite number as the label, found 1:2");
  CHECK(refusal("nan 1:2") == "file:3: expected a finite number as the label, found nan");
  CHECK(refusal("1 1:inf") == "file:3: expected a finite number as the value of index 1, found inf");
  CHECK(refusal("1 1:1e400") == "file:3: expected a finite number as the value of index 1, found 1e400");
  CHECK(refusal("1 1:-1e400") == "file:3: expected a finite number as the value of index 1, found -1e400");
  CHECK(refusal("1 1:1e-400x") == "file:3: expected a finite number as the value of index 1, found 1e-400x");
  CHECK(refusal("1 7:") == "file:3: expected a finite number as the value of index 7, found nothing");
  CHECK(refusal("1 7:2x") == "file:3: expected a finite number as the value of index 7, found 2x");
  CHECK(refusal("1 7") == "file:3: expected index:value, found 7");
  CHECK(refusal("1 0:2") == "file:3: expected an index from 1 to 4294967295, found 0");
  CHECK(refusal("1 :2") == "file:3: expected an index from 1 to 4294967295, found nothing");
  CHECK(refusal("1 x:2", IndexBase::zero) == "file:3: expected an index from 0 to 4294967295, found x");
  CHECK(refusal("1 4294967296:2") == "file:3: expected an index from 1 to 4294967295, found 4294967296");
  CHECK(refusal("1 99999999999999999999:2") ==
        "file:3: expected an index from 1 to 4294967295, found 99999999999999999999");
  CHECK(refusal("1 5:1 3:1") == "file:3: expected an index above 5, found 3");
  CHECK(refusal("1 5:1 5:1", IndexBase::zero) == "file:3: expected an index above 5, found 5");
  CHECK(refusal("1 qid:x 1:1") == "file:3: expected qid:number, found qid:x");
  CHECK(refusal("1 1:1 qid:2") == "file:3: expected qid:number between the label and the features, found it elsewhere");
  CHECK(refusal("1 1:" + std::string(1000, '1') + "x") ==
        "file:3: expected a finite number as the value of index 1, found " + std::string(40, '1'));
}

TEST_CASE("numbers nearer to 0 than any double are 0") {
  const SvmlightSample sample = read_from("-1e-400 1:1e-400 2:-1e-999999 3:+0." + std::string(400, '0') + "1")[0];
  CHECK(sample.label == 0);
  CHECK(sample.values == std::vector<double>{0, 0, 0});
  CHECK(std::signbit(sample.label));
  CHECK(std::signbit(sample.values[1]));
  CHECK_FALSE(std::signbit(sample.values[0]));
}

TEST_CASE("bytes that are no text are shown as numbers") {
  CHECK_THROWS_WITH(read_from("\x01\xe2\x82\xac~\x7f 1:1"),
                    "file:1: expected a finite number as the label, found \\x01\\xe2\\x82\\xac~\\x7f");
  CHECK_THROWS_WITH(read_from(std::string("1 1:\0", 5)),
                    "file:1: expected a finite number as the value of index 1, found \\x00");
  CHECK_THROWS_WITH(read_from("1 \x1b[31m:2"), "file:1: expected an index from 1 to 4294967295, found \\x1b[31m");
}

TEST_CASE("what is packed otherwise, or encoded, is named") {
  const auto refuses = [](const std::string& start, const std::string& name) {
    const std::string message = "file: expected plain bytes or gzip, found " + name;
    CHECK_THROWS_WITH(read_from(start + " 1 1:2\n"), message);
    CHECK_THROWS_WITH(summary_of(start), message);
    CHECK(read_from("# " + start).empty());  // elsewhere it is text
  };
  refuses("BZh91AY&SY", "bzip2");
  refuses(
      "\xfd"
      "7zXZ",
      "xz");
  refuses("\x28\xb5\x2f\xfd", "Zstandard");
  refuses("PK\x03\x04", "a ZIP archive");
  refuses(
      "\xff\xfe"
      "1",
      "UTF-16");
  refuses("\xfe\xff", "UTF-16");
  refuses(
      "\xef\xbb\xbf"
      "1 1:2",
      "a byte order mark");
  for (const std::string part : {"B", "BZ", "\xfd", "PK\x03", "\xef\xbb"}) {
    CHECK_THROWS_WITH(read_from(part), Catch::Matchers::StartsWith("file:1: expected a finite number as the label"));
  }
}

TEST_CASE("an SVMlight file of nothing holds no samples") {
  for (const std::string nothing : {"", "\n", "\n\n", "# only\n", " \t\r\n#", "\r\n"}) {
    CHECK(read_from(nothing).empty());
    const SvmlightSummary summary = summary_of(nothing);
    CHECK(summary.samples == 0);
    CHECK(summary.features == 0);
    CHECK(summary.labels.empty());
  }
}

TEST_CASE("the highest index fits, from 0 and from 1 on") {
  CHECK(read_from("1 4294967295:1", IndexBase::one)[0].indices == std::vector<std::uint32_t>{4294967294u});
  CHECK(read_from("1 4294967295:1", IndexBase::zero)[0].indices == std::vector<std::uint32_t>{4294967295u});
  CHECK(summary_of("1 4294967295:1").features == 4294967295u);
  CHECK(summary_of("1 0:1 4294967295:1").features == 4294967296u);
}

TEST_CASE("a summary tells what only a whole SVMlight file does") {
  const SvmlightSummary from_one = summary_of("2 1:1 7:1\n-1\n# comment\n2 3:1\n0.5 2:1");
  CHECK(from_one.base == IndexBase::one);
  CHECK(from_one.samples == 4);
  CHECK(from_one.features == 7);
  CHECK(from_one.labels == std::vector<double>{-1, 0.5, 2});

  const SvmlightSummary from_zero = summary_of("1 1:1 7:1\n1 0:1\n");
  CHECK(from_zero.base == IndexBase::zero);
  CHECK(from_zero.features == 8);
  CHECK(from_zero.labels == std::vector<double>{1});

  const SvmlightSummary by_zero = summary_of("1 1:1 7:1\n", IndexBase::zero);
  CHECK(by_zero.base == IndexBase::zero);
  CHECK(by_zero.features == 8);
  const SvmlightSummary by_one = summary_of("1 1:1 7:1\n", IndexBase::one);
  CHECK(by_one.base == IndexBase::one);
  CHECK(by_one.features == 7);
  CHECK_THROWS_WITH(summary_of("1 1:1\n1 0:1\n", IndexBase::one),
                    "file:2: expected an index from 1 to 4294967295, found 0");

  CHECK(summary_of("1\n2\n").features == 0);
  CHECK_THROWS_WITH(summary_of("1\n2\n3\n3\n4\n"), "file:5: expected at most 3 different labels, found one more");
  CHECK_THROWS_WITH(summary_of("1\n1 2:x\n"), "file:2: expected a finite number as the value of index 2, found x");
}

TEST_CASE("lines are read across the buffer, with and without the last newline") {
  // The buffer holds 65536 bytes, so that one of these ends right at its end.
  for (const std::size_t length : {0u, 1u, 65534u, 65535u, 65536u, 65537u, 200000u}) {
    for (const std::string end : {"", "\n"}) {
      INFO(length << " characters");
      std::istringstream stream(std::string(length, 'x') + "\nlast" + end);
      LineReader lines(stream, "file");
      std::string line;
      REQUIRE(lines.next(line));
      CHECK(line == std::string(length, 'x'));
      REQUIRE(lines.next(line));
      CHECK(line == "last");
      CHECK(lines.line_number() == 2);
      CHECK_FALSE(lines.next(line));
      CHECK_FALSE(lines.next(line));
      CHECK(lines.line_number() == 2);
    }
  }
}

TEST_CASE("gzip of several members is read to the end, and one cut short is refused") {
  std::ifstream file(fixture("numbers.svm.gz"), std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(file), {}};
  CHECK(read_from(packed).size() == 80);
  CHECK(read_from(packed + packed).size() == 160);
  CHECK_THROWS_WITH(read_from(packed.substr(0, packed.size() - 1)),
                    "file: expected more gzip data, found the end of the file");
  CHECK_THROWS_WITH(read_from(packed + "x"), "file: expected the file to end with its gzip data, found more bytes");
  for (const std::size_t n : {1u, 10u, 512u, 65535u, 65536u, 200000u}) {
    const std::string zeros(n, '\0');
    CHECK(read_from(packed + zeros).size() == 80);
    CHECK(read_from(packed + zeros + packed).size() == 160);
    CHECK_THROWS_WITH(read_from(packed + zeros + "x"),
                      "file: expected the file to end with its gzip data, found more bytes");
  }
  CHECK_THROWS_AS(read_from(packed + packed.substr(0, 5)), std::runtime_error);
}

#ifndef _WIN32
TEST_CASE("what can be read only once is read") {
  const TemporaryDirectory directory;
  const auto fifo = directory.path() / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::ifstream file(fixture("numbers.svm.gz"), std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(file), {}};
  for (const std::string& content : {std::string("1 1:2\n1 1:3\n"), packed, std::string("1"), std::string()}) {
    std::thread writer([&] { std::ofstream(fifo, std::ios::binary) << content; });
    SvmlightReader reader(fifo, IndexBase::one);
    CHECK(read_all(reader).size() == read_from(content).size());
    writer.join();
  }
}

TEST_CASE("of a pipe there is a copy to read again") {
  const TemporaryDirectory directory;
  const auto fifo = directory.path() / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  for (const std::string content : {"1 1:1\n", ""}) {
    std::filesystem::path copy;
    {
      std::thread writer([&] { std::ofstream(fifo, std::ios::binary) << content; });
      const Rereadable again(fifo);
      writer.join();
      copy = again.path();
      for (int i = 0; i < 2; ++i) {
        std::ifstream stream = open_input(copy);
        CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == content);
      }
    }
    CHECK_FALSE(std::filesystem::exists(copy));
  }
  const auto file = directory.path() / "file";
  std::ofstream(file) << "1 1:1\n";
  { CHECK(Rereadable(file).path() == file); }
  CHECK(std::filesystem::exists(file));
  CHECK(Rereadable("").path().empty());
}
#endif

TEST_CASE("an SVMlight file larger than the memory it takes is read to the end") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "large.svm";
  {
    std::ofstream file(path);
    for (int i = 0; i < 50000; ++i) file << i % 2 << " 1:" << i << " 3:0.5\n";
  }
  SvmlightReader reader(path, IndexBase::one);
  SvmlightSample sample;
  reader.next(sample);
  const double* const place = sample.values.data();
  double sum = 0;
  int samples = 1;
  for (; reader.next(sample); ++samples) sum += sample.values[0];
  CHECK(samples == 50000);
  CHECK(sum == 50000.0 * 49999 / 2);
  CHECK(sample.values.data() == place);  // one sample's memory is all there was
  CHECK_THROWS_WITH(SvmlightReader(directory.path() / "none.svm", IndexBase::one),
                    Catch::Matchers::EndsWith("none.svm: no such file"));
}
