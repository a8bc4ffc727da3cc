#include <polyak/polyak.hpp>

void read(const polyak::Guarded<polyak::Ema<>>& ema, double* p) { ema.copy_average_to(p); }
