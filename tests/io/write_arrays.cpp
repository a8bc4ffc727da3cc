#include <polyak/io/npy.hpp>

#include <Eigen/Core>

#include <filesystem>
#include <iostream>
#include <limits>
#include <string>

#if __has_include(<nlohmann/json.hpp>)
#include <polyak/io/safetensors.hpp>
#endif

// Writes the files that check_arrays.py reads back with NumPy, into the directory that is its argument.

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

}  // namespace

int main(int argc, char* argv[]) {
  if (argc != 2) {
    std::cerr << "usage: polyak_write_arrays directory\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  write_npy<Eigen::half>(directory, "float16");
  write_npy<float>(directory, "float32");
  write_npy<double>(directory, "float64");
  if constexpr (std::numeric_limits<long double>::digits > 53) write_npy<long double>(directory, "float128");

#if __has_include(<nlohmann/json.hpp>)
  const auto columns = values<float>(300, 400);
  const auto rows = values<double, Eigen::RowMajor>(30, 40);
  const Eigen::VectorXd vector = values<double>(30, 1);
  const auto half = values<Eigen::half>(3, 5);
  const auto brain = values<Eigen::bfloat16>(3, 5);
  const Eigen::MatrixXf empty(0, 40);
  using polyak::named;
  polyak::save_safetensors(directory / "tensors.safetensors", {{"step", "7"}}, named("columns", columns),
                           named("empty", empty), named("half", half), named("brain", brain),
                           named("set", polyak::ParameterSet{rows, vector}));
#endif
}
