#include <polyak/polyak.hpp>

void train(const Eigen::VectorXd& theta) { const polyak::ParameterSet set{Eigen::VectorXd(theta), theta}; }
