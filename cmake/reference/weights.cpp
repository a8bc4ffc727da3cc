#include <polyak/polyak.hpp>

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

// Which weight each iterate has in an average, for the pictures of the reference: iterate i is the i-th unit vector, so
// the i-th coordinate of the average is its weight. One file an averager, its settings side by side.

namespace {

using namespace polyak;
constexpr Eigen::Index iterates = 100;

template <class Averager>
Eigen::VectorXd weights_of(Averager averager) {
  const Eigen::VectorXd start = Eigen::VectorXd::Zero(iterates);
  if constexpr (requires { averager.start_from(start); }) averager.start_from(start);
  const Eigen::MatrixXd unit = Eigen::MatrixXd::Identity(iterates, iterates);
  for (Eigen::Index i = 0; i < iterates; ++i) averager.update(unit.col(i));
  return averager.average();
}

void write(const std::string& name, const std::vector<std::pair<std::string, Eigen::VectorXd>>& settings) {
  std::ofstream file(name + ".tsv");
  file << "iterate";
  for (const auto& [setting, weights] : settings) file << '\t' << setting;
  for (Eigen::Index i = 0; i < iterates; ++i) {
    file << '\n' << i + 1;
    for (const auto& [setting, weights] : settings) file << '\t' << weights[i];
  }
  file << '\n';
}

}  // namespace

int main() {
  write("TailAverage",
        {{"start = 0", weights_of(TailAverage{})}, {"start = 51", weights_of(TailAverage{{.start = 51}})}});
  write("AnytimeTailAverage", {{"fraction = 0.5", weights_of(AnytimeTailAverage{})},
                               {"fraction = 0.2", weights_of(AnytimeTailAverage{{.fraction = 0.2}})}});
  write("PolynomialAverage", {{"eta = 0", weights_of(PolynomialAverage{{.eta = 0}})},
                              {"eta = 3", weights_of(PolynomialAverage{})},
                              {"eta = 16", weights_of(PolynomialAverage{{.eta = 16}})}});
  write("RateWeightedAverage", {{"step power = 0", weights_of(RateWeightedAverage{})},
                                {"step power = 2", weights_of(RateWeightedAverage{{.step_power = 2}})}});
  write("PowerEma", {{"relative width = 0.10", weights_of(PowerEma{})},
                     {"relative width = 0.20", weights_of(PowerEma{{.relative_width = 0.20}})}});
  write("Ema", {{"decay = 0.9", weights_of(Ema{{.decay = 0.9}})},
                {"decay = 0.98", weights_of(Ema{{.decay = 0.98}})},
                {"decay = 0.98 without bias correction", weights_of(Ema{{.decay = 0.98, .bias_correction = false}})}});
  write("Swa", {{"start = 50, period = 10", weights_of(Swa{{.start = 50, .period = 10}})}});
  write("Lawa",
        {{"window = 6, every = 1", weights_of(Lawa{})}, {"window = 6, every = 10", weights_of(Lawa{{.every = 10}})}});
  write("GainAverage",
        {{"a_k = min(1, 5/k)",
          weights_of(GainAverage{{.gain = [](std::uint64_t k) { return k < 5 ? 1 : 5 / static_cast<double>(k); }}})}});
}
