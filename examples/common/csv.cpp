#include "common/csv.hpp"

#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string_view>

#include "common/input_file.hpp"
#include "common/printable.hpp"

namespace examples {

namespace {

std::vector<std::string_view> split(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> cells;
  for (;;) {
    const std::size_t comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

}  // namespace

CsvTable read_csv(std::istream& stream, const std::string& name) {
  std::size_t line_number = 0;
  const auto fail = [&](const std::string& expected, const std::string& found) {
    throw std::runtime_error(name + ":" + std::to_string(line_number) + ": expected " + expected + ", found " + found);
  };

  CsvTable table;
  for (std::string line; std::getline(stream, line);) {
    ++line_number;
    const auto cells = split(line);
    if (line_number == 1) {
      table.columns.assign(cells.begin(), cells.end());
      continue;
    }
    if (cells.size() != table.columns.size()) {
      fail(std::to_string(table.columns.size()) + " cells", std::to_string(cells.size()));
    }
    for (const std::string_view cell : cells) {
      int value = 0;
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
      if (error != std::errc() || end != cell.data() + cell.size()) {
        fail("a whole number", cell.empty() ? "an empty cell" : printable(cell));
      }
      table.values.push_back(value);
    }
  }
  if (stream.bad()) throw std::runtime_error(name + ": cannot be read");
  if (table.values.empty()) {
    ++line_number;
    fail(table.columns.empty() ? "a line of column names" : "a row of numbers", "the end of the file");
  }
  return table;
}

CsvTable read_csv(const std::filesystem::path& file) {
  auto stream = open_input(file);
  return read_csv(stream, file.string());
}

std::ostream& operator<<(std::ostream& out, CsvNumber number) {
  return std::isnan(number.value) ? out : out << number.value;
}

}  // namespace examples
