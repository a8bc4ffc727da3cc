#include <polyak/polyak.hpp>

double read(const polyak::Averaged<polyak::Sgd<>, polyak::Ema<>, polyak::TailAverage<>>& opt) {
  return opt.average()[0];
}
