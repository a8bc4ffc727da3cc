#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// How far averages in shadows of several types are from the same recursion in long double on the same weights, as
// Markdown:
//
//     polyak_precision [folds of the uniform mean, 1e8] [--all]
//
// A weight of size w lies at w (1 + e^{−t/τ}/2) + noise after step t of n. Two runs: a noisy one, whose noise has
// standard deviation w/100, and a quiet one with w/10000, which asks more of a shadow: where changes are noisy, their
// roundings average out. The table has the larger error of the two. An EMA makes n = 20/(1 − β) folds, τ = n/10, so
// that it has 9 memories for all but a thousandth of the start. Errors are those of what copy_average_to gives,
// relative to the average in long double, over all coordinates and the last fifth of the run, looked at 64 times.

namespace {

using polyak::Compensated;
using polyak::Ema;
using polyak::TailAverage;

constexpr std::size_t coordinates = 8;
constexpr std::array betas{0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999};
constexpr std::array noises{1e-2, 1e-4};

struct Error {
  long double largest = 0;
  long double squares = 0;
  std::uint64_t count = 0;

  void add(long double error) {
    largest = std::max(largest, std::abs(error));
    squares += error * error;
    ++count;
  }
  [[nodiscard]] long double rms() const { return std::sqrt(squares / static_cast<long double>(count)); }
};

/// The weights after each step, out of 64 random bits each.
template <class Weight>
class Training {
 public:
  Training(std::uint64_t steps, double noise) : noise_(noise) {
    shrink_ = std::exp(-10 / static_cast<double>(steps));
    for (std::size_t i = 0; i < coordinates; ++i) {
      size_[i] =
          std::ldexp(1 + static_cast<double>(random()) * 0x1p-64, static_cast<int>(i) - 5) * (i % 2 == 0 ? 1 : -1);
    }
  }
  const std::array<Weight, coordinates>& next() {
    distance_ *= shrink_;
    for (std::size_t i = 0; i < coordinates; ++i) {
      // The sum of four uniform numbers is near enough to normal: its standard deviation is 2^16/√3.
      const std::uint64_t bits = random();
      const auto sum =
          static_cast<double>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
      const double normal = (sum - 2 * 65535) * (0x1p-16 * 1.7320508075688772);
      weights_[i] = static_cast<Weight>(size_[i] * (1 + distance_ + noise_ * normal));
    }
    return weights_;
  }

 private:
  /// SplitMix64 (Steele, Lea & Flood 2014).
  std::uint64_t random() {
    std::uint64_t x = state_ += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
  }

  std::uint64_t state_ = 1;
  double noise_;
  double shrink_ = 1;
  double distance_ = 0.5;
  std::array<double, coordinates> size_{};
  std::array<Weight, coordinates> weights_{};
};

/// Folds the same weights into every averager and into long double, by gain(k).
template <class Weight, class Gain, class... Averagers>
std::array<Error, sizeof...(Averagers)> run(std::uint64_t folds, double noise, Gain gain, Averagers... averagers) {
  Training<Weight> training(folds, noise);
  std::array<long double, coordinates> exact{};
  std::array<Error, sizeof...(Averagers)> errors;
  const std::uint64_t every = std::max<std::uint64_t>(folds / 320, 1);
  for (std::uint64_t k = 1; k <= folds; ++k) {
    const auto& theta = training.next();
    const long double a = gain(k);
    for (std::size_t i = 0; i < coordinates; ++i) {
      exact[i] += a * (static_cast<long double>(theta[i]) - exact[i]);
    }
    (averagers.update(theta), ...);
    if (k < folds - folds / 5 || (folds - k) % every != 0) continue;
    std::size_t j = 0;
    const auto look = [&](const auto& averager) {
      std::array<long double, coordinates> average;
      averager.copy_average_to(average);
      for (std::size_t i = 0; i < coordinates; ++i) errors[j].add(average[i] / exact[i] - 1);
      ++j;
    };
    (look(averagers), ...);
  }
  return errors;
}

struct Row {
  std::string weights;
  std::string shadow;
  std::size_t bytes;
  // By noise, and then by column: each β and the uniform mean.
  std::array<std::array<Error, betas.size() + 1>, noises.size()> errors{};
};

template <class Scalar>
constexpr std::string_view name_of = "";
template <>
constexpr std::string_view name_of<Eigen::half> = "half";
template <>
constexpr std::string_view name_of<Eigen::bfloat16> = "bfloat16";
template <>
constexpr std::string_view name_of<float> = "float";
template <>
constexpr std::string_view name_of<double> = "double";

template <class Shadow>
struct Described {
  static std::string name() { return std::string(name_of<Shadow>); }
  static constexpr std::size_t bytes = sizeof(Shadow);
};
template <class Scalar, class Residue>
struct Described<Compensated<Scalar, Residue>> {
  static std::string name() {
    const std::string residue = sizeof(Residue) == 1 ? ", int8_t>" : ">";
    return "Compensated<" + std::string(name_of<Scalar>) + residue;
  }
  static constexpr std::size_t bytes = sizeof(Scalar) + sizeof(Residue);
};

template <class Weight, class... Shadows>
void measure(std::vector<Row>& rows, std::uint64_t uniform_folds) {
  const std::size_t first = rows.size();
  (rows.push_back({std::string(name_of<Weight>), Described<Shadows>::name(), Described<Shadows>::bytes}), ...);
  for (std::size_t i = 0; i < noises.size(); ++i) {
    const auto note = [&](std::size_t column, const std::array<Error, sizeof...(Shadows)>& errors) {
      for (std::size_t j = 0; j < errors.size(); ++j) rows[first + j].errors[i][column] = errors[j];
    };
    for (std::size_t b = 0; b < betas.size(); ++b) {
      const long double beta = betas[b];
      long double power = 1;
      const auto gain = [&](std::uint64_t) { return (1 - beta) / (1 - (power *= beta)); };
      const auto folds = static_cast<std::uint64_t>(20 / (1 - betas[b]));
      note(b, run<Weight>(folds, noises[i], gain, Ema<Shadows>{{.decay = betas[b]}}...));
    }
    const auto gain = [](std::uint64_t k) { return 1 / static_cast<long double>(k); };
    note(betas.size(), run<Weight>(uniform_folds, noises[i], gain, TailAverage<Shadows>{}...));
  }
}

std::string text(long double error) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.0e", static_cast<double>(error));
  std::string digits = buffer;  // 6e-04 → 6e-4, 1e+08 → 1e8
  for (const std::string_view padded : {"e-0", "e+0"}) {
    if (const auto at = digits.find(padded); at != std::string::npos)
      digits.replace(at, 3, padded[1] == '-' ? "e-" : "e");
  }
  return digits;
}

template <class Value>
void print(const std::vector<Row>& rows, const std::string& uniform, Value value) {
  std::printf("| weights | shadow | bytes | 0.9 | 0.99 | 0.999 | 0.9999 | 0.99999 | 0.999999 | %s |\n",
              uniform.c_str());
  std::printf("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const Row& row : rows) {
    std::printf("| %s | `%s` | %zu |", row.weights.c_str(), row.shadow.c_str(), row.bytes);
    for (std::size_t column = 0; column <= betas.size(); ++column)
      std::printf(" %s |", text(value(row, column)).c_str());
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool all = argc > 1 && std::string_view(argv[argc - 1]) == "--all";
  const double asked = argc > (all ? 2 : 1) ? std::atof(argv[1]) : 1e8;
  if (!(asked >= 1000 && asked <= 1e12)) {
    std::fprintf(stderr, "polyak_precision: the uniform mean takes from 1e3 to 1e12 folds\n");
    return 2;
  }
  std::vector<Row> rows;
  const auto folds = static_cast<std::uint64_t>(asked);
  measure<Eigen::half, Eigen::half, Compensated<Eigen::half>, float, Compensated<float>>(rows, folds);
  measure<Eigen::bfloat16, Eigen::bfloat16, Compensated<Eigen::bfloat16>, float>(rows, folds);
  measure<float, float, Compensated<float, std::int8_t>, Compensated<float>, double>(rows, folds);
  measure<double, double, Compensated<double>>(rows, folds);

  const std::string uniform = "uniform, " + text(static_cast<long double>(folds));
  print(rows, uniform, [](const Row& row, std::size_t column) {
    return std::max(row.errors[0][column].largest, row.errors[1][column].largest);
  });
  if (!all) return 0;
  for (std::size_t i = 0; i < noises.size(); ++i) {
    std::printf("\nNoise of %g of the weight, largest error:\n\n", noises[i]);
    print(rows, uniform, [i](const Row& row, std::size_t column) { return row.errors[i][column].largest; });
    std::printf("\nNoise of %g of the weight, root mean square of the error:\n\n", noises[i]);
    print(rows, uniform, [i](const Row& row, std::size_t column) { return row.errors[i][column].rms(); });
  }
}
