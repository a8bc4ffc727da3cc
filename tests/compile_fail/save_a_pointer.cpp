#include <polyak/io/checkpoint.hpp>

void save(const double* theta) { polyak::save("run.safetensors", polyak::named("weights", theta)); }
