#include <polyak/polyak.hpp>

void read(const polyak::Ema<>& ema, Eigen::MatrixXd& W, Eigen::VectorXd& b) { ema.copy_average_to(W, b); }
