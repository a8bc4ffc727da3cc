#include <polyak/averagers/ema.hpp>
#include <polyak/io/npy.hpp>
#include <polyak/parameters.hpp>

#include <Eigen/Core>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "holders.hpp"
#include "io/files.hpp"
#include "io/numpy_values.hpp"
#include "support.hpp"

// Arrays as NumPy writes them: read into whatever fits, and written byte for byte as NumPy has them.

using namespace polyak;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using numpy::values;
using support::error_of;
using support::has;
using support::same_bits;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(POLYAK_FIXTURE_DIR) / "arrays";

template <class Into>
void reads(const std::string& name, Into into) {
  INFO(name);
  const Into expected = values<Into>(into.rows(), into.cols());
  load_npy(fixtures / (name + ".npy"), into);
  CHECK(same_bits(into, expected));
}

template <class Array>
void writes(const std::string& name, const Array& array) {
  INFO(name);
  const files::Directory directory;
  save_npy(directory / "array.npy", array);
  CHECK(files::read(directory / "array.npy") == files::read(fixtures / (name + ".npy")));
}

template <class T>
using RowMajor = holders::RowMajorMatrix<T>;
template <class T>
using Matrix = holders::Matrix<T>;
template <class T>
using Vector = holders::Vector<T>;

}  // namespace

TEST_CASE("Arrays that NumPy wrote are read in every order, byte order and scalar", "[npy]") {
  for (const auto* const name : {"float64_c", "float64_fortran", "float64_big_endian"}) {
    reads(name, Matrix<double>(3, 4));
    reads(name, RowMajor<double>(3, 4));
    reads(name, Eigen::Matrix<double, 3, 4>());
  }
  reads("float32_fortran", Matrix<float>(3, 4));
  reads("float32_fortran", RowMajor<float>(3, 4));
  for (const auto* const name : {"float16_c", "float16_big_endian"}) {
    reads(name, Matrix<Eigen::half>(3, 4));
    reads(name, RowMajor<Eigen::half>(3, 4));
  }
  reads("float64_vector", Vector<double>(5));
  reads("float64_column", Vector<double>(5));
  reads("float64_column", Matrix<double>(5, 1));
  reads("float64_row", Eigen::RowVectorXd(5));
  reads("float64_row", Matrix<double>(1, 5));
  reads("float64_empty", Vector<double>(0));
  if constexpr (std::numeric_limits<long double>::digits == 64) reads("float128_vector", Vector<long double>(5));

  std::vector<double> vector(5);
  load_npy(fixtures / "float64_vector.npy", vector);
  CHECK(vector == std::vector<double>{0, 1, 2, 3, 4});
  load_npy(fixtures / "float64_vector.npy", Eigen::Map<Eigen::RowVectorXd>(vector.data(), 5));

  std::array<double, 4> special{};
  load_npy(fixtures / "float64_special.npy", special);
  CHECK(std::bit_cast<std::uint64_t>(special[0]) == 0x7FF8'0000'0000'0001);
  CHECK(special[1] == support::infinity);
  CHECK(std::signbit(special[2]));
  CHECK(special[3] == std::numeric_limits<double>::denorm_min());
}

TEST_CASE("Arrays are written byte for byte as NumPy writes them", "[npy]") {
  writes("float64_c", values<RowMajor<double>>(3, 4));
  writes("float64_fortran", values<Matrix<double>>(3, 4));
  writes("float64_vector", values<Vector<double>>(5, 1));
  writes("float64_vector", std::vector<double>{0, 1, 2, 3, 4});
  writes("float64_vector", Eigen::RowVectorXd(values<Vector<double>>(5, 1)));
  writes("float64_column", values<Matrix<double>>(5, 1));
  writes("float64_row", values<Matrix<double>>(1, 5));
  writes("float64_empty", VectorXd(0));
  writes("float32_fortran", values<Matrix<float>>(3, 4));
  writes("float16_c", values<RowMajor<Eigen::half>>(3, 4));
  if constexpr (std::numeric_limits<long double>::digits == 64) {
    writes("float128_vector", values<Vector<long double>>(5, 1));
  }
  const std::array<double, 4> special{std::bit_cast<double>(0x7FF8'0000'0000'0001), support::infinity, -0.0,
                                      std::numeric_limits<double>::denorm_min()};
  writes("float64_special", special);
}

TEST_CASE("Expressions and views that are not contiguous are written as what they stand for", "[npy]") {
  const MatrixXd wide = values<MatrixXd>(3, 8);
  writes("float64_fortran", wide.leftCols(4));
  MatrixXd tall(6, 4);
  tall.topRows(3) = values<MatrixXd>(3, 4);
  writes("float64_fortran", tall.topRows(3));
  writes("float64_fortran", values<MatrixXd>(3, 4) * 1.0);
  writes("float64_vector", values<VectorXd>(5, 1).array() + 0.0);
}

TEST_CASE("An average and its blocks are written as they are", "[npy]") {
  const files::Directory directory;
  MatrixXd w = values<MatrixXd>(2, 3);
  RowMajor<double> v = values<RowMajor<double>>(3, 4);
  Ema ema;
  ema.update(ParameterSet{w, v});
  save_npy(directory / "average.npy", ema.average());
  VectorXd flat(18);
  load_npy(directory / "average.npy", flat);
  CHECK(flat == ema.average());
  save_npy(directory / "block.npy", ema.average_block(1));  // row-major, behind strides
  RowMajor<double> block(3, 4);
  load_npy(directory / "block.npy", block);
  CHECK(block == v);
}

TEST_CASE("An array that does not fit is refused before anything is written", "[npy]") {
  const auto refused = [](const std::string& name, auto into) {
    const auto path = fixtures / (name + ".npy");
    into.setOnes();
    const auto before = into;
    const std::string error = error_of([&] { load_npy(path, into); });
    CHECK(into == before);
    const std::string who = "invalid_argument: polyak::load_npy: " + path.string() + ": ";
    CHECK(error.starts_with(who));
    return error.substr(std::min(error.size(), who.size()));
  };
  CHECK(refused("float64_c", MatrixXd(4, 3)) == "an array of shape (3, 4) must be 4 x 3, as what it is loaded into");
  CHECK(has(refused("float64_c", VectorXd(12)), "shape (3, 4) must be 12 x 1"));
  CHECK(has(refused("float64_vector", VectorXd(4)), "shape (5,) must be 4 x 1"));
  CHECK(has(refused("float64_vector", MatrixXd(5, 5)), "shape (5,) must be 5 x 5"));
  CHECK(has(refused("float64_row", VectorXd(5)), "shape (1, 5) must be 5 x 1"));
  CHECK(has(refused("float64_scalar", VectorXd(1)), "shape () must be 1 x 1"));
  CHECK(has(refused("float64_cube", MatrixXd(2, 4)), "shape (2, 2, 2) must be 2 x 4"));
  CHECK(refused("float64_c", Eigen::MatrixXf(3, 4)) == "an array of '<f8' must be of '<f4', as what it is loaded into");
  CHECK(has(refused("float64_big_endian", Eigen::MatrixXf(3, 4)), "an array of '>f8' must be of '<f4'"));
  CHECK(has(refused("int32_vector", VectorXd(5)), "an array of '<i4' must be of '<f8'"));
  CHECK(has(error_of([&] {
              MatrixXd large(4, 5);
              load_npy(fixtures / "float64_c.npy", large.topRows(3));
            }),
            "must be contiguous"));
}

namespace {

std::string with_header(const std::string& header, const std::string& data = std::string(16, '\0')) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

}  // namespace

TEST_CASE("What is no array of NumPy is refused", "[npy]") {
  const auto error_in_bytes = [](const detail::FileName& name, const std::string& bytes) {
    return files::runtime_error_of([&] { static_cast<void>(detail::read_npy(name, std::as_bytes(std::span(bytes)))); });
  };
  const files::Directory directory;
  const auto path = directory / "array.npy";
  const auto error_in = [&](const std::string& bytes) {
    files::write(path, bytes);
    VectorXd into = VectorXd::Ones(2);
    std::string error = "nothing";
    try {
      load_npy(path, into);
    } catch (const std::runtime_error& what) {
      error = what.what();
      CHECK(into == VectorXd::Ones(2));
    }
    const std::string who = "polyak::load_npy: " + path.string() + ": ";
    return error.starts_with(who) ? error.substr(who.size()) : error;
  };
  const std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  CHECK(error_in(with_header(good)) == "nothing");
  CHECK(error_in(with_header("{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"<f8\"}  \n")) == "nothing");

  CHECK(has(error_in(""), "must begin as an array of NumPy in the NPY format 1.0, and does not"));
  const detail::FileName memory{"memory", "bytes"};
  CHECK(error_in_bytes(memory, "NUMPY") ==
        "memory: bytes: must begin as an array of NumPy in the NPY format 1.0, and does not");
  std::string version_2 = with_header(good);
  version_2[6] = 2;
  CHECK(has(error_in(version_2), "must begin as an array of NumPy in the NPY format 1.0"));
  const std::string whole = with_header(good);
  for (std::size_t n = 0; n < whole.size(); ++n) REQUIRE(error_in(whole.substr(0, n)) != "nothing");
  CHECK(error_in(whole.substr(0, 9)) == "is truncated: it has only 9 bytes");
  CHECK(error_in(whole.substr(0, 30)) ==
        "must have a header of " + std::to_string(good.size()) + " bytes, and there are 20 at byte 10");
  CHECK(error_in(whole.substr(0, 10)) ==
        "must have a header of " + std::to_string(good.size()) + " bytes, and there are 0 at byte 10");
  CHECK(error_in(whole.substr(0, 60)) ==
        "must have a header of " + std::to_string(good.size()) + " bytes, and there are 50 at byte 10");
  CHECK(error_in(whole.substr(0, whole.size() - 1)) ==
        "must have 16 bytes of scalars, got 15 at byte " + std::to_string(10 + good.size()));
  CHECK(has(error_in(whole + "x"), "must have 16 bytes of scalars, got 17"));

  const std::string rest = "'fortran_order': False, 'shape': (2,)}";
  CHECK(error_in(with_header("[1]")) == "its header must have a '{', and has none at byte 10");
  CHECK(has(error_in(with_header("{'descr' '<f8'}")), "must have a ':'"));
  CHECK(has(error_in(with_header("{descr: '<f8'}")), "must have a text in quotes, and has none"));
  CHECK(has(error_in(with_header("{'descr")), "must have a text in quotes, and has none"));
  CHECK(has(error_in(with_header("{descrd: '<f8'}")), "must have a text in quotes, and has none"));
  CHECK(has(error_in(with_header("{'dtype': '<f8', " + rest)),
            "must have the keys descr, fortran_order and shape, got \"dtype\""));
  CHECK(has(error_in(with_header("{'descr': '<f8', 'descr': '<f8', " + rest)), "got a second \"descr\""));
  CHECK(has(error_in(with_header("{" + rest)), "must have the keys descr, fortran_order and shape, and lacks one"));
  CHECK(has(error_in(with_header("{'descr': 'f8', " + rest)), "with its byte order, got \"f8\""));
  CHECK(has(error_in(with_header("{'descr': '|u1', " + rest)), "with its byte order, got \"|u1\""));
  CHECK(has(error_in(with_header("{'descr': '', " + rest)), "with its byte order, got \"\""));
  CHECK(has(error_in(with_header("{'descr': '<', " + rest)), "with its byte order, got \"<\""));
  CHECK(has(error_in(with_header(good + "x")), "must end after its dictionary, and does not"));
  CHECK(has(error_in(with_header("{'shape': (2), 'fortran_order': False, 'descr': '<f8'}")),
            "must have a tuple as its shape, and has a number"));
  CHECK(has(error_in(with_header("{'shape': (-2,), 'fortran_order': False, 'descr': '<f8'}")), "must have a number"));
  CHECK(has(error_in(with_header("{'shape': (99999999999999999999,), 'fortran_order': False, 'descr': '<f8'}")),
            "has a number that is too large"));
  CHECK(has(error_in(with_header("{'shape': (18446744073709551616,), 'fortran_order': False, 'descr': '<f8'}")),
            "has a number that is too large"));
  VectorXd into(2);
  const auto misfit = [&](const std::string& header) {
    files::write(path, with_header(header));
    return error_of([&] { load_npy(path, into); });
  };
  CHECK(has(misfit("{'shape': (18446744073709551615,), 'fortran_order': False, 'descr': '<f8'}"),
            "an array of shape (18446744073709551615,) must be 2 x 1"));
  CHECK(has(misfit("{'descr': '<f', " + rest), "an array of '<f' must be of '<f8'"));
  files::write(path, with_header("{'descr': '>f16', 'fortran_order': False, 'shape': (1,)}"));
  Vector<long double> wide(1);
  CHECK(has(error_of([&] { load_npy(path, wide); }), "an array of '>f16' must be of '<f16'"));
  CHECK(has(error_in(with_header("{'shape': (2,), 'fortran_order': 0, 'descr': '<f8'}")), "must have True or False"));
  CHECK(has(error_in(with_header("{'shape': (2, 3, 'fortran_order': 0}")), "must have a number, and has none"));
  CHECK(has(error_in(files::read(fixtures / "structured.npy")), "must have a text in quotes"));
}
