#include <polyak/polyak.hpp>

void train(polyak::Ema<>& ema, const Eigen::MatrixXd& W, const Eigen::VectorXd& b) { ema.update(W, b); }
