#include <polyak/io/checkpoint.hpp>

void load() { polyak::load("run.safetensors", polyak::named("weights", Eigen::VectorXf(6))); }
