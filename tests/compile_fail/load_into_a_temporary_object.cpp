#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

void load(const polyak::Averaged<polyak::Sgd<>>& opt) {
  polyak::load("run.safetensors", polyak::named("opt", polyak::Averaged(opt)));
}
