#include <polyak/polyak.hpp>

void train() { polyak::Guarded guarded{polyak::Guarded{polyak::Ema{}}, {}}; }
