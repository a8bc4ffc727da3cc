#include <polyak/io/checkpoint.hpp>

void load() { polyak::load("run.safetensors", Eigen::VectorXf(6)); }
