#include <polyak/polyak.hpp>

// By what it wraps the average could be moved without the guard.
void train(polyak::Guarded<polyak::Ema<>>& guarded) {
  polyak::Ema<>& base = guarded;
  base.reset();
}
