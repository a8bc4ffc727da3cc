#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "allocated.hpp"
#include "fuzz.hpp"
#include "io/files.hpp"
#include "refusal.hpp"

namespace fuzz {

/// Parameters of most kinds that a file of arrays may be loaded into.
using Arrays = std::tuple<Eigen::VectorXd, Eigen::MatrixXf, Eigen::Matrix<double, 2, 3, Eigen::RowMajor>,
                          Eigen::Matrix<Eigen::half, 1, Eigen::Dynamic>, std::vector<float>>;

inline Arrays arrays() {
  Arrays all;
  std::get<0>(all) = Eigen::VectorXd::LinSpaced(3, 1, 3);
  std::get<1>(all) = Eigen::MatrixXf::Constant(2, 3, 4.0F);
  std::get<2>(all).setConstant(5.0);
  std::get<3>(all) = Eigen::Matrix<Eigen::half, 1, Eigen::Dynamic>::Constant(4, Eigen::half(6.0F));
  std::get<4>(all) = {7.0F, 8.0F};
  return all;
}

template <class Array>
std::string bytes_of(const Array& array) {
  const auto n = static_cast<std::size_t>(array.size()) * sizeof(*array.data());
  return {reinterpret_cast<const char*>(array.data()), n};
}

/// A directory of files in memory, where the system has such a place.
inline const files::Directory& directory() {
  static const bool in_memory = std::filesystem::is_directory("/dev/shm") && ::setenv("TMPDIR", "/dev/shm", 1) == 0;
  static const files::Directory made;
  static_cast<void>(in_memory);
  return made;
}

/// Whether f is not refused; it must not take memory that the bytes of the file do not fill.
template <class F>
bool accepted_within(std::size_t size, F f) {
  bool result = false;
  const std::size_t bytes = bytes_allocated_in([&] { result = accepted(f); });
  require(bytes <= 65536 + 1024 * size,
          [&] { return std::to_string(bytes) + " bytes allocated for " + std::to_string(size); });
  return result;
}

/// A file into each of the arrays: load(path, array) refuses it, with the array as it was, or what was loaded is the
/// same once save(path, array) has written it and it is loaded again.
template <class Load, class Save>
void check_arrays(const std::filesystem::path& path, std::size_t size, Load load, Save save) {
  static const auto again = directory() / "again";
  const auto check = [&](auto& array) {
    const std::string before = bytes_of(array);
    if (!accepted_within(size, [&] { load(path, array); })) {
      return require(bytes_of(array) == before, "what is refused changes nothing");
    }
    auto copy = array;
    for (std::size_t i = 0; i < static_cast<std::size_t>(copy.size()); ++i) copy.data()[i] = {};
    save(again, array);
    load(again, copy);
    require(bytes_of(copy) == bytes_of(array), "what was loaded is saved and loaded as it is");
  };
  Arrays all = arrays();
  std::apply([&](auto&... array) { (check(array), ...); }, all);
}

}  // namespace fuzz
