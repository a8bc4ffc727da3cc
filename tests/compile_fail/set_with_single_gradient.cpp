#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& a, Eigen::VectorXd& b, const Eigen::VectorXd& gradient) {
  polyak::Accumulate opt{polyak::Sgd{}};
  opt.step(polyak::ParameterSet{a, b}, gradient);
}
