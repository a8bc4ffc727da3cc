#include <polyak/polyak.hpp>

void train(polyak::Guarded<polyak::Ema<>>& ema, const Eigen::VectorXd& theta) { ema.update(2 * theta); }
