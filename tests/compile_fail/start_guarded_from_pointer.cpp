#include <polyak/polyak.hpp>

void train(polyak::Guarded<polyak::Ema<>>& ema, const double* p) { ema.start_from(p); }
