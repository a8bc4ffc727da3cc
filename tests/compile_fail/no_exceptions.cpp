#include <polyak/polyak.hpp>
