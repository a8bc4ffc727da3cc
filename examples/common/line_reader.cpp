#include "common/line_reader.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/input_file.hpp"

namespace examples {

LineReader::LineReader(const std::filesystem::path& file) : file_(open_input(file)), bytes_(file_, file.string()) {}

bool LineReader::next(std::string& line) {
  line.clear();
  bool found = false;
  for (;;) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = bytes_.read(buffer_);
      if (end_ == 0) break;
    }
    found = true;
    const auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(begin_);
    const auto last = buffer_.begin() + static_cast<std::ptrdiff_t>(end_);
    const auto newline = std::find(first, last, '\n');
    line.append(first, newline);
    begin_ = static_cast<std::size_t>(newline - buffer_.begin());
    if (newline == last) continue;
    ++begin_;
    break;
  }
  line_number_ += found;
  return found;
}

void LineReader::fail(const std::string& expected, const std::string& found) const {
  throw std::runtime_error(name() + ":" + std::to_string(line_number_) + ": expected " + expected + ", found " + found);
}

}  // namespace examples
