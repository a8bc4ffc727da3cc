#pragma once

#include <filesystem>
#include <string>

#include "logistic_regression/report.hpp"

namespace examples {

/// Draws the curves in `csv` as SVG in `svg`, by running gnuplot on plot.gp. Throws std::runtime_error where gnuplot
/// cannot be run or fails.
void plot_curves(const std::filesystem::path& csv, const std::filesystem::path& svg, const std::string& title,
                 const Shown& shown);

}  // namespace examples
