#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/line_reader.hpp"

/// The text files of SVMlight and LIBSVM, one sample a line, plain or gzip:
///
///     label [qid:number] index:value index:value … [# comment]
///
/// Indices ascend strictly, from 0 or from 1 on, which the files do not tell. A query is checked to be a number and
/// then ignored, as is a line of nothing but blanks and a comment. Blanks are spaces, tabs and carriage returns.
///
/// Everything throws std::runtime_error("<name>:<line>: expected …, found …") on what does not look so, on several
/// labels, on an index that does not fit 32 bits, and on numbers that are infinite, NaN or beyond a double, one of
/// which would spoil every weight. What is nearer to 0 than any double is 0.

namespace examples {

/// What the first feature of a file is called.
enum class IndexBase : std::uint32_t { zero = 0, one = 1 };

struct SvmlightSample {
  double label = 0;
  std::vector<std::uint32_t> indices;  ///< from 0 on, whatever the file calls the first
  std::vector<double> values;
};

/// Reads one sample at a time, in the memory of the longest line: the file may be larger than memory.
class SvmlightReader {
 public:
  SvmlightReader(std::istream& stream, std::string name, IndexBase base)
      : lines_(stream, std::move(name)), base_(base) {}
  SvmlightReader(const std::filesystem::path& file, IndexBase base) : lines_(file), base_(base) {}

  /// The next sample, for which memory that `sample` holds is used again; false at the end.
  bool next(SvmlightSample& sample);

  /// For what is wrong with the sample read last, as read() would throw it.
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const { lines_.fail(expected, found); }

  [[nodiscard]] IndexBase base() const { return base_; }

 private:
  double number(const std::string& what, std::string_view text) const;
  void read_feature(std::string_view token, SvmlightSample& sample) const;

  LineReader lines_;
  std::string line_;
  IndexBase base_;
};

/// What only the whole file tells.
struct SvmlightSummary {
  IndexBase base = IndexBase::one;
  std::uint64_t samples = 0;
  std::uint64_t features = 0;  ///< one more than the highest index, counted from `base`
  std::vector<double> labels;  ///< those that occur, ascending
};

/// Reads a file through, in the memory of its longest line and of its different labels, more than `max_labels` of which
/// are refused. Where no base is given it is found as scikit-learn does: zero where there is an index 0, else one,
/// which is not known before the end. (Where a file from 0 on never uses its first feature this is wrong and renames
/// all features, which does no harm as long as the other files of a data set are read by the same base.)
[[nodiscard]] SvmlightSummary summarize_svmlight(const std::filesystem::path& file, std::size_t max_labels,
                                                 std::optional<IndexBase> base = {});
[[nodiscard]] SvmlightSummary summarize_svmlight(std::istream& stream, const std::string& name, std::size_t max_labels,
                                                 std::optional<IndexBase> base = {});

}  // namespace examples
