#include "common/curve_files.hpp"

#include "common/gnuplot.hpp"
#include "common/program.hpp"

namespace examples {

CurveFiles::CurveFiles(const std::filesystem::path& csv, const std::filesystem::path& plot) : keeps_csv_(!csv.empty()) {
  if (keeps_csv_ && csv == plot) throw BadOption("--plot: must be another file than --csv");
  if (!plot.empty()) {
    require_gnuplot();
    plot_.emplace(plot);
  }
  if (keeps_csv_) {
    csv_.emplace(csv);
  } else if (plot_) {
    csv_.emplace(plot.string() + ".csv");  // for gnuplot alone, never to be finished
  }
}

}  // namespace examples
