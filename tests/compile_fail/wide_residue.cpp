#include <polyak/polyak.hpp>

polyak::Ema<polyak::Compensated<float, float>> ema;
