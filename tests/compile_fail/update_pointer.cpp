#include <polyak/polyak.hpp>

void train(polyak::Ema<>& ema, const double* p, std::size_t n) { ema.update(p, n); }
