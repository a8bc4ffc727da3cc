#include <polyak/polyak.hpp>

#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// Built with EIGEN_DEFAULT_DENSE_INDEX_TYPE=int: what is longer than such an index can count is refused, not cut short.
// None of the memory named here is there, so nothing may touch it.

namespace {

using namespace polyak;

template <class F>
bool check(std::string_view expected, F f) {
  std::string got = "nothing";
  try {
    f();
  } catch (const std::invalid_argument& error) {
    got = error.what();
  }
  if (got != expected) std::cerr << "expected: " << expected << "\n     got: " << got << '\n';
  return got == expected;
}

}  // namespace

int main() {
  static_assert(sizeof(Eigen::Index) == 4);
  constexpr std::size_t n = (std::size_t{1} << 31) + 9;
  float first = 0;
  const std::span<float> weights(&first, n);
  const std::string limit = ": Eigen::Index limits the number of parameters to 2147483647, got ";
  bool good = check("polyak::Sgd" + limit + "2147483657", [&] { Sgd<float>{}.step(weights, weights); });
  good &= check("polyak::Averaged" + limit + "2147483657", [&] {
    Averaged{Sgd<float>{}, Ema{}}.step(weights, weights);
  });
  const std::vector<std::span<float>> halves(2, std::span<float>(&first, n / 2 + 1));
  good &= check("polyak::Ema" + limit + "2147483658", [&] { Ema{}.update(halves); });
  good &= check("polyak::Published" + limit + "2147483657", [&] { Published<float>{}.publish(weights); });
  good &= check("polyak::SparseSgd: features times outputs must fit in memory, got 2147483657",
                [&] { SparseSgd{{.features = n}}; });
  Eigen::VectorXd three{{1, 2, 3}};
  Averaged opt{Sgd{{.learning_rate = 1}}, Ema{}};
  opt.step(three, Eigen::VectorXd{{1, 1, 1}});
  good &= opt.average() == Eigen::VectorXd{{0, 1, 2}};
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
