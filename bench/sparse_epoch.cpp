#include <polyak/averagers/tail_average.hpp>
#include <polyak/sparse/sparse_sgd.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "sparse_data.hpp"

// polyak_sparse_epoch DIRECTORY: the half of sparse_epoch.py that trains by polyak. Writes the samples there for the
// other half to read; then, for each line of standard input, trains a new model for one epoch, writes its weights and
// answers with the seconds of processor time that the training took.

namespace {

constexpr double rate = 0.5;
constexpr double l2 = 1e-5;

template <class T>
void write(const std::filesystem::path& file, std::span<const T> numbers) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size_bytes()));
  if (!out.flush()) throw std::runtime_error(file.string() + ": cannot be written");
}

void write_samples(const std::filesystem::path& directory, const sparse::Data& data) {
  std::vector<std::int64_t> starts{0};
  std::vector<std::int32_t> indices;
  std::vector<double> values, labels;
  for (std::size_t r = 0; r < data.rows(); ++r) {
    const auto row = data.row(r);
    indices.insert(indices.end(), row.indices.begin(), row.indices.end());
    values.insert(values.end(), row.values.begin(), row.values.end());
    labels.push_back(data.label(r));
    starts.push_back(static_cast<std::int64_t>(indices.size()));
  }
  write<std::int64_t>(directory / "starts", starts);
  write<std::int32_t>(directory / "indices", indices);
  write<double>(directory / "values", values);
  write<double>(directory / "labels", labels);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: polyak_sparse_epoch DIRECTORY\n";
    return 2;
  }
  try {
    const std::filesystem::path directory = argv[1];
    const sparse::Data data(47'236, 100'000);
    write_samples(directory, data);
    std::cout << data.features() << ' ' << data.rows() << ' ' << data.nonzeros_a_row() << ' ' << rate << ' ' << l2
              << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      polyak::SparseSgd model{{.features = data.features(), .learning_rate = rate, .l2 = l2, .intercept_rate = 0.01},
                              polyak::TailAverage{}};
      const std::clock_t start = std::clock();
      for (std::size_t r = 0; r < data.rows(); ++r) {
        model.step(data.row(r),
                   [label = data.label(r)](double score) { return sparse::logistic_derivative(score, label); });
      }
      const Eigen::VectorXd average = model.average();  // as scikit-learn's epoch ends with a dense average too
      const std::clock_t end = std::clock();
      write<double>(directory / "average", {average.data(), static_cast<std::size_t>(average.size())});
      std::cout << std::setprecision(6) << static_cast<double>(end - start) / CLOCKS_PER_SEC << std::endl;
    }
  } catch (const std::exception& error) {
    std::cerr << "polyak_sparse_epoch: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
