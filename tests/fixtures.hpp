#pragma once

#include <Eigen/Core>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <istream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// Reads the CSV files of tests/fixtures: lines of comment (#), one line of column names, then rows of as many cells.
/// There is no quoting. A vector is one column a coordinate: theta_0, theta_1, …
/// Everything wrong throws std::runtime_error("file:line: what"): a fixture that cannot be read must never pass a test.

namespace fixtures {

class Table;

/// One row, its cells by column name.
class Row {
 public:
  Row(const Table& table, std::size_t index) : table_(&table), index_(index) {}

  const std::string& text(const std::string& column) const;
  double number(const std::string& column) const;
  std::uint64_t integer(const std::string& column) const;
  Eigen::VectorXd vector(const std::string& name) const;

 private:
  [[noreturn]] void fail(const std::string& column, const std::string& rule) const;

  const Table* table_;
  std::size_t index_;
};

class Table {
 public:
  /// `name` is what errors call the input.
  Table(std::istream& input, std::string name) : name_(std::move(name)) {
    std::size_t line_number = 0;
    for (std::string line; std::getline(input, line);) {
      ++line_number;
      if (columns_.empty() && line.starts_with('#')) continue;
      const auto cells = split(line);
      if (columns_.empty()) {
        for (const auto& cell : cells) {
          if (cell.empty()) fail(line_number, "a column without a name");
          if (!columns_.emplace(cell, columns_.size()).second) fail(line_number, "two columns '" + cell + "'");
        }
      } else {
        if (cells.size() != columns_.size()) {
          fail(line_number,
               "expected " + std::to_string(columns_.size()) + " cells, got " + std::to_string(cells.size()));
        }
        rows_.push_back({line_number, cells});
      }
    }
    if (input.bad()) fail(line_number, "cannot be read to the end");
    if (rows_.empty()) fail(line_number, "no rows");
  }

  std::size_t size() const { return rows_.size(); }
  Row operator[](std::size_t index) const { return {*this, index}; }

  /// The rows in stretches that agree in the given columns, in the order of the file.
  std::vector<std::vector<Row>> runs(const std::vector<std::string>& columns) const {
    std::vector<std::vector<Row>> result;
    for (std::size_t i = 0; i < size(); ++i) {
      bool same = i > 0;
      for (const auto& column : columns) same = same && (*this)[i].text(column) == (*this)[i - 1].text(column);
      if (!same) result.emplace_back();
      result.back().push_back((*this)[i]);
    }
    return result;
  }

 private:
  friend class Row;

  struct Line {
    std::size_t number;
    std::vector<std::string> cells;
  };

  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> cells(1);
    for (const char c : line) {
      if (c == ',') {
        cells.emplace_back();
      } else {
        cells.back() += c;
      }
    }
    return cells;
  }

  [[noreturn]] void fail(std::size_t line_number, const std::string& what) const {
    throw std::runtime_error(name_ + ":" + std::to_string(line_number) + ": " + what);
  }

  std::string name_;
  std::map<std::string, std::size_t> columns_;
  std::vector<Line> rows_;
};

inline void Row::fail(const std::string& column, const std::string& rule) const {
  table_->fail(table_->rows_[index_].number,
               "column '" + column + "' must be " + rule + ", got '" + text(column) + "'");
}

inline const std::string& Row::text(const std::string& column) const {
  const auto& line = table_->rows_[index_];
  const auto found = table_->columns_.find(column);
  if (found == table_->columns_.end()) table_->fail(line.number, "no column '" + column + "'");
  return line.cells[found->second];
}

inline double Row::number(const std::string& column) const {
  const std::string& cell = text(column);
  char* end = nullptr;
  const double value = std::strtod(cell.c_str(), &end);
  const bool starts_well = !cell.empty() && (cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9'));
  // By its bits, so that -ffast-math cannot assume the answer.
  constexpr std::uint64_t exponent = 0x7FF0'0000'0000'0000;
  const bool finite = (std::bit_cast<std::uint64_t>(value) & exponent) != exponent;
  if (!starts_well || end != cell.c_str() + cell.size() || !finite) fail(column, "a finite number");
  return value;
}

inline std::uint64_t Row::integer(const std::string& column) const {
  const std::string& cell = text(column);
  const bool digits = !cell.empty() && cell.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || cell.size() > std::numeric_limits<std::uint64_t>::digits10) fail(column, "a whole number");
  return std::strtoull(cell.c_str(), nullptr, 10);
}

inline Eigen::VectorXd Row::vector(const std::string& name) const {
  Eigen::Index size = 0;
  while (table_->columns_.contains(name + "_" + std::to_string(size))) ++size;
  if (size == 0) table_->fail(table_->rows_[index_].number, "no column '" + name + "_0'");
  Eigen::VectorXd result(size);
  for (Eigen::Index i = 0; i < size; ++i) result[i] = number(name + "_" + std::to_string(i));
  return result;
}

/// Reads tests/fixtures/<name>.
inline Table read(const std::string& name) {
  const std::string path = POLYAK_FIXTURE_DIR "/" + name;
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ":0: cannot be opened");
  return {file, path};
}

}  // namespace fixtures
