#include <polyak/polyak.hpp>

polyak::Lawa<polyak::Compensated<float>> window;
