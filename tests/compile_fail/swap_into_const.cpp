#include <polyak/polyak.hpp>

void read(polyak::Ema<>& ema, const Eigen::VectorXd& theta) { const auto guard = ema.swap_in(theta); }
