#include "common/table.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "common/statistics.hpp"

namespace examples {

namespace {

/// Characters, not bytes: those of UTF-8 that continue one do not count.
std::size_t width(const std::string& cell) {
  return static_cast<std::size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Table& table) {
  std::vector<std::size_t> widths;
  for (const auto& row : table.rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : table.rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - width(row[i]), ' ');
      line += i == 0 ? row[i] + gap : "   " + gap + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
  return out;
}

std::string fixed(double value, int digits) {
  if (std::isnan(value)) return "nan";  // printf says "-nan" of some
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  const std::string number = text.str();
  const bool zero = number.find_first_not_of("-0.") == std::string::npos;
  return zero && number.front() == '-' ? number.substr(1) : number;
}

std::string with_spread(const std::vector<double>& values, int digits) {
  const std::string center = fixed(mean(values), digits);
  return values.size() < 2 ? center : center + " ± " + fixed(standard_deviation(values), digits);
}

}  // namespace examples
