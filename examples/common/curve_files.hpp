#pragma once

#include <filesystem>
#include <optional>

#include "common/output_file.hpp"

namespace examples {

/// The places for the curves, claimed before the work so that one that cannot be written to is known at once, and so is
/// a missing gnuplot. An empty path asks for no such file.
class CurveFiles {
 public:
  /// Throws BadOption where both are one file, and std::runtime_error as OutputFile and require_gnuplot do.
  CurveFiles(const std::filesystem::path& csv, const std::filesystem::path& plot);

  /// A table of the curves is wanted, be it for gnuplot alone.
  [[nodiscard]] bool wanted() const { return csv_.has_value(); }
  [[nodiscard]] std::ostream& csv() { return csv_->stream(); }
  /// Ends the writing of the table. Returns where it lies, as long as this object lives.
  [[nodiscard]] const std::filesystem::path& finish_csv() { return keeps_csv_ ? csv_->commit() : csv_->finish(); }

  /// The picture, where one is wanted.
  [[nodiscard]] std::optional<OutputFile>& plot() { return plot_; }

 private:
  bool keeps_csv_;
  std::optional<OutputFile> csv_;
  std::optional<OutputFile> plot_;
};

}  // namespace examples
