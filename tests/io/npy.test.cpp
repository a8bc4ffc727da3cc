#include <polyak/averagers/ema.hpp>
#include <polyak/io/npy.hpp>
#include <polyak/parameters.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <sstream>
#include <string>
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

constexpr bool has_float80 = std::numeric_limits<long double>::digits == 64;

/// A file of one of the three formats, which differ in how long the length of the header is.
std::string with_header(const std::string& header, const std::string& data = std::string(16, '\0'), int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += {static_cast<char>(version), '\0'};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 255);
  return bytes + header + data;
}

/// A file in a directory of its own, and what is said of it.
struct File {
  files::Directory directory;
  std::filesystem::path path = directory / "array.npy";

  template <class Into>
  std::string error_into(Into& into, const std::string& bytes) const {
    files::write(path, bytes);
    const auto before = into;
    std::string error = error_of([&] { load_npy(path, into); });
    if (error == "nothing") return error;
    REQUIRE(into == before);
    const std::string who = "polyak::load_npy: " + path.string() + ": ";
    const std::size_t at = error.find(who);
    return at == std::string::npos ? "unnamed: " + error : error.erase(0, at + who.size());
  }
  std::string error_in(const std::string& bytes) const {
    VectorXd into = VectorXd::Ones(2);
    return error_into(into, bytes);
  }
};

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
  if constexpr (has_float80) reads("float128_vector", Vector<long double>(5));

  std::vector<double> vector(5);
  load_npy(fixtures / "float64_vector.npy", vector);
  CHECK(vector == std::vector<double>{0, 1, 2, 3, 4});
  std::fill(vector.begin(), vector.end(), -1);
  load_npy(fixtures / "float64_vector.npy", Eigen::Map<Eigen::RowVectorXd>(vector.data(), 5));
  CHECK(vector == std::vector<double>{0, 1, 2, 3, 4});

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
  if constexpr (has_float80) writes("float128_vector", values<Vector<long double>>(5, 1));
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

TEST_CASE("The formats 1.0, 2.0 and 3.0 and any sign of the byte order are read", "[npy]") {
  const VectorXd numbers = VectorXd::LinSpaced(4, 0, 3);
  for (const auto* const name : {"version_2", "version_3", "native_order", "one_row"}) {
    INFO(name);
    VectorXd into = VectorXd::Constant(4, -1);
    load_npy(fixtures / (std::string(name) + ".npy"), into);
    CHECK(into == numbers);
  }
  const File file;
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  std::string errors;
  for (const int version : {0, 1, 2, 3, 4, 255})
    errors += file.error_in(with_header(header, "1234567887654321", version)) + '\n';
  std::string minor = with_header(header);
  minor[7] = 1;
  const std::string refused = "must be an array of NumPy in the NPY format 1.0, 2.0 or 3.0, and is not";
  CHECK(errors == refused + "\nnothing\nnothing\nnothing\n" + refused + '\n' + refused + '\n');
  CHECK(file.error_in(minor) == refused);
  // Longer than format 1.0 can have.
  CHECK(file.error_in(with_header(header + std::string(70000, ' '), std::string(16, 'x'), 2)) == "nothing");
}

namespace {

/// Whether an array of 1.5 in the dtype is read into a T, and as 1.5; "wrong" where it is read as something else.
template <class T>
std::string read_as(const File& file, const std::string& dtype, bool big_endian) {
  std::string data(detail::bytes_in_file<T>, '\0');
  detail::encode_one(T(1.5F), reinterpret_cast<std::byte*>(data.data()));
  if (big_endian) std::reverse(data.begin(), data.end());
  Vector<T> into = Vector<T>::Zero(1);
  const std::string header = "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': (1,), }";
  const std::string error = file.error_into(into, with_header(header, data));
  if (error == "nothing") return into[0] == T(1.5F) ? "read" : "wrong";
  return has(error, "an array of '" + dtype + "' must be of '<") ? "refused" : error;
}

}  // namespace

TEST_CASE("Every name that NumPy has for the dtype of a float is known, and no other", "[npy]") {
  const File file;
  std::istringstream lines(files::read(fixtures / "dtypes.csv"));
  std::string line, wrong;
  std::size_t names = 0;
  for (std::getline(lines, line); std::getline(lines, line); ++names) {
    const std::string dtype = line.substr(0, line.find(',')), numpy = line.substr(line.find(',') + 1);
    const bool big_endian = numpy.starts_with('>');
    const auto check = [&](const std::string& plain, const std::string& got, bool can_be_big_endian = true) {
      const bool right = numpy == '<' + plain || (can_be_big_endian && numpy == '>' + plain);
      if (got != (right ? "read" : "refused")) wrong += dtype + " as " + plain + ": " + got + '\n';
    };
    check("f2", read_as<Eigen::half>(file, dtype, big_endian));
    check("f4", read_as<float>(file, dtype, big_endian));
    check("f8", read_as<double>(file, dtype, big_endian));
    if constexpr (has_float80) check("f16", read_as<long double>(file, dtype, big_endian), false);
  }
  CHECK(names > 200);
  CHECK(wrong == "");
}

TEST_CASE("An array of no dimensions is one number, one of more than two is flat in the order of C", "[npy]") {
  std::array<double, 1> one{};
  load_npy(fixtures / "no_dimensions.npy", one);
  CHECK(one[0] == 3.5);
  MatrixXd matrix = MatrixXd::Zero(1, 1);
  load_npy(fixtures / "float64_scalar.npy", matrix);
  CHECK(matrix(0, 0) == 1.5);
  const VectorXd numbers = VectorXd::LinSpaced(24, 0, 23);  // as ravel() has them
  for (const auto* const name : {"four_dimensions", "four_dimensions_fortran"}) {
    INFO(name);
    VectorXd column = VectorXd::Constant(24, -1);
    load_npy(fixtures / (std::string(name) + ".npy"), column);
    CHECK(column == numbers);
    RowMajor<double> row = RowMajor<double>::Constant(1, 24, -1);
    load_npy(fixtures / (std::string(name) + ".npy"), row);
    CHECK(row.transpose() == numbers);
  }
  const File file;
  const auto error = [&](const std::string& shape, Eigen::Index n) {
    VectorXd into = VectorXd::Ones(n);
    const std::string header = "{'descr': '<f8', 'fortran_order': True, 'shape': " + shape + ", }";
    return file.error_into(into, with_header(header, std::string(static_cast<std::size_t>(n) * 8, '\0')));
  };
  std::string errors;
  for (const auto* const shape : {"(2,1,1)", "(1,2,1)", "(1,2)", "(2,1)", "(1,1,2,1)"}) errors += error(shape, 2) + ' ';
  CHECK(errors == "nothing nothing nothing nothing nothing ");
  CHECK(error("(2,0,3)", 0) == "nothing");
  CHECK(error("(0,18446744073709551615,2)", 0) == "nothing");
  CHECK(error("(2,0,3)", 1) == "an array of shape (2, 0, 3) must be 1 x 1, as what it is loaded into");
  CHECK(has(error("(2,2,2)", 4), "shape (2, 2, 2) must be 4 x 1"));
  CHECK(has(error("(2,2,2)", 16), "shape (2, 2, 2) must be 16 x 1"));
  CHECK(has(error("(4294967296,4294967296,1)", 0), "must be 0 x 1"));  // 2^64, which is not 0
  CHECK(has(error("(4294967296,4294967296,2)", 2), "must be 2 x 1"));
}

TEST_CASE("What the header says is told without the array", "[npy]") {
  const auto told = [](const std::string& name) {
    const NpyInfo info = npy_info(fixtures / (name + ".npy"));
    return info.dtype + ' ' + detail::to_text(info.shape) + (info.fortran_order ? " Fortran" : " C");
  };
  CHECK(told("float64_c") == "<f8 (3, 4) C");
  CHECK(told("float64_big_endian") == ">f8 (3, 4) Fortran");
  CHECK(told("four_dimensions_fortran") == "<f8 (2, 3, 2, 2) Fortran");
  CHECK(told("no_dimensions") == "<f8 () C");
  CHECK(told("float64_empty") == "<f8 (0,) C");
  CHECK(told("int32_vector") == "<i4 (5,) C");
  CHECK(told("native_order") == "=f8 (4,) C");
  CHECK(told("version_3") == "<f8 (4,) C");
  CHECK(told("two_arrays") == "<f8 (4,) C");
  const File file;
  files::write(file.path, with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", ""));
  CHECK(npy_info(file.path).shape == std::vector<std::size_t>{1'000'000'000'000});
  files::write(file.path, "\x93NUMPY");
  CHECK(files::runtime_error_of([&] { static_cast<void>(npy_info(file.path)); }) ==
        "polyak::npy_info: " + file.path.string() +
            ": must be an array of NumPy in the NPY format 1.0, 2.0 or 3.0, and is not");
  CHECK(has(files::runtime_error_of([&] { static_cast<void>(npy_info(file.directory / "missing.npy")); }),
            "system: polyak::npy_info: "));
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
  CHECK(has(refused("float64_row", VectorXd(4)), "shape (1, 5) must be 4 x 1"));
  CHECK(has(refused("float64_row", MatrixXd(5, 5)), "shape (1, 5) must be 5 x 5"));
  CHECK(has(refused("float64_scalar", VectorXd(2)), "shape () must be 2 x 1"));
  CHECK(has(refused("float64_cube", MatrixXd(2, 4)), "shape (2, 2, 2) must be 2 x 4"));
  CHECK(refused("float64_c", Eigen::MatrixXf(3, 4)) == "an array of '<f8' must be of '<f4', as what it is loaded into");
  CHECK(has(refused("float64_big_endian", Eigen::MatrixXf(3, 4)), "an array of '>f8' must be of '<f4'"));
  CHECK(has(refused("int32_vector", VectorXd(5)), "an array of '<i4' must be of '<f8'"));
  CHECK(has(error_of([&] {
              MatrixXd large(4, 5);
              load_npy(fixtures / "float64_c.npy", large.topRows(3));
            }),
            "must be contiguous"));
  if constexpr (has_float80) {
    const File file;
    Vector<long double> wide = Vector<long double>::Ones(1);
    CHECK(file.error_into(wide, with_header("{'descr': '>f16', 'fortran_order': False, 'shape': (1,)}")) ==
          "an array of '>f16' must be of '<f16', as what it is loaded into");
  }
}

TEST_CASE("One array is all that a file may have", "[npy]") {
  const File file;
  VectorXd into = VectorXd::Ones(4);
  const std::string several = "must have one array, and has several: save each in a file of its own";
  CHECK(file.error_into(into, files::read(fixtures / "two_arrays.npy")) == several);
  const std::string one = files::read(fixtures / "version_2.npy"), more = "must end with its array, and does not";
  CHECK(file.error_into(into, one + "\x93NUMPY") == several);
  CHECK(file.error_into(into, one + "\x93NUMP") == more);
  CHECK(file.error_into(into, one + '\0') == more);
  CHECK(file.error_into(into, one + std::string(100, '\n')) == more);
  CHECK(file.error_into(into, one) == "nothing");
}

TEST_CASE("A file that ends anywhere but where it should is refused", "[npy]") {
  const File file;
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  const std::string digits = std::to_string(header.size());
  std::string wrong;
  for (const int version : {1, 2, 3}) {
    const std::string whole = with_header(header, std::string(16, 'x'), version);
    const std::size_t head = version == 1 ? 10 : 12;
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const std::string error = file.error_in(whole.substr(0, n));
      std::string right = "must be an array of NumPy in the NPY format 1.0, 2.0 or 3.0, and is not";
      const auto lacks = [&](const std::string& what, const std::string& bytes, std::size_t from) {
        right = what + " must have " + bytes + " bytes, and there are " + std::to_string(n - from);
      };
      if (n >= 10) lacks("the length of the header", "4", 8);
      if (n >= head) lacks("the header", digits, head);
      if (n >= head + header.size()) lacks("the array", "16", head + header.size());
      if (error != right) wrong += std::to_string(version) + ", " + std::to_string(n) + ": " + error + '\n';
    }
  }
  CHECK(wrong == "");
}

TEST_CASE("What is no array of NumPy is refused", "[npy]") {
  const File file;
  const auto error_in = [&](const std::string& header) { return file.error_in(with_header(header)); };
  const std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  std::string errors;
  for (const auto& header : {good, std::string("{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"<f8\"}  \n"),
                             std::string(" {'shape' : ( 2L , 1 , ) , 'descr':\t'<f8' , 'fortran_order' :True }\n\n"),
                             std::string("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2)}")}) {
    errors += error_in(header) + ' ';
  }
  CHECK(errors == "nothing nothing nothing nothing ");
  CHECK(has(file.error_in("NUMPY" + with_header(good)), "must be an array of NumPy"));

  const std::string rest = "'fortran_order': False, 'shape': (2,)}";
  CHECK(error_in("[1]") == "its header must have a '{', and has none");
  CHECK(error_in("") == "its header must have a '{', and has none");
  CHECK(error_in("{'descr' '<f8'}") == "its header must have a ':', and has none");
  CHECK(error_in("{'descr': '<f8' " + rest) == "its header must have a '}', and has none");
  for (const auto* const header : {"{descr: '<f8'}", "{'descr", "{descrd: '<f8'}", "{'descr': None", "{", "{,}"}) {
    CHECK(error_in(header) == "its header must have a text in quotes");
  }
  CHECK(error_in("{'dtype': '<f8', " + rest) == "its header must have no other keys, got \"dtype\"");
  CHECK(error_in("{'descr': '<f8', 'descr': '<f8', " + rest) ==
        "its header must have each key once, got a second \"descr\"");
  const std::string lacks = "its header must have the keys descr, fortran_order and shape, and lacks one";
  for (const auto& header : {"{" + rest, std::string("{}"), std::string("{'descr': '<f8', 'shape': (2,)}"),
                             std::string("{'descr': '<f8', 'fortran_order': False}")}) {
    CHECK(error_in(header) == lacks);
  }
  CHECK(error_in(good + "x") == "its header must end after its dictionary, and does not");
  CHECK(error_in(good + std::string(1, '\0')) == "its header must end after its dictionary, and does not");
  const auto of_shape = [&](const std::string& shape, const std::string& order = "False") {
    return error_in("{'shape': " + shape + ", 'fortran_order': " + order + ", 'descr': '<f8'}");
  };
  CHECK(of_shape("(2)") == "its header must have a tuple as its shape, and has a number");
  CHECK(of_shape("(2.0,)") == "its header must have a tuple as its shape, and has a number");
  CHECK(of_shape("[2]") == "its header must have a '(', and has none");
  CHECK(of_shape("2") == "its header must have a '(', and has none");
  for (const auto* const shape : {"(-2,)", "(,)", "(2,,)", "(x,)", "('2',)"}) {
    CHECK(of_shape(shape) == "its header must have a number");
  }
  CHECK(of_shape("(2, 1.0)") == "its header must have a ')', and has none");
  for (const auto* const shape : {"(99999999999999999999,)", "(18446744073709551616,)"}) {
    CHECK(of_shape(shape) == "its header has a number that is too large");
  }
  CHECK(of_shape("(18446744073709551615,)") ==
        "an array of shape (18446744073709551615,) must be 2 x 1, as what it is loaded into");
  for (const auto* const order : {"0", "false", "Tru", "'True'"}) {
    CHECK(of_shape("(2,)", order) == "its header must have True or False");
  }
  CHECK(of_shape("(2,)", "Falsehood") == "its header must have a '}', and has none");
  CHECK(error_in("{'shape': (2, 3, 'fortran_order': 0}") == "its header must have a number");
  CHECK(has(file.error_in(files::read(fixtures / "structured.npy")), "its header must have a text in quotes"));
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("A header that says the array is large claims no memory", "[npy]") {
  const File file;
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000,)}";
  VectorXd into = VectorXd::Zero(10'000'000);
  std::string lying = with_header(header, std::string(16, '\0'), 2);
  files::write(file.path, lying);
  std::string error;
  const auto load = [&] { error = error_of([&] { load_npy(file.path, into); }); };
  CHECK(allocation_counter::bytes_in(load) < 65536);
  CHECK(has(error, "the array must have 80000000 bytes, and there are 16"));
  lying.replace(8, 4, "\xFF\xFF\xFF\xFF");
  files::write(file.path, lying);
  CHECK(allocation_counter::bytes_in(load) < 65536);
  CHECK(has(error, "the header must have 4294967295 bytes, and there are "));
}
#endif
