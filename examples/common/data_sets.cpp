#include "common/data_sets.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "common/csv.hpp"
#include "common/idx.hpp"

namespace examples {

namespace {

constexpr int n_classes = 10;

/// Room for so many samples, with the row of ones in place.
Dataset make_dataset(Eigen::Index samples, Eigen::Index pixels) {
  Dataset data;
  data.classes = n_classes;
  data.inputs.resize(pixels + 1, samples);
  data.inputs.row(pixels).setOnes();
  data.labels.resize(static_cast<std::size_t>(samples));
  return data;
}

/// The file of that name, plain or as .gz, with a dot for a hyphen, and maybe more in front of it, as in
/// emnist-digits-train-images-idx3-ubyte. Throws if there are two of them, but for a plain one beside its .gz.
std::filesystem::path find_idx(const std::filesystem::path& directory, const std::vector<std::string>& names) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (name.ends_with(".gz")) name.resize(name.size() - 3);
    std::replace(name.begin(), name.end(), '.', '-');
    const auto is_it = [&](const std::string& wanted) { return name == wanted || name.ends_with("-" + wanted); };
    if (std::any_of(names.begin(), names.end(), is_it)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) return directory / (names.front() + ".gz");
  if (found.size() > 1 && (found.size() > 2 || found[1] != found[0].string() + ".gz")) {
    throw std::runtime_error(directory.string() + ": expected one file " + names.front() + ", found " +
                             found[0].filename().string() + " and " + found[1].filename().string());
  }
  return found.front();
}

/// Of files whose names begin with one of these, or have it behind a hyphen.
Dataset load_idx(const std::filesystem::path& directory, const std::vector<std::string>& parts) {
  const auto file_of = [&](const std::string& what) {
    std::vector<std::string> names;
    for (const std::string& part : parts) names.push_back(part + what);
    return find_idx(directory, names);
  };
  const auto images_file = file_of("-images-idx3-ubyte");
  const auto labels_file = file_of("-labels-idx1-ubyte");
  const auto images = read_idx_images(images_file);
  const auto labels = read_idx_labels(labels_file, n_classes);
  if (labels.size() != images.count) {
    throw std::runtime_error(labels_file.string() + ": expected " + std::to_string(images.count) +
                             " labels, one for each image in " + images_file.filename().string() + ", found " +
                             std::to_string(labels.size()));
  }
  const Eigen::Index pixels = static_cast<Eigen::Index>(images.rows) * images.columns;
  Dataset data = make_dataset(images.count, pixels);
  using Bytes = Eigen::Matrix<std::uint8_t, Eigen::Dynamic, Eigen::Dynamic>;
  const Eigen::Map<const Bytes> bytes(images.pixels.data(), pixels, data.samples());
  data.inputs.topRows(pixels) = bytes.cast<float>() / 255.0f;
  data.labels.assign(labels.begin(), labels.end());
  return data;
}

Dataset rows_of_digits(const CsvTable& table, std::size_t first, std::size_t last) {
  constexpr std::size_t pixels = 64;
  Dataset data = make_dataset(static_cast<Eigen::Index>(last - first), pixels);
  for (std::size_t row = first; row < last; ++row) {
    const auto sample = static_cast<Eigen::Index>(row - first);
    data.labels[row - first] = table.at(row, 0);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      data.inputs(static_cast<Eigen::Index>(pixel), sample) = static_cast<float>(table.at(row, 1 + pixel)) / 16.0f;
    }
  }
  return data;
}

}  // namespace

TrainTest load_digits() {
  const std::filesystem::path file = std::filesystem::path(POLYAK_EXAMPLES_DATA_DIR) / "digits.csv";
  const CsvTable table = read_csv(file);
  constexpr std::size_t rows = 1797, columns = 65, train_rows = 1437;
  if (table.rows() != rows || table.columns.size() != columns) {
    throw std::runtime_error(file.string() + ": expected 1797 rows of 65 columns, found " +
                             std::to_string(table.rows()) + " of " + std::to_string(table.columns.size()));
  }
  for (std::size_t row = 0; row < rows; ++row) {
    const int label = table.at(row, 0);
    if (label < 0 || label >= n_classes) {
      throw std::runtime_error(file.string() + ":" + std::to_string(row + 2) +
                               ": expected a label from 0 to 9, found " + std::to_string(label));
    }
  }
  return {"digits", rows_of_digits(table, 0, train_rows), rows_of_digits(table, train_rows, rows)};
}

TrainTest load_idx_directory(const std::filesystem::path& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw std::runtime_error(directory.string() + ": no such directory");
  }
  TrainTest data{directory.filename().string(), load_idx(directory, {"train"}), load_idx(directory, {"t10k", "test"})};
  if (data.train.inputs.rows() != data.test.inputs.rows()) {
    throw std::runtime_error(directory.string() + ": expected test images of " +
                             std::to_string(data.train.inputs.rows() - 1) + " pixels, as in training, found " +
                             std::to_string(data.test.inputs.rows() - 1));
  }
  return data;
}

TrainTest load_data(const std::string& name) {
  if (name == "digits") return load_digits();
  if (name != "fashion-mnist") return load_idx_directory(name);
  const std::filesystem::path packaged = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::is_directory(packaged)) {
    throw std::runtime_error(packaged.string() +
                             ": no such directory; on Debian and Ubuntu: apt-get install dataset-fashion-mnist, "
                             "elsewhere give the directory of its four IDX files in place of the name");
  }
  TrainTest data = load_idx_directory(packaged);
  data.name = "Fashion-MNIST";
  return data;
}

}  // namespace examples
