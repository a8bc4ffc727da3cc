#include <polyak/polyak.hpp>

void train(const Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::Sgd{}};
  opt.step(polyak::ParameterSet{theta}, polyak::ParameterSet{gradient});
}
