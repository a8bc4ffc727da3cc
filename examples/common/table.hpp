#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Columns set flush: the first to the left, the others to the right. Cells are UTF-8.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  friend std::ostream& operator<<(std::ostream& out, const Table& table);

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "0.345", with so many digits after the point.
[[nodiscard]] std::string fixed(double value, int digits);

/// "0.345 ± 0.002": mean and standard deviation, the mean alone of one value.
[[nodiscard]] std::string with_spread(const std::vector<double>& values, int digits);

}  // namespace examples
