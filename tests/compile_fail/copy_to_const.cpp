#include <polyak/polyak.hpp>

void read(const polyak::Ema<>& ema, const Eigen::VectorXd& theta) { ema.copy_average_to(theta); }
