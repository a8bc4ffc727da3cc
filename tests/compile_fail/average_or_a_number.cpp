#include <polyak/polyak.hpp>

auto read(const polyak::Ema<>& ema) { return ema.average_or(0.0); }
