#include <polyak/polyak.hpp>

polyak::Ema<> ema;
