#include <polyak/polyak.hpp>

#include <vector>

void train(std::vector<int>& theta) {
  polyak::SkipNonFinite opt{polyak::Sgd{}};
  opt.step(theta, theta);
}
