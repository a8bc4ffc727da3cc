#include <polyak/averagers/ema.hpp>
#include <polyak/io/checkpoint.hpp>
#include <polyak/parameters.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "holders.hpp"
#include "io/files.hpp"
#include "io/numpy_values.hpp"
#include "support.hpp"

// The safetensors format as its authors publish it, rule by rule, against files that tests/fixtures/numpy_fixtures.py
// put together by it.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using Eigen::VectorXf;
using numpy::values;
using support::error_of;
using support::has;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(POLYAK_FIXTURE_DIR) / "arrays" / (name + ".safetensors");
}

template <class T>
using Matrix = holders::Matrix<T>;
template <class T>
using RowMajor = holders::RowMajorMatrix<T>;

/// A file whose header has its length before it, and so many bytes of scalars behind.
std::string with_header(const std::string& header, std::size_t bytes) {
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>((std::uint64_t{header.size()} >> (8 * i)) & 255);
  return length + header + std::string(bytes, 'x');
}

/// A tensor in a header.
std::string tensor(const std::string& name, const std::string& shape, int begin, int end,
                   const std::string& type = "F32", const std::string& more = "") {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]" + more + "}";
}

/// A file in a directory of its own, and what is said of it.
struct File {
  files::Directory directory;
  std::filesystem::path path = directory / "tensors.safetensors";

  [[nodiscard]] std::string without_path(std::string error) const {
    const std::string name = path.string() + ": ";
    if (const std::size_t at = error.find(name); at != std::string::npos) error.erase(at, name.size());
    return error;
  }
  /// "nothing", or the rule that the file breaks.
  [[nodiscard]] std::string error_in(const std::string& bytes) const {
    files::write(path, bytes);
    return error_of_file();
  }
  [[nodiscard]] std::string error_of_file() const {
    std::string error = files::runtime_error_of([&] { static_cast<void>(entries(path)); });
    if (error == "nothing") return error;
    error = without_path(error);
    return error.starts_with("polyak::entries: ") ? error.substr(17) : "unnamed: " + error;
  }
  [[nodiscard]] std::string error_in(const std::string& header, std::size_t bytes) const {
    return error_in(with_header(header, bytes));
  }
  [[nodiscard]] std::string error_in_tensor(const std::string& shape, int begin, int end,
                                            const std::string& type = "F32", const std::string& more = "") const {
    return error_in("{" + tensor("a", shape, begin, end, type, more) + "}", static_cast<std::size_t>(end));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("Tensors are read from a file of the published layout, into either storage order", "[safetensors]",
                   MatrixXd, RowMajor<double>) {
  for (const auto* const name : {"tensors", "polyak"}) {
    INFO(name);
    const auto path = fixture(name);
    TestType w = TestType::Zero(3, 4);
    VectorXd b = VectorXd::Zero(5);
    load(path, named("layers", ParameterSet{w, b}));
    CHECK(w == values<TestType>(3, 4));
    CHECK(b == values<VectorXd>(5, 1));
    Eigen::RowVectorXd row = Eigen::RowVectorXd::Zero(5);
    load(path, named("layers.1", row));
    CHECK(row == values<VectorXd>(5, 1).transpose());
    RowMajor<float> single(2, 3);
    Matrix<Eigen::half> half(2, 3);
    Matrix<Eigen::bfloat16> brain(2, 3);
    std::string made_by;
    load(path, named("half", half), named("brain", brain), named("single", single), named("made by", made_by));
    CHECK(single == values<RowMajor<float>>(2, 3));
    CHECK(half == values<Matrix<Eigen::half>>(2, 3));
    CHECK(brain == values<Matrix<Eigen::bfloat16>>(2, 3));
    CHECK(made_by == "numpy_fixtures.py");
  }
}

TEMPLATE_TEST_CASE("Tensors are written byte for byte in the published layout, from either storage order",
                   "[safetensors]", MatrixXd, RowMajor<double>) {
  const File file;
  const TestType w = values<TestType>(3, 4);
  const VectorXd b = values<VectorXd>(5, 1);
  const MatrixXf single = values<MatrixXf>(2, 3);
  const auto half = values<Matrix<Eigen::half>>(2, 3);
  const auto brain = values<RowMajor<Eigen::bfloat16>>(2, 3);
  save(file.path, named("made by", "numpy_fixtures.py"), named("half", half), named("single", single),
       named("layers", ParameterSet{w, b}), named("brain", brain));
  CHECK(files::read(file.path) == files::read(fixture("polyak")));
  CHECK(file.directory.count() == 1);
}

TEST_CASE("A tensor of no dimensions is one number, one of more than two is flat, an unknown dtype lies beside",
          "[safetensors]") {
  VectorXf one = VectorXf::Ones(1);
  load(fixture("no_dimensions"), named("w", one));
  CHECK(one[0] == 0);
  const VectorXf numbers = VectorXf::LinSpaced(4, 0, 3);
  for (const auto* const name : {"four_dimensions", "unknown_dtype"}) {
    VectorXf four = VectorXf::Constant(4, -1);
    load(fixture(name), named("w", four));
    CHECK(four == numbers);
  }
  VectorXf scale = VectorXf::Ones(3);
  CHECK(has(error_of([&] { load(fixture("unknown_dtype"), named("scale", scale)); }),
            "\"scale\" (F8_E8M0, (3,)) must be F32, 3 x 1, as what it is loaded into"));
  CHECK(scale == VectorXf::Ones(3));
  const File file;
  const auto error = [&](const std::string& shape, Eigen::Index rows, Eigen::Index cols) {
    MatrixXf into = MatrixXf::Ones(rows, cols);
    const int bytes = static_cast<int>(into.size()) * 4;
    files::write(file.path, with_header("{" + tensor("a", shape, 0, bytes) + "}", static_cast<std::size_t>(bytes)));
    return error_of([&] { load(file.path, named("a", into)); });
  };
  CHECK(error("[]", 1, 1) + error("[1,1,1]", 1, 1) + error("[1,4]", 4, 1) + error("[4,1]", 1, 4) ==
        "nothingnothingnothingnothing");
  CHECK(error("[2,1,2]", 1, 4) + error("[2,0,3]", 0, 1) + error("[2,3]", 2, 3) == "nothingnothingnothing");
  CHECK(has(error("[2,2]", 4, 1), "\"a\" (F32, (2, 2)) must be F32, 4 x 1"));
  CHECK(has(error("[3,2]", 2, 3), "\"a\" (F32, (3, 2)) must be F32, 2 x 3"));
  CHECK(has(error("[2,3,1]", 2, 3), "\"a\" (F32, (2, 3, 1)) must be F32, 2 x 3"));
}

TEST_CASE("The average of a set is written block by block", "[safetensors]") {
  const File file;
  MatrixXd w = values<MatrixXd>(2, 3);
  RowMajor<double> v = values<RowMajor<double>>(300, 400);  // larger than what is turned over at a time
  Ema ema;
  ema.update(ParameterSet{w, v});
  save(file.path, named("layers", ParameterSet{w, v}.like(ema.average().data())));
  MatrixXd w_read(2, 3), v_read(300, 400);
  load(file.path, named("layers.0", w_read), named("layers.1", v_read));
  CHECK(w_read == w);
  CHECK(v_read == v);
  save(file.path, named("turned", v_read));
  v.setZero();
  load(file.path, named("turned", v));
  CHECK(v == v_read);
}

TEST_CASE("What is in a file is told from its header alone", "[safetensors]") {
  const auto told = [](const std::filesystem::path& path) {
    std::string all;
    for (const EntryInfo& entry : entries(path)) {
      all += entry.name + ": " + entry.dtype + ' ' + detail::to_text(entry.shape) + ' ' + entry.text + '\n';
    }
    return all;
  };
  const std::string tensors =
      "brain: BF16 (2, 3) \nhalf: F16 (2, 3) \nlayers.0: F64 (3, 4) \nlayers.1: F64 (5,) \nsingle: F32 (2, 3) \n"
      "made by: text () numpy_fixtures.py\n";
  CHECK(told(fixture("tensors")) == tensors);
  CHECK(told(fixture("polyak")).starts_with(tensors + "polyak.checksum: text () "));
  CHECK(told(fixture("polyak")).ends_with("\npolyak.version: text () 1\n"));
  CHECK(told(fixture("unknown_dtype")) == "scale: F8_E8M0 (3,) \nw: F32 (4,) \n");
  CHECK(told(fixture("no_dimensions")) == "w: F32 () \n");
  if constexpr (std::numeric_limits<long double>::digits == 64) {
    const File file;
    save(file.path, named("wide", values<RowMajor<long double>>(2, 3)));
    CHECK(has(told(file.path), "wide: U8 (2, 3, 16) \n"));
    CHECK(has(told(file.path), "wide.scalar: text () float80 in 16 bytes\n"));
    Matrix<long double> read = Matrix<long double>::Zero(2, 3);
    load(file.path, named("wide", read));
    CHECK(read == values<Matrix<long double>>(2, 3));
  }
}

TEST_CASE("Tensors that do not fit are refused by name, and none is loaded", "[safetensors]") {
  const auto path = fixture("tensors");
  const auto refused = [&](const std::string& name, auto into) {
    VectorXd good = VectorXd::Zero(5);
    const std::string error = error_of([&] { load(path, named("layers.1", good), named(name, into)); });
    CHECK(good == VectorXd::Zero(5));
    const std::string who = "invalid_argument: polyak::load: " + path.string() + ": ";
    CHECK(error.starts_with(who));
    return error.substr(std::min(error.size(), who.size()));
  };
  CHECK(refused("layers.0", MatrixXd(4, 3)) ==
        "\"layers.0\" (F64, (3, 4)) must be F64, 4 x 3, as what it is loaded into");
  CHECK(has(refused("layers.0", MatrixXf(3, 4)), "must be F32, 3 x 4"));
  CHECK(has(refused("layers.0", VectorXd(12)), "must be F64, 12 x 1"));
  CHECK(has(refused("half", Matrix<Eigen::bfloat16>(2, 3)), "\"half\" (F16, (2, 3)) must be BF16, 2 x 3"));
  CHECK(refused("weights", VectorXd(5)) ==
        "there is no tensor \"weights\"; there are \"brain\" (BF16, (2, 3)), \"half\" (F16, (2, 3)), \"layers.0\" "
        "(F64, (3, 4)), \"layers.1\" (F64, (5,)), \"single\" (F32, (2, 3))");
}

TEST_CASE("Of many tensors forty are named", "[safetensors]") {
  const File file;
  VectorXd x(1);
  const auto missing = [&](std::size_t n) {
    save(file.path, named("w", std::vector<VectorXd>(n, VectorXd::Ones(1))));
    return error_of([&] { load(file.path, named("missing", x)); });
  };
  CHECK(missing(39).ends_with("\"w.9\" (F64, (1,))"));
  CHECK(missing(40).ends_with("\"w.9\" (F64, (1,))"));
  const std::string of_many = missing(42);
  CHECK(of_many.ends_with("\"w.7\" (F64, (1,)) and more"));  // in the order of their names
  CHECK(!has(of_many, "\"w.8\""));
  CHECK(missing(41).ends_with("\"w.8\" (F64, (1,)) and more"));
  files::write(file.path, with_header("{}", 0));
  CHECK(error_of([&] {
          load(file.path, named("missing", x));
        }).ends_with("there is no tensor \"missing\"; there are no tensors"));
}

TEST_CASE("The header is filled up so that the scalars are aligned, and no further", "[safetensors]") {
  const File file;
  std::string wrong;
  for (std::size_t n = 1; n <= 16; ++n) {
    save(file.path, named(std::string(n, 'n'), VectorXd(VectorXd::Ones(1))));
    const std::string bytes = files::read(file.path);
    const std::size_t header = bytes.size() - 16, end = bytes.find("}}") + 2;
    if (header % 8 != 0 || end < header + 8 - 7 || end > header + 8) wrong += std::to_string(n) + ' ';
  }
  CHECK(wrong == "");
}

TEST_CASE("Names must differ and be UTF-8", "[safetensors]") {
  const File file;
  const VectorXd theta = VectorXd::Ones(2);
  const auto error = [&](const auto&... items) {
    return file.without_path(error_of([&] { save(file.path, items...); }));
  };
  CHECK(error(named("a", theta), named("a", theta)) ==
        "invalid_argument: polyak::save: two things must not be named \"a\"");
  CHECK(has(error(named("a", theta), named("a", "text")), "two things must not be named \"a\""));
  std::string errors;
  for (const auto& name : {std::string(), std::string("__metadata__"), std::string("polyak.version"),
                           std::string("polyak.x"), std::string("a\nb"), std::string(1001, 'a')}) {
    const std::string right =
        "invalid_argument: polyak::save: a name must have 1 to 1000 characters, none a control one, and not begin with "
        "\"polyak.\", got \"" +
        name + "\"";
    if (const std::string got = error(named(name, theta)); got != right) errors += got + '\n';
  }
  CHECK(errors == "");
  CHECK(has(error(named("\xFF", theta)), "a name or a text cannot be written: "));
  CHECK(has(error(named("text", "\xFF")), "a name or a text cannot be written: "));
  CHECK(has(error(named("note", std::string(100'000'000, 'a')), named("a", theta)),
            "its header must have at most 100000000 bytes, got 100000"));
  CHECK(file.directory.count() == 0);
  VectorXd read(2);
  for (const auto& name : {std::string("weights \"ü\" \\"), std::string(1000, 'a'), std::string("polyak"),
                           std::string("\"polyak.checksum\":\"0000000000000000\"")}) {
    read.setZero();
    save(file.path, named(name, theta));
    load(file.path, named(name, read));
    CHECK(read == theta);
  }
}

TEST_CASE("The length of the header and the end of the file are checked", "[safetensors]") {
  const File file;
  const std::string one = "{" + tensor("a", "[2]", 0, 8) + "}", good = with_header(one, 8);
  CHECK(file.error_in(good) == "nothing");
  std::string wrong;
  for (std::size_t n = 0; n < good.size(); ++n) {
    const std::string error = file.error_in(good.substr(0, n)), got = std::to_string(n - 8);
    const std::string right = n < 8 ? "must have 8 bytes and more, got " + std::to_string(n)
                              : n < 8 + one.size()
                                  ? "must have a header of at most " + got + " bytes, got " + std::to_string(one.size())
                                  : "tensor \"a\" must have data_offsets within the " +
                                        std::to_string(n - 8 - one.size()) + " bytes there are, got 0 to 8";
    if (error != right) wrong += error + '\n';
  }
  CHECK(wrong == "");
  CHECK(file.error_in(good + "x") == "must end with its last tensor, after 8 bytes of scalars, got 9");
  CHECK(file.error_in("{}", 1) == "must end with its last tensor, after 0 bytes of scalars, got 1");
  CHECK(file.error_in(std::string(16, '\x7F')) == "must have a header of at most 8 bytes, got 9187201950435737471");
  for (const int more : {0, 1}) {
    const std::uint64_t length = 100'000'000 + static_cast<unsigned>(more);
    std::string bytes(8, '\0');
    detail::encode_one(length, reinterpret_cast<std::byte*>(bytes.data()));
    files::write(file.path, bytes);
    std::filesystem::resize_file(file.path, 8 + length);
    CHECK(file.error_of_file() == (more == 0 ? "its header must begin with {, and does not"
                                             : "must have a header of at most 100000000 bytes, got 100000001"));
  }
}

TEST_CASE("The header is an object of JSON that begins at once and may have spaces behind", "[safetensors]") {
  const File file;
  const std::string one = "{" + tensor("a", "[2]", 0, 8) + "}";
  std::string errors;
  for (const auto& header : {one, one + "   ",
                             std::string("{ \"a\" : {\"shape\":[ 2,1],\t\"data_offsets\":[0,8 ],\n"
                                         "\"dtype\":\"F32\" } } \n"),
                             std::string("{\"\\u0061\\n\\ud83d\\ude00\":{\"\\u0064type\":\"F32\",\"shape\":[2],"
                                         "\"data_offsets\":[0,8]}}")}) {
    errors += file.error_in(header, 8) + ' ';
  }
  CHECK(errors == "nothing nothing nothing nothing ");
  CHECK(file.error_in("{}", 0) == "nothing");
  const std::string begin = "its header must begin with {, and does not";
  for (const auto& header :
       {std::string(), std::string(" {}"), std::string("[]"), "\xEF\xBB\xBF" + one, std::string("null")}) {
    CHECK(file.error_in(header, 8) == begin);
  }
  const std::string zero = "its header must be JSON, and has a zero byte";
  CHECK(file.error_in(one + '\0', 8) == zero);
  CHECK(file.error_in(std::string("{\"\0\":1}", 7), 0) == zero);
  CHECK(file.error_in("{}" + std::string(6, '\0'), 0) == zero);
  for (const auto* const header : {"{\"a\":}", "{} {}", "{}x", "{\"\xFF\":1}", "{\"\xC0\x80\":1}", "{\"\\ud800\":1}",
                                   "{", "{\"a\":NaN}", "{,}", "{\"a\":1,}", "{'a':1}", "{\"a\n\":1}"}) {
    INFO(header);
    CHECK(has(file.error_in(header, 0), "its header must be JSON: "));
  }
}

TEST_CASE("Names occur once", "[safetensors]") {
  const File file;
  const auto twice = [](const std::string& name) {
    return "its header must have each name once, got a second \"" + name + "\"";
  };
  CHECK(file.error_in("{" + tensor("a", "[1]", 0, 4) + "," + tensor("a", "[1]", 4, 8) + "}", 8) == twice("a"));
  CHECK(file.error_in("{" + tensor("a", "[1]", 0, 4) + "," + tensor("\\u0061", "[1]", 0, 4) + "}", 4) == twice("a"));
  CHECK(file.error_in("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0) == twice("dtype"));
  CHECK(file.error_in("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0) == twice("a"));
  CHECK(file.error_in("{\"__metadata__\":{},\"__metadata__\":{}}", 0) == twice("__metadata__"));
  CHECK(file.error_in_tensor("[1]", 0, 4, "F32", ",\"x\":[{\"b\":1},{\"b\":1,\"c\":{\"b\":1}}]") == "nothing");
  CHECK(file.error_in_tensor("[1]", 0, 4, "F32", ",\"x\":{\"b\":1,\"c\":{\"b\":1},\"b\":1}") == twice("b"));
}

TEST_CASE("The texts of __metadata__ are texts", "[safetensors]") {
  const File file;
  CHECK(file.error_in("{\"__metadata__\":{\"a\":\"b\"}}", 0) == "nothing");
  CHECK(file.error_in("{\"__metadata__\":{}}", 0) == "nothing");
  for (const auto* const value : {"[]", "\"a\"", "1", "{\"a\":1}", "{\"a\":\"\",\"b\":null}", "{\"a\":[\"b\"]}"}) {
    INFO(value);
    CHECK(file.error_in(std::string("{\"__metadata__\":") + value + "}", 0) ==
          "its __metadata__ must be an object of texts, and is not");
  }
}

TEST_CASE("A tensor has a dtype, a shape and two offsets, and what else it has is ignored", "[safetensors]") {
  const File file;
  CHECK(file.error_in_tensor("[1]", 0, 4, "F32", ",\"strides\":[4],\"note\":{\"b\":[[[null]]]},\"c\":1.5") ==
        "nothing");
  const std::string what = "tensor \"a\" must have a dtype, a shape and two data_offsets";
  for (const auto* const value :
       {"1", "null", "[]", "{}", "{\"dtype\":\"F32\",\"shape\":[1]}", "{\"dtype\":\"F32\",\"data_offsets\":[0,4]}",
        "{\"shape\":[1],\"data_offsets\":[0,4]}", "{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}",
        "{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}"}) {
    INFO(value);
    CHECK(file.error_in(std::string("{\"a\":") + value + "}", 4) == what);
  }
  for (const auto* const x : {"-1", "1.5", "\"1\"", "null", "[1]", "1.0", "-0", "18446744073709551616"}) {
    const std::string shape = std::string("[") + x + "]", wrong = "tensor \"a\" must have whole numbers, got ";
    INFO(x);
    CHECK(file.error_in_tensor(shape, 0, 4).starts_with(wrong));
    CHECK(file.error_in("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0," + std::string(x) + "]}}", 4)
              .starts_with(wrong));
  }
  CHECK(file.error_in_tensor("[-1]", 0, 4) == "tensor \"a\" must have whole numbers, got -1");
}

TEST_CASE("A tensor has as many bytes as its shape and dtype say", "[safetensors]") {
  const File file;
  CHECK(file.error_in_tensor("[2]", 0, 4) == "tensor \"a\" must have 8 bytes by its shape and dtype, got 4");
  CHECK(file.error_in_tensor("[0,9]", 0, 4) == "tensor \"a\" must have 0 bytes by its shape and dtype, got 4");
  CHECK(file.error_in_tensor("[]", 0, 8) == "tensor \"a\" must have 4 bytes by its shape and dtype, got 8");
  // Numbers are multiplied from the first dimension on.
  for (const auto* const shape : {"[0]", "[0,3]", "[3,0]", "[0,4294967296,4294967296]", "[0,18446744073709551615,9]",
                                  "[18446744073709551615,0]", "[1,18446744073709551615,0,7]"}) {
    INFO(shape);
    CHECK(file.error_in_tensor(shape, 0, 0, "F64") == "nothing");
  }
  for (const auto* const shape :
       {"[4294967296,4294967296]", "[4294967296,4294967296,0]", "[2305843009213693952]", "[18446744073709551615,2]"}) {
    INFO(shape);
    CHECK(file.error_in_tensor(shape, 0, 0, "F64") == "tensor \"a\" must have a shape of fewer numbers");
  }
  const std::vector<std::pair<std::string, int>> types{
      // and the bytes of twelve
      {"F64", 96},     {"F32", 48},     {"F16", 24},     {"BF16", 24},   {"I64", 96},    {"I32", 48},  {"I16", 24},
      {"I8", 12},      {"U64", 96},     {"U32", 48},     {"U16", 24},    {"U8", 12},     {"BOOL", 12}, {"C64", 96},
      {"F8_E5M2", 12}, {"F8_E4M3", 12}, {"F8_E8M0", 12}, {"F6_E2M3", 9}, {"F6_E3M2", 9}, {"F4", 6}};
  std::string wrong;
  for (const auto& [type, bytes] : types) {
    const auto with = [&, t = type, n = bytes](const std::string& shape) {
      return file.error_in("{" + tensor("a", shape, 0, n, t) + "," + tensor("b", "[1]", n, n + 4) + "}",
                           static_cast<std::size_t>(n) + 4);
    };
    const std::string right = "tensor \"a\" must have " + std::to_string(2 * bytes) +
                              " bytes by its shape and dtype, got " + std::to_string(bytes);
    if (with("[3,4]") != "nothing" || with("[24]") != right) wrong += type + ' ';
  }
  CHECK(wrong == "");
  CHECK(has(file.error_in_tensor("[3]", 0, 1, "F4"), "tensor \"a\" must have whole bytes by its shape and dtype"));
  CHECK(has(file.error_in_tensor("[2]", 0, 2, "F6_E2M3"), "tensor \"a\" must have whole bytes"));
  // Of a dtype that is not known nothing can be said.
  for (const auto* const type : {"F33", "", "f32", "I128"}) CHECK(file.error_in_tensor("[7]", 0, 3, type) == "nothing");
}

TEST_CASE("Tensors lie one behind the other in any order, without holes or overlaps", "[safetensors]") {
  const File file;
  const auto error = [&](const std::string& first, const std::string& second, std::size_t bytes) {
    return file.error_in("{" + first + "," + second + "}", bytes);
  };
  CHECK(error(tensor("b", "[1]", 8, 12), tensor("a", "[2,1]", 0, 8), 12) == "nothing");
  CHECK(error(tensor("a", "[0,3]", 0, 0), tensor("b", "[]", 0, 4), 4) == "nothing");
  CHECK(error(tensor("a", "[2,0]", 4, 4), tensor("b", "[]", 0, 4), 4) == "nothing");
  CHECK(error(tensor("a", "[0]", 0, 0), tensor("b", "[0]", 0, 0), 0) == "nothing");
  CHECK(error(tensor("a", "[1]", 0, 4), tensor("b", "[0]", 0, 0), 4) == "nothing");
  CHECK(error(tensor("a", "[1]", 0, 4), tensor("b", "[1]", 8, 12), 12) ==
        "tensor \"b\" must begin where the one before ends, at 4, got 8");
  CHECK(error(tensor("a", "[2]", 0, 8), tensor("b", "[1]", 4, 8), 8) ==
        "tensor \"b\" must begin where the one before ends, at 8, got 4");
  CHECK(error(tensor("a", "[1]", 0, 4), tensor("b", "[1]", 0, 4), 4) ==
        "tensor \"b\" must begin where the one before ends, at 4, got 0");
  CHECK(error(tensor("a", "[2]", 0, 8), tensor("b", "[0]", 4, 4), 8) ==
        "tensor \"b\" must begin where the one before ends, at 8, got 4");
  CHECK(error(tensor("a", "[1]", 0, 4), tensor("b", "[1]", 4, 8), 12) ==
        "must end with its last tensor, after 8 bytes of scalars, got 12");
  CHECK(file.error_in_tensor("[1]", 4, 8) == "tensor \"a\" must begin where the one before ends, at 0, got 4");
  CHECK(file.error_in("{" + tensor("a", "[1]", 4, 0) + "}", 4) ==
        "tensor \"a\" must have data_offsets within the 4 bytes there are, got 4 to 0");
  CHECK(file.error_in("{" + tensor("a", "[2]", 0, 8) + "}", 4) ==
        "tensor \"a\" must have data_offsets within the 4 bytes there are, got 0 to 8");
}

TEST_CASE("A file of another program needs no checksum, one of polyak has its version and a right one",
          "[safetensors]") {
  const File file;
  const auto error = [&](const std::string& texts) {
    files::write(file.path, with_header("{\"__metadata__\":{" + texts + "}," + tensor("w", "[1]", 0, 4) + "}", 4));
    VectorXf w = VectorXf::Zero(1);
    const std::string what = file.without_path(files::runtime_error_of([&] { load(file.path, named("w", w)); }));
    CHECK((w[0] != 0) == (what == "nothing"));
    return what;
  };
  const std::string version = "\"polyak.version\":\"1\"", checksum = "\"polyak.checksum\":\"";
  CHECK(error("") == "nothing");
  CHECK(error("\"format\":\"pt\",\"polyak\":\"\",\"polyak.step\":\"7\"") == "nothing");
  const std::string damaged = "polyak::load: is damaged: ", lacks = damaged + "it lacks its version or its checksum";
  CHECK(error(version) == lacks);
  CHECK(error(checksum + "0123456789abcdef\"") == lacks);
  CHECK(error(checksum + "0123456789abcdef\",\"polyak.version\":\"2\"") ==
        "polyak::load: has version 2 of polyak's files, this polyak reads 1");
  for (const auto* const digits : {"", "0123456789abcde", "0123456789abcdef0"}) {
    CHECK(error(checksum + digits + "\"," + version) == damaged + "its checksum must have 16 digits");
  }
  const std::string wrong = error(checksum + "0123456789abcdef\"," + version);
  CHECK(wrong.starts_with(damaged + "its checksum must be "));
  CHECK(wrong.ends_with(", got 0123456789abcdef"));
  const std::string right = wrong.substr(wrong.size() - 38, 16);
  CHECK(error(checksum + right + "\"," + version) == "nothing");
  CHECK(error(version + "," + checksum + right + "\"").starts_with(damaged));
  CHECK(error(checksum + right.substr(0, 15) + (right[15] == 'x' ? 'y' : 'x') + "\"," + version).starts_with(damaged));
}

TEST_CASE("Any byte of a file may be replaced: it is refused, or well formed where there is no checksum",
          "[safetensors]") {
  const File file;
  for (const auto* const name : {"tensors", "polyak"}) {
    const std::string bytes = files::read(fixture(name));
    const bool is_checked = std::string(name) == "polyak";
    std::string wrong;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      for (const char c : {'\0', '"', '9', '{', '\xFF', ' '}) {
        if (bytes[i] == c) continue;
        std::string changed = bytes;
        changed[i] = c;
        files::write(file.path, changed);
        VectorXd b = VectorXd::Zero(5);
        const std::string error = error_of([&] { load(file.path, named("layers.1", b)); });
        if (error != "nothing" && b != VectorXd::Zero(5)) wrong += "changed: " + error + '\n';
        if (error == "nothing" ? is_checked : !has(error, "polyak::load: ")) wrong += error + '\n';
      }
    }
    CHECK(wrong == "");
  }
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("A header that goes deep, or says that much follows, claims little memory", "[safetensors]") {
  const File file;
  std::string error;
  const auto bytes_in = [&](const std::string& header, std::size_t bytes) {
    files::write(file.path, with_header(header, bytes));
    return allocation_counter::bytes_in([&] { error = file.error_of_file(); });
  };
  for (const auto* const open : {"[", "{\"a\":"}) {
    std::string deep = "{\"a\":";
    for (int i = 0; i < 100'000; ++i) deep += open;
    CHECK(bytes_in(deep, 0) < 2 * deep.size());
    CHECK(error == "its header must be an object of objects, and goes deeper");
  }
  CHECK(bytes_in("{" + tensor("a", "[1000000000000]", 0, 4) + "}", 4) < 64 * 1024);
  CHECK(error == "tensor \"a\" must have 4000000000000 bytes by its shape and dtype, got 4");
  // As many numbers as an unknown dtype claims to have are not what is made room for.
  files::write(file.path, with_header("{" + tensor("a", "[1000000000000]", 0, 4, "X") + "}", 4));
  std::vector<std::uint32_t> numbers{1, 2};
  const auto load_numbers = [&] { error = error_of([&] { load(file.path, named("a", numbers)); }); };
  CHECK(allocation_counter::bytes_in(load_numbers) < 64 * 1024);
  CHECK(has(error, "invalid_argument: polyak::load: "));
  CHECK(has(error, "\"a\" (X, (1000000000000,)) must be U32, "));
  CHECK(numbers == std::vector<std::uint32_t>{1, 2});
}
#endif
