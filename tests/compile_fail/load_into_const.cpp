#include <polyak/io/checkpoint.hpp>

void load(const Eigen::VectorXd& theta) { polyak::load("run.safetensors", theta); }
