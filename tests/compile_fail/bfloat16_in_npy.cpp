#include <polyak/io/npy.hpp>

void save(const Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, 1>& theta) { polyak::save_npy("theta.npy", theta); }
