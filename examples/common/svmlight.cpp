#include "common/svmlight.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <system_error>

#include "common/printable.hpp"

namespace examples {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr std::uint32_t max_index = std::numeric_limits<std::uint32_t>::max();

/// Cuts the next token off the line; an empty one at its end.
std::string_view next_token(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  const std::string_view token = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(token.size());
  return token;
}

/// All of the text is a number; what is written to `number` otherwise is of no meaning.
template <class Number>
bool is_number(std::string_view text, Number& number) {
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  return error == std::errc() && end == last;
}

/// std::from_chars takes no leading plus, which labels are often written with.
std::string_view without_plus(std::string_view text) {
  return text.starts_with('+') && !text.starts_with("+-") ? text.substr(1) : text;
}

/// By a reader of base zero where the base is to be found.
SvmlightSummary summarize(SvmlightReader reader, std::size_t max_labels, std::optional<IndexBase> base) {
  SvmlightSummary summary;
  bool has_zero = false;
  SvmlightSample sample;
  while (reader.next(sample)) {
    ++summary.samples;
    const auto place = std::lower_bound(summary.labels.begin(), summary.labels.end(), sample.label);
    if (place == summary.labels.end() || *place != sample.label) {
      if (summary.labels.size() == max_labels) {
        reader.fail("at most " + std::to_string(max_labels) + " different labels", "one more");
      }
      summary.labels.insert(place, sample.label);
    }
    if (sample.indices.empty()) continue;
    has_zero = has_zero || sample.indices.front() == 0;
    summary.features = std::max(summary.features, std::uint64_t{sample.indices.back()} + 1);
  }
  summary.base = base.value_or(has_zero ? IndexBase::zero : IndexBase::one);
  if (!base && !has_zero && summary.features > 0) --summary.features;
  return summary;
}

}  // namespace

double SvmlightReader::number(const std::string& what, std::string_view text) const {
  const std::string_view digits = without_plus(text);
  const char* const last = digits.data() + digits.size();
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), last, value);
  const bool out_of_range = error == std::errc::result_out_of_range;
  if (out_of_range) value = std::strtod(std::string(digits).c_str(), nullptr);  // tells 0 from infinity
  if ((error != std::errc() && !out_of_range) || end != last || !std::isfinite(value)) {
    fail("a finite number as " + what, printable(text));
  }
  return value;
}

void SvmlightReader::read_feature(std::string_view token, SvmlightSample& sample) const {
  const std::size_t colon = token.find(':');
  if (colon == std::string_view::npos) fail("index:value", printable(token));
  const std::string_view name = token.substr(0, colon);
  if (name == "qid") fail("qid:number between the label and the features", "it elsewhere");

  const auto first = static_cast<std::uint32_t>(base_);
  std::uint32_t index = 0;
  if (!is_number(name, index) || index < first) {
    fail("an index from " + std::to_string(first) + " to " + std::to_string(max_index), printable(name));
  }
  index -= first;
  if (!sample.indices.empty() && index <= sample.indices.back()) {
    fail("an index above " + std::to_string(sample.indices.back() + first), printable(name));
  }
  sample.values.push_back(number("the value of index " + std::string(name), token.substr(colon + 1)));
  sample.indices.push_back(index);
}

bool SvmlightReader::next(SvmlightSample& sample) {
  sample.indices.clear();
  sample.values.clear();
  while (lines_.next(line_)) {
    std::string_view rest = line_;
    rest = rest.substr(0, rest.find('#'));
    const std::string_view label = next_token(rest);
    if (label.empty()) continue;

    if (label.find(',') != std::string_view::npos) fail("one label", "several: " + printable(label));
    sample.label = number("the label", label);
    std::string_view token = next_token(rest);
    if (token.starts_with("qid:")) {
      std::int64_t query = 0;
      if (!is_number(without_plus(token.substr(4)), query)) fail("qid:number", printable(token));
      token = next_token(rest);
    }
    for (; !token.empty(); token = next_token(rest)) read_feature(token, sample);
    return true;
  }
  return false;
}

SvmlightSummary summarize_svmlight(const std::filesystem::path& file, std::size_t max_labels,
                                   std::optional<IndexBase> base) {
  return summarize({file, base.value_or(IndexBase::zero)}, max_labels, base);
}

SvmlightSummary summarize_svmlight(std::istream& stream, const std::string& name, std::size_t max_labels,
                                   std::optional<IndexBase> base) {
  return summarize({stream, name, base.value_or(IndexBase::zero)}, max_labels, base);
}

}  // namespace examples
