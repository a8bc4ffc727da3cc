#include "common/svmlight.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "allocated.hpp"
#include "fuzz.hpp"
#include "gzip.hpp"

// Any bytes as a file of SVMlight's. Where it is not gzip, a second reader below, written for nothing but to be plainly
// right, says what must be read of it and which line is the first to be refused. What is read is read the same when it
// is written down again, and when the file is packed; its summary says what it holds.

namespace {

using examples::IndexBase;
using examples::SvmlightSample;

struct Reading {
  std::vector<SvmlightSample> samples;
  std::string refusal;
};

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

bool same(const SvmlightSample& a, const SvmlightSample& b) {
  const auto same_bits = [](double x, double y) { return bits(x) == bits(y); };
  return same_bits(a.label, b.label) && a.indices == b.indices &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(), b.values.end(), same_bits);
}
bool same(const std::vector<SvmlightSample>& a, const std::vector<SvmlightSample>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return same(x, y); });
}

Reading read(const std::string& file, IndexBase base) {
  Reading reading;
  reading.refusal = fuzz::refusal_of([&] {
    std::istringstream stream(file);
    examples::SvmlightReader reader(stream, "file", base);
    for (SvmlightSample sample; reader.next(sample);) reading.samples.push_back(sample);
  });
  for (const SvmlightSample& sample : reading.samples) {
    fuzz::require(std::isfinite(sample.label), "a label is finite");
    fuzz::require(sample.indices.size() == sample.values.size(), "each index has a value");
    fuzz::require(std::adjacent_find(sample.indices.begin(), sample.indices.end(), std::greater_equal<>()) ==
                      sample.indices.end(),
                  "indices ascend");
    fuzz::require(std::all_of(sample.values.begin(), sample.values.end(), [](double x) { return std::isfinite(x); }),
                  "values are finite");
  }
  return reading;
}

// The second reader.

std::size_t digits_at(std::string_view text, std::size_t from) {
  std::size_t n = 0;
  while (from + n < text.size() && std::isdigit(static_cast<unsigned char>(text[from + n]))) ++n;
  return n;
}

std::optional<double> number(std::string_view text) {
  std::size_t at = text.starts_with('+') || text.starts_with('-') ? 1 : 0;
  std::size_t digits = digits_at(text, at);
  at += digits;
  if (text.substr(at).starts_with('.')) {
    const std::size_t fraction = digits_at(text, ++at);
    at += fraction;
    digits += fraction;
  }
  if (digits == 0) return {};
  if (text.substr(at).starts_with('e') || text.substr(at).starts_with('E')) {
    ++at;
    if (text.substr(at).starts_with('+') || text.substr(at).starts_with('-')) ++at;
    const std::size_t exponent = digits_at(text, at);
    if (exponent == 0) return {};
    at += exponent;
  }
  if (at != text.size()) return {};
  const double value = std::strtod(std::string(text).c_str(), nullptr);
  return std::isinf(value) ? std::nullopt : std::optional(value);
}

std::optional<std::uint64_t> natural(std::string_view text, std::uint64_t max) {
  if (text.empty() || digits_at(text, 0) != text.size()) return {};
  std::uint64_t value = 0;
  for (const char digit : text) {
    const auto next = static_cast<std::uint64_t>(digit - '0');
    if (value > (max - next) / 10) return {};
    value = 10 * value + next;
  }
  return value;
}

bool is_query(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return natural(text, (std::uint64_t{1} << 63) - (negative ? 0 : 1)).has_value();
}

std::vector<std::string_view> tokens(std::string_view line) {
  constexpr std::string_view blanks = " \t\r\v\f";
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> found;
  for (std::size_t at = 0;;) {
    at = line.find_first_not_of(blanks, at);
    if (at == std::string_view::npos) return found;
    const std::size_t end = std::min(line.find_first_of(blanks, at), line.size());
    found.push_back(line.substr(at, end - at));
    at = end;
  }
}

/// No sample where there is none in the line; no value where it must be refused.
std::optional<std::optional<SvmlightSample>> sample_of(std::string_view line, IndexBase base) {
  using Nothing = std::optional<SvmlightSample>;
  std::vector<std::string_view> found = tokens(line);
  if (found.empty()) return Nothing{};
  SvmlightSample sample;
  const auto label = number(found[0]);
  if (!label) return {};
  sample.label = *label;
  found.erase(found.begin());
  if (!found.empty() && found[0].starts_with("qid:")) {
    if (!is_query(found[0].substr(4))) return {};
    found.erase(found.begin());
  }
  for (const std::string_view token : found) {
    const std::size_t colon = token.find(':');
    if (colon == std::string_view::npos) return {};
    const auto index = natural(token.substr(0, colon), 0xffffffff);
    const auto value = number(token.substr(colon + 1));
    const auto first = static_cast<std::uint32_t>(base);
    if (!index || *index < first || !value) return {};
    const auto from_zero = static_cast<std::uint32_t>(*index - first);
    if (!sample.indices.empty() && from_zero <= sample.indices.back()) return {};
    sample.indices.push_back(from_zero);
    sample.values.push_back(*value);
  }
  return sample;
}

void require_same_as_second_reader(const std::string& file, IndexBase base, const Reading& reading) {
  std::vector<SvmlightSample> samples;
  std::size_t line = 0;
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t end = std::min(file.find('\n', at), file.size());
    const auto sample = sample_of(std::string_view(file).substr(at, end - at), base);
    ++line;
    if (!sample) {
      const std::string expected = "file:" + std::to_string(line) + ": expected ";
      const bool named = line == 1 && reading.refusal.starts_with("file: expected plain bytes or gzip, found ");
      fuzz::require(named || reading.refusal.starts_with(expected),
                    [&] { return "line " + std::to_string(line) + " is refused by name, got " + reading.refusal; });
      return;
    }
    if (*sample) samples.push_back(**sample);
    at = end + 1;
  }
  fuzz::require(reading.refusal.empty(), [&] { return "a good file is read, got " + reading.refusal; });
  fuzz::require(same(reading.samples, samples), "the samples are those in the file");
}

// What follows from what was read.

std::string written(const std::vector<SvmlightSample>& samples, IndexBase base) {
  std::string text;
  const auto write = [&](auto x) {
    std::array<char, 32> digits;
    text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr);
  };
  for (const SvmlightSample& sample : samples) {
    write(sample.label);
    for (std::size_t i = 0; i < sample.indices.size(); ++i) {
      text += ' ';
      write(sample.indices[i] + static_cast<std::uint64_t>(base));
      text += ':';
      write(sample.values[i]);
    }
    text += '\n';
  }
  return text;
}

constexpr std::size_t max_labels = 4;

void require_summary(const std::string& file, std::optional<IndexBase> base, const Reading& from_zero,
                     const Reading& by_base) {
  examples::SvmlightSummary summary;
  const std::string refusal = fuzz::refusal_of([&] {
    std::istringstream stream(file);
    summary = examples::summarize_svmlight(stream, "file", max_labels, base);
  });
  const Reading& reading = base ? by_base : from_zero;
  std::vector<double> labels;
  std::uint64_t features = 0;
  bool has_zero = false;
  for (const SvmlightSample& sample : reading.samples) {
    if (std::find(labels.begin(), labels.end(), sample.label) == labels.end()) labels.push_back(sample.label);
    if (sample.indices.empty()) continue;
    has_zero |= sample.indices.front() == 0;
    features = std::max<std::uint64_t>(features, sample.indices.back() + std::uint64_t{1});
  }
  std::sort(labels.begin(), labels.end());
  if (labels.size() > max_labels) {
    return fuzz::require(refusal.ends_with(": expected at most 4 different labels, found one more"),
                         "more labels than asked for are refused");
  }
  fuzz::require(refusal == reading.refusal, "a summary refuses what its reader does");
  if (!refusal.empty()) return;
  const IndexBase found = base.value_or(has_zero ? IndexBase::zero : IndexBase::one);
  const bool shifted = !base && found == IndexBase::one && features > 0;
  fuzz::require(summary.base == found, "indices from 0 on have a 0");
  fuzz::require(summary.samples == reading.samples.size(), "every sample is counted");
  fuzz::require(summary.features == features - (shifted ? 1 : 0), "the highest index is counted from the base");
  fuzz::require(summary.labels == labels, "labels are those that occur");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  Reading from_zero;
  for (const IndexBase base : {IndexBase::zero, IndexBase::one}) {
    Reading reading;
    const std::size_t bytes = fuzz::bytes_allocated_in([&] { reading = read(file, base); });
    constexpr std::size_t buffers = 1 << 18;
    fuzz::require(bytes <= buffers + 256 * fuzz::most_bytes_in(file),
                  [&] { return std::to_string(bytes) + " bytes allocated for " + std::to_string(size); });

    const Reading again = read(written(reading.samples, base), base);
    fuzz::require(again.refusal.empty() && same(again.samples, reading.samples), "what was read can be read again");
    if (base == IndexBase::zero) from_zero = reading;
    require_summary(file, base, from_zero, reading);
    if (fuzz::is_gzip(file)) {
      fuzz::require(reading.refusal.empty() || reading.refusal.starts_with("file:"), "a refusal names the file");
      continue;
    }
    require_same_as_second_reader(file, base, reading);
    const Reading packed = read(fuzz::gzip(file), base);
    fuzz::require(packed.refusal == reading.refusal && same(packed.samples, reading.samples),
                  "a file is read packed as it is read plain");
  }
  require_summary(file, {}, from_zero, from_zero);
  return 0;
}
