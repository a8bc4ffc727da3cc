#include <polyak/io/checkpoint.hpp>

void save(const double* theta) { polyak::save("run.polyak", polyak::named("weights", theta)); }
