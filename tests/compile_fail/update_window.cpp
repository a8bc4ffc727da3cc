#include <polyak/polyak.hpp>

void train(polyak::Lawa<>& lawa, double theta) { lawa.update(theta); }
