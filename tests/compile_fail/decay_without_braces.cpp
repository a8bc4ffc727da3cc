#include <polyak/polyak.hpp>

polyak::Ema average(0.9);
