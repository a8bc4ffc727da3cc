#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& a, Eigen::VectorXf& b) { const polyak::ParameterSet set{a, b}; }
