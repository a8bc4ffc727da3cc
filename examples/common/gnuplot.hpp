#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace examples {

/// Throws std::runtime_error where gnuplot cannot be run.
void require_gnuplot();

/// Runs gnuplot on plot_style.gp and then on a script, which finds the arguments in ARG1, ARG2, … Throws
/// std::runtime_error where gnuplot cannot be run or fails.
void run_gnuplot(const std::filesystem::path& script, const std::vector<std::string>& arguments);

}  // namespace examples
