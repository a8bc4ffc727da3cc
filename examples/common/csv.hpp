#pragma once

#include <filesystem>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

namespace examples {

/// A CSV file of whole numbers: one line of column names, then lines of as many numbers.
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<int> values;  ///< row by row

  [[nodiscard]] std::size_t rows() const { return values.size() / columns.size(); }
  [[nodiscard]] int at(std::size_t row, std::size_t column) const { return values[row * columns.size() + column]; }
};

/// Throws std::runtime_error("<name>:<line>: expected …, found …") on anything else, a file with no rows included.
[[nodiscard]] CsvTable read_csv(std::istream& stream, const std::string& name);
[[nodiscard]] CsvTable read_csv(const std::filesystem::path& file);

/// A number as a cell, which is empty for NaN.
struct CsvNumber {
  double value;

  friend std::ostream& operator<<(std::ostream& out, CsvNumber number);
};

}  // namespace examples
