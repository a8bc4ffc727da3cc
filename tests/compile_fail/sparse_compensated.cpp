#include <polyak/polyak.hpp>

void train() { polyak::SparseSgd model{{.features = 3}, polyak::Ema<polyak::Compensated<double>>{}}; }
