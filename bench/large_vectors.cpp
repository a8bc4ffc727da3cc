#include <polyak/polyak.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

// Steps on more than 2^31 coordinates, by whose number a 32-bit integer would be overrun: 2^31 + 9 float weights with a
// float average, and a sparse model of as many features. Checks what lies at both ends and on both sides of 2^31. Takes
// 16 GiB for the first, whose weights are their own gradient, and 16 GiB of virtual memory for the second.

namespace {

using namespace polyak;

constexpr std::size_t n = (std::size_t{1} << 31) + 9;
constexpr std::array<std::size_t, 7> places{
    0, 1, (std::size_t{1} << 30), (std::size_t{1} << 31) - 1, std::size_t{1} << 31, n - 2, n - 1};

bool check(std::string_view what, double expected, double got) {
  std::cout << (got == expected ? "  good: " : "  WRONG: ") << what << " is " << got;
  if (got != expected) std::cout << ", not " << expected;
  std::cout << '\n';
  return got == expected;
}

bool check_dense() {
  std::cout << "Averaged<Sgd<float>, Ema<float>> on " << n << " weights\n";
  std::vector<float> theta(n, 1);
  for (const std::size_t i : places) theta[i] = static_cast<float>(1 + i % 5);
  Averaged opt{Sgd<float>{{.learning_rate = 0.5}}, Ema<float>{{.decay = 0.5, .bias_correction = false}}};
  opt.step(theta, theta);  // halves θ; s = 3/4 θ_0
  bool good = check("the size of the average", static_cast<double>(n), static_cast<double>(opt.average().size()));
  for (const std::size_t i : places) {
    const double start = static_cast<double>(1 + i % 5);
    std::cout << "  at " << i << '\n';
    good &= check("  the weight", start / 2, double{theta[i]});
    good &= check("  the average", start * 3 / 4, double{opt.average()[static_cast<Eigen::Index>(i)]});
  }
  double sum = 0;
  for (const float x : theta) sum += double{x};
  double expected = static_cast<double>(n) / 2;
  for (const std::size_t i : places) expected += static_cast<double>(i % 5) / 2;
  good &= check("the sum of all weights", expected, sum);
  opt.copy_average_to(theta);
  good &= check("the last weight of a copy of the average", static_cast<double>(1 + (n - 1) % 5) * 3 / 4,
                double{theta[n - 1]});
  return good;
}

/// By both sides of a 32-bit index.
bool check_sparse() {
  std::cout << "SparseSgd<…, float> of " << n << " features\n";
  SparseSgd<TailAverage<>, float> model{{.features = n, .learning_rate = 0.5, .intercept = false}};
  const std::vector<double> ones(places.size(), 1);
  const std::vector<std::uint64_t> wide(places.begin(), places.end());
  const std::vector<std::uint32_t> narrow(places.begin(), places.end());
  const std::vector<std::int32_t> last{std::numeric_limits<std::int32_t>::max()};
  model.step(SparseRow{wide, ones}, -1.0);
  model.step(SparseRow{narrow, ones}, -1.0);
  bool good = true;
  for (const std::size_t i : places) {
    const std::vector<std::uint64_t> index{i};
    std::cout << "  at " << i << '\n';
    good &= check("  the weight", 1, model.predict(SparseRow{index, std::array<double, 1>{1}}));
    good &= check("  the average", 0.75, model.predict_average(SparseRow{index, std::array<double, 1>{1}}));
  }
  good &=
      check("the weight at the largest of 32 signed bits", 1, model.predict(SparseRow{last, std::array<double, 1>{1}}));
  for (const std::int32_t negative : {-1, std::numeric_limits<std::int32_t>::min()}) {
    try {
      static_cast<void>(model.predict(SparseRow{std::array{negative}, std::array<double, 1>{1}}));
      std::cout << "  WRONG: an index of " << negative << " passes\n";
      good = false;
    } catch (const std::invalid_argument& error) {
      std::cout << "  good: " << error.what() << '\n';
    }
  }
  return good;
}

}  // namespace

int main() {
  std::cout.precision(12);
  std::cout << std::unitbuf;
  try {
    const bool dense = check_dense();
    const bool sparse = check_sparse();
    return dense && sparse ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::bad_alloc&) {
    std::cerr << "large_vectors: 17 GiB of memory are needed\n";
  } catch (const std::exception& error) {
    std::cerr << "large_vectors: " << error.what() << '\n';
  }
  return EXIT_FAILURE;
}
