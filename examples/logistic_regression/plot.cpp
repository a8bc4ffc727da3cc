#include "logistic_regression/plot.hpp"

#include "common/gnuplot.hpp"

namespace examples {

void plot_curves(const std::filesystem::path& csv, const std::filesystem::path& svg, const std::string& title,
                 const Shown& shown) {
  std::string keys;
  for (std::size_t k = 0; k < n_weights; ++k) {
    if (shown[k]) keys += std::string(" ") + weights_keys[k];
  }
  run_gnuplot(POLYAK_EXAMPLES_PLOT_SCRIPT, {csv.string(), svg.string(), title, keys});
}

}  // namespace examples
