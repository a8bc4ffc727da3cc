#include <polyak/polyak.hpp>

auto optimizer = polyak::Sgd<float>(0.1);
