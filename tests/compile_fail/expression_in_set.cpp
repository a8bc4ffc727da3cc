#include <polyak/polyak.hpp>

void train(const Eigen::VectorXd& gradient) { const polyak::ParameterSet set{2 * gradient, gradient}; }
