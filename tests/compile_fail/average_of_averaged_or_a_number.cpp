#include <polyak/polyak.hpp>

Eigen::VectorXd read(const polyak::Averaged<polyak::Sgd<>, polyak::Ema<>>& opt) { return opt.average_or(0.0); }
