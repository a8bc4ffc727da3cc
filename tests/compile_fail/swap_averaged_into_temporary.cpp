#include <polyak/polyak.hpp>

#include <vector>

void read(polyak::Averaged<polyak::Sgd<>, polyak::Ema<>>& opt) {
  const auto guard = opt.swap_in(std::vector<double>(2));
}
