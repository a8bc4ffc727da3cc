#include <polyak/io/checkpoint.hpp>
#include <polyak/io/npy.hpp>
#include <polyak/polyak.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <stdexcept>
#include <string>

// Writes the files that check_arrays.py reads back with NumPy, and a run, into the directory that is its argument.
// Given a file and the name of a tensor too, loads that into 3 x 4 floats, which must be r − c/4.

namespace {

/// x[r, c] = r − c/4.
template <class Scalar, int Order = Eigen::ColMajor>
auto values(Eigen::Index rows, Eigen::Index cols) {
  Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Order> result(rows, cols);
  for (Eigen::Index r = 0; r < rows; ++r) {
    for (Eigen::Index c = 0; c < cols; ++c) {
      result(r, c) = static_cast<Scalar>(static_cast<float>(r) - static_cast<float>(c) / 4);
    }
  }
  return result;
}

template <class Scalar>
void write_npy(const std::filesystem::path& directory, const std::string& scalar) {
  using polyak::save_npy;
  save_npy(directory / (scalar + "_fortran.npy"), values<Scalar>(30, 40));
  save_npy(directory / (scalar + "_c.npy"), values<Scalar, Eigen::RowMajor>(30, 40));
  save_npy(directory / (scalar + "_vector.npy"), values<Scalar>(30, 40).col(0));
  save_npy(directory / (scalar + "_column.npy"), values<Scalar>(30, 1));
  save_npy(directory / (scalar + "_empty.npy"), values<Scalar>(0, 40));
}

void write_run(const std::filesystem::path& path) {
  Eigen::VectorXd theta = Eigen::VectorXd::Zero(3);
  polyak::Averaged opt(polyak::Sgd<double>({.learning_rate = 0.25, .momentum = 0.5}), polyak::TailAverage{},
                       polyak::Ema<>({.decay = 0.5}));
  for (int t = 1; t <= 3; ++t) opt.step(theta, Eigen::VectorXd::Constant(3, -t).eval());
  const std::uint64_t epoch = 3;
  polyak::save(path, polyak::named("weights", theta), polyak::named("opt", opt), polyak::named("epoch", epoch),
               polyak::named("note", "ü \"quoted\""));
}

int read(const std::filesystem::path& path, const std::string& name) {
  Eigen::MatrixXf w = Eigen::MatrixXf::Zero(3, 4);
  try {
    polyak::load(path, polyak::named(name, w));
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << '\n';
  }
  return w == values<float>(3, 4) ? 0 : 1;
}

}  // namespace

int main(int argc, char* argv[]) {
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: polyak_write_arrays directory\n       polyak_write_arrays file tensor\n";
    return 2;
  }
  if (argc == 3) return read(argv[1], argv[2]);
  const std::filesystem::path directory = argv[1];
  write_npy<Eigen::half>(directory, "float16");
  write_npy<float>(directory, "float32");
  write_npy<double>(directory, "float64");
  if constexpr (std::numeric_limits<long double>::digits > 53) write_npy<long double>(directory, "float128");

  const auto columns = values<float>(300, 400);
  const auto rows = values<double, Eigen::RowMajor>(30, 40);
  const Eigen::VectorXd vector = values<double>(30, 1);
  const auto half = values<Eigen::half>(3, 5);
  const auto brain = values<Eigen::bfloat16>(3, 5);
  const Eigen::MatrixXf empty(0, 40);
  using polyak::named;
  polyak::save(directory / "tensors.safetensors", named("step", "7"), named("columns", columns), named("empty", empty),
               named("half", half), named("brain", brain), named("set", polyak::ParameterSet{rows, vector}));
  write_run(directory / "run.safetensors");
}
