#include <polyak/polyak.hpp>

void train(polyak::Ema<>& ema, const Eigen::VectorXi& theta) { ema.update(theta); }
