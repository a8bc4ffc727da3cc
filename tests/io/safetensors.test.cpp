#if __has_include(<nlohmann/json.hpp>)

#include <polyak/averagers/ema.hpp>
#include <polyak/io/safetensors.hpp>
#include <polyak/parameters.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "holders.hpp"
#include "io/files.hpp"
#include "io/numpy_values.hpp"
#include "support.hpp"

// Tensors as the published layout has them, against a file that tests/fixtures/numpy_fixtures.py put together by it.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using numpy::values;
using support::error_of;
using support::has;

namespace {

const std::filesystem::path fixture = std::filesystem::path(POLYAK_FIXTURE_DIR) / "arrays/tensors.safetensors";

template <class T>
using Matrix = holders::Matrix<T>;
template <class T>
using RowMajor = holders::RowMajorMatrix<T>;

}  // namespace

TEMPLATE_TEST_CASE("Tensors are read from a file of the published layout, into either storage order", "[safetensors]",
                   MatrixXd, RowMajor<double>) {
  TestType w = TestType::Zero(3, 4);
  VectorXd b = VectorXd::Zero(5);
  load_safetensors(fixture, named("layers", ParameterSet{w, b}));
  CHECK(w == values<TestType>(3, 4));
  CHECK(b == values<VectorXd>(5, 1));
  Eigen::RowVectorXd row = Eigen::RowVectorXd::Zero(5);
  load_safetensors(fixture, named("layers.1", row));
  CHECK(row == values<VectorXd>(5, 1).transpose());

  RowMajor<float> single(2, 3);
  Matrix<Eigen::half> half(2, 3);
  Matrix<Eigen::bfloat16> brain(2, 3);
  load_safetensors(fixture, named("half", half), named("brain", brain), named("single", single));
  CHECK(single == values<RowMajor<float>>(2, 3));
  CHECK(half == values<Matrix<Eigen::half>>(2, 3));
  CHECK(brain == values<Matrix<Eigen::bfloat16>>(2, 3));
}

TEMPLATE_TEST_CASE("Tensors are written byte for byte in the published layout, from either storage order",
                   "[safetensors]", MatrixXd, RowMajor<double>) {
  const files::Directory directory;
  const TestType w = values<TestType>(3, 4);
  const VectorXd b = values<VectorXd>(5, 1);
  const MatrixXf single = values<MatrixXf>(2, 3);
  const auto half = values<Matrix<Eigen::half>>(2, 3);
  const auto brain = values<RowMajor<Eigen::bfloat16>>(2, 3);
  save_safetensors(directory / "tensors.safetensors", {{"made by", "numpy_fixtures.py"}}, named("half", half),
                   named("single", single), named("layers", ParameterSet{w, b}), named("brain", brain));
  CHECK(files::read(directory / "tensors.safetensors") == files::read(fixture));
  CHECK(directory.count() == 1);
}

TEST_CASE("The average of a set is written block by block", "[safetensors]") {
  const files::Directory directory;
  const auto path = directory / "average.safetensors";
  MatrixXd w = values<MatrixXd>(2, 3);
  RowMajor<double> v = values<RowMajor<double>>(300, 400);  // larger than what is turned over at a time
  Ema ema;
  ema.update(ParameterSet{w, v});
  save_safetensors(path, named("layers", ParameterSet{w, v}.like(ema.average().data())));
  MatrixXd w_read(2, 3), v_read(300, 400);
  load_safetensors(path, named("layers.0", w_read), named("layers.1", v_read));
  CHECK(w_read == w);
  CHECK(v_read == v);
  save_safetensors(path, named("turned", v_read));
  v.setZero();
  load_safetensors(path, named("turned", v));
  CHECK(v == v_read);
}

TEST_CASE("Tensors that do not fit are refused by name, and none is loaded", "[safetensors]") {
  const auto refused = [](const std::string& name, auto into) {
    VectorXd good = VectorXd::Zero(5);
    const std::string error = error_of([&] { load_safetensors(fixture, named("layers.1", good), named(name, into)); });
    CHECK(good == VectorXd::Zero(5));
    const std::string who = "invalid_argument: polyak::load_safetensors: " + fixture.string() + ": ";
    CHECK(error.starts_with(who));
    return error.substr(std::min(error.size(), who.size()));
  };
  CHECK(refused("layers.0", MatrixXd(4, 3)) ==
        "tensor \"layers.0\" (F64, (3, 4)) must be F64, 4 x 3, as what it is loaded into");
  CHECK(has(refused("layers.0", MatrixXf(3, 4)), "must be F32, 3 x 4"));
  CHECK(has(refused("layers.0", VectorXd(12)), "must be F64, 12 x 1"));
  CHECK(has(refused("half", Matrix<Eigen::bfloat16>(2, 3)), "tensor \"half\" (F16, (2, 3)) must be BF16, 2 x 3"));
  CHECK(
      refused("weights", VectorXd(5)) ==
      "there is no tensor \"weights\"; the tensors are \"brain\" (BF16, (2, 3)), \"half\" (F16, (2, 3)), \"layers.0\" "
      "(F64, (3, 4)), \"layers.1\" (F64, (5,)), \"single\" (F32, (2, 3))");
}

TEST_CASE("Of many tensors forty are named", "[safetensors]") {
  const files::Directory directory;
  const auto path = directory / "tensors.safetensors";
  VectorXd x(1);
  const auto missing = [&](std::size_t n) {
    save_safetensors(path, named("w", std::vector<VectorXd>(n, VectorXd::Ones(1))));
    return error_of([&] { load_safetensors(path, named("missing", x)); });
  };
  CHECK(missing(39).ends_with("\"w.9\" (F64, (1,))"));
  CHECK(missing(40).ends_with("\"w.9\" (F64, (1,))"));
  const std::string of_many = missing(42);
  CHECK(of_many.ends_with("\"w.7\" (F64, (1,)) and more"));  // in the order of their names
  CHECK(!has(of_many, "\"w.8\""));
  CHECK(missing(41).ends_with("\"w.8\" (F64, (1,)) and more"));
}

TEST_CASE("The header is filled up so that the scalars are aligned, and no further", "[safetensors]") {
  const files::Directory directory;
  const auto path = directory / "tensors.safetensors";
  for (std::size_t n = 1; n <= 16; ++n) {
    save_safetensors(path, named(std::string(n, 'n'), VectorXd(VectorXd::Ones(1))));
    const std::string bytes = files::read(path);
    const std::size_t header = bytes.size() - 16;
    CHECK(header % 8 == 0);
    CHECK(bytes.find("}}") + 2 > header);  // all but 7 bytes at most of what follows the length
  }
}

namespace {

std::string with_header(std::string header, std::size_t bytes) {
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>((std::uint64_t{header.size()} >> (8 * i)) & 255);
  return length + header + std::string(bytes, 'x');
}

std::string error_in(const std::string& bytes) {
  const detail::FileName name{"test", "file"};
  try {
    static_cast<void>(detail::read_safetensors(name, std::as_bytes(std::span(bytes))));
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    REQUIRE(what.starts_with("test: file: "));
    return what.substr(12);
  }
  return "nothing";
}

/// A tensor in a header.
std::string tensor(const std::string& name, const std::string& shape, int begin, int end,
                   const std::string& type = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

}  // namespace

TEST_CASE("Names of tensors must differ and be UTF-8", "[safetensors]") {
  const files::Directory directory;
  const auto path = directory / "tensors.safetensors";
  const VectorXd theta = VectorXd::Ones(2);
  const auto error = [&](const auto&... tensors) { return error_of([&] { save_safetensors(path, tensors...); }); };
  CHECK(error(named("a", theta), named("a", theta)) ==
        "invalid_argument: polyak::save_safetensors: " + path.string() + ": two tensors must not be named \"a\"");
  CHECK(has(error(named("", theta)), "a tensor must not be named \"\""));
  CHECK(has(error(named("__metadata__", theta)), "a tensor must not be named \"__metadata__\""));
  CHECK(has(error(named("\xFF", theta)), "a name or metadata cannot be written: "));
  const std::string note(100'000'000, 'a');
  CHECK(has(error_of([&] {
              save_safetensors(path, {{"note", note}}, named("a", theta));
            }),
            "its header must have at most 100000000 bytes, got 100000"));
  CHECK(error_in(with_header(std::string(100'000'001, ' '), 0)) ==
        "must have a header of at most 100000000 bytes, got 100000001");
  CHECK(directory.count() == 0);
  CHECK(error(named("weights \"ü\"\n", theta)) == "nothing");
  VectorXd read(2);
  load_safetensors(path, named("weights \"ü\"\n", read));
  CHECK(read == theta);
}

TEST_CASE("A tensor of no dimension is one number, one of three is no vector", "[safetensors]") {
  const files::Directory directory;
  const auto path = directory / "tensors.safetensors";
  const auto error = [&](const std::string& shape, Eigen::Index n) {
    files::write(path, with_header("{" + tensor("a", shape, 0, 8, "F64") + "}", 8));
    VectorXd into = VectorXd::Ones(n);
    return error_of([&] { load_safetensors(path, named("a", into)); });
  };
  CHECK(error("[]", 1) == "nothing");
  CHECK(has(error("[]", 2), "tensor \"a\" (F64, ()) must be F64, 2 x 1"));
  CHECK(has(error("[1,1,1]", 1), "tensor \"a\" (F64, (1, 1, 1)) must be F64, 1 x 1"));
}

TEST_CASE("What the format does not allow is refused", "[safetensors]") {
  const std::string one = "{" + tensor("a", "[2]", 0, 8) + "}";
  const std::string good = with_header(one, 8);
  CHECK(error_in(good) == "nothing");
  CHECK(error_in(with_header(one + "   ", 8)) == "nothing");
  CHECK(error_in(with_header("{}", 0)) == "nothing");
  CHECK(error_in(with_header("{\"__metadata__\":{\"a\":\"b\"}}", 0)) == "nothing");
  CHECK(error_in(with_header("{" + tensor("b", "[1]", 8, 12) + "," + tensor("a", "[2,1]", 0, 8) + "}", 12)) ==
        "nothing");
  CHECK(error_in(with_header("{" + tensor("a", "[0,3]", 0, 0) + "," + tensor("b", "[]", 0, 4) + "}", 4)) == "nothing");
  CHECK(error_in(with_header("{" + tensor("a", "[2,0]", 4, 4) + "," + tensor("b", "[]", 0, 4) + "}", 4)) == "nothing");

  for (std::size_t n = 0; n < good.size(); ++n) REQUIRE(error_in(good.substr(0, n)) != "nothing");
  CHECK(error_in("1234567") == "must have 8 bytes and more, got 7");
  CHECK(error_in(good.substr(0, 20)) == "must have a header of at most 12 bytes, got " + std::to_string(one.size()));
  CHECK(error_in(std::string(8, '\0')) == "its header must begin with {, and does not");
  CHECK(error_in(std::string(16, '\x7F')) == "must have a header of at most 8 bytes, got 9187201950435737471");
  CHECK(error_in(good + "x") == "must end with its last tensor, at 8, got 9");
  CHECK(has(error_in(good.substr(0, good.size() - 1)),
            "must have data_offsets within the 7 bytes there are, got 0 to 8"));

  CHECK(error_in(with_header("", 8)) == "its header must begin with {, and does not");
  CHECK(error_in(with_header(" {}", 0)) == "its header must begin with {, and does not");
  CHECK(has(error_in(with_header("{\"a\":}", 0)), "its header must be JSON: "));
  CHECK(has(error_in(with_header("{} {}", 0)), "its header must be JSON: "));
  CHECK(has(error_in(with_header("{\"\xFF\":1}", 0)), "its header must be JSON: "));
  CHECK(error_in(with_header("{" + tensor("a", "[1]", 0, 4) + "," + tensor("a", "[1]", 4, 8) + "}", 8)) ==
        "its header must have each name once, got a second \"a\"");
  CHECK(has(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0)), "got a second \"dtype\""));
  CHECK(error_in(with_header("{\"a\":[[[[[[1]]]]]]}", 0)) ==
        "its header must be an object of objects, and goes deeper");
  CHECK(error_in(with_header("{" + tensor("a", "[[1]]", 0, 4) + "}", 4)) ==
        "its header must be an object of objects, and goes deeper");
  CHECK(has(error_in(with_header("{\"__metadata__\":{\"a\":1}}", 0)), "its __metadata__ must be an object of texts"));
  CHECK(has(error_in(with_header("{\"__metadata__\":[]}", 0)), "its __metadata__ must be an object of texts"));

  const std::string what = "tensor \"a\" must have a dtype, a shape and two data_offsets, and nothing else";
  CHECK(error_in(with_header("{\"a\":1}", 0)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}}", 4)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"b\":0}}", 4)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"b\":[0,4]}}", 4)) == what);
  CHECK(error_in(with_header("{\"a\":{\"dtype\":\"F32\",\"b\":[1],\"data_offsets\":[0,4]}}", 4)) == what);
  CHECK(error_in(with_header("{" + tensor("a", "[1]", 0, 4, "F33") + "}", 4)) ==
        "tensor \"a\" must have a dtype of the format, got \"F33\"");
  CHECK(error_in(with_header("{" + tensor("a", "[-1]", 0, 4) + "}", 4)) == "tensor \"a\" must have numbers, got -1");
  CHECK(error_in(with_header("{" + tensor("a", "[1.5]", 0, 4) + "}", 4)) == "tensor \"a\" must have numbers, got 1.5");
  CHECK(error_in(with_header("{" + tensor("a", "[1]", 4, 0) + "}", 4)) ==
        "tensor \"a\" must have data_offsets within the 4 bytes there are, got 4 to 0");
  CHECK(error_in(with_header("{" + tensor("a", "[2]", 0, 4) + "}", 4)) ==
        "tensor \"a\" must have 8 bytes by its shape and dtype, got 4");
  CHECK(error_in(with_header("{" + tensor("a", "[2]", 4, 8) + "}", 8)) ==
        "tensor \"a\" must have 8 bytes by its shape and dtype, got 4");
  CHECK(error_in(with_header("{" + tensor("a", "[2305843009213693951]", 0, 4, "F64") + "}", 4)) ==
        "tensor \"a\" must have 18446744073709551608 bytes by its shape and dtype, got 4");
  for (const auto* const shape : {"[2305843009213693952]", "[0,4294967296,4294967296]"}) {
    CHECK(error_in(with_header("{" + tensor("a", shape, 0, 0, "F64") + "}", 0)) ==
          "tensor \"a\" must have a shape of fewer numbers");
  }
  CHECK(error_in(with_header("{" + tensor("a", "[0,9]", 0, 4) + "}", 4)) ==
        "tensor \"a\" must have 0 bytes by its shape and dtype, got 4");
  CHECK(error_in(with_header("{" + tensor("a", "[4294967296,4294967296]", 0, 4) + "}", 4)) ==
        "tensor \"a\" must have a shape of fewer numbers");
  CHECK(error_in(with_header("{" + tensor("a", "[1]", 0, 4) + "," + tensor("b", "[1]", 8, 12) + "}", 12)) ==
        "tensor \"b\" must begin where the one before ends, at 4, got 8");
  CHECK(error_in(with_header("{" + tensor("a", "[2]", 0, 8) + "," + tensor("b", "[1]", 4, 8) + "}", 8)) ==
        "tensor \"b\" must begin where the one before ends, at 8, got 4");
  CHECK(error_in(with_header("{" + tensor("a", "[1]", 4, 8) + "}", 8)) ==
        "tensor \"a\" must begin where the one before ends, at 0, got 4");
}

TEST_CASE("Tensors of every type of the format may lie beside those that are read", "[safetensors]") {
  const std::vector<std::pair<std::string, int>> types{
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};
  for (const auto& [type, bytes] : types) {
    const int three = 3 * bytes;
    const auto with = [&, t = type](const std::string& shape) {
      return with_header("{" + tensor("a", shape, 0, three, t) + "," + tensor("b", "[1]", three, three + 4) + "}",
                         static_cast<std::size_t>(three) + 4);
    };
    CHECK(error_in(with("[3]")) == "nothing");
    CHECK(error_in(with("[1]")) == "tensor \"a\" must have " + std::to_string(bytes) +
                                       " bytes by its shape and dtype, got " + std::to_string(three));
  }
  CHECK(has(error_in(with_header("{" + tensor("a", "[1]", 0, 0, "") + "}", 0)), "must have a dtype of the format"));
}

TEST_CASE("Any byte of the fixture's header may be replaced: it is refused or well formed", "[safetensors]") {
  const std::string bytes = files::read(fixture);
  for (std::size_t i = 0; i < bytes.size() - 184; ++i) {
    for (const char c : {'\0', '"', '9', '{', '\xFF', ' '}) {
      std::string changed = bytes;
      changed[i] = c;
      const std::string error = error_in(changed);  // which checks how it begins
      REQUIRE(!error.empty());
    }
  }
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("A header that goes deep, or says it is long, claims little memory", "[safetensors]") {
  std::string deep = "{\"a\":" + std::string(100'000, '[');
  const auto reading = [&] { CHECK(has(error_in(with_header(deep, 0)), "goes deeper")); };
  CHECK(allocation_counter::bytes_in(reading) < 8 * deep.size());
  const std::string lying = with_header("{" + tensor("a", "[1000000000000]", 0, 4) + "}", 4);
  const auto refusing = [&] { CHECK(has(error_in(lying), "by its shape and dtype")); };
  CHECK(allocation_counter::bytes_in(refusing) < 64 * 1024);
}
#endif

#endif
