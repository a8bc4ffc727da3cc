#include <polyak/polyak.hpp>

void train(polyak::Ema<>& ema, const Eigen::VectorXd& theta) { ema.start_from(2 * theta); }
