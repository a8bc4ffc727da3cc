#include <polyak/polyak.hpp>

polyak::Ema<polyak::Compensated<long double>> ema;
