#include <polyak/polyak.hpp>

int main() {
  Eigen::VectorXd theta = Eigen::VectorXd::Ones(2);
  const Eigen::VectorXd gradient = theta;
  polyak::Lookahead opt{polyak::ScheduleFree{polyak::Sgd{}}};
  opt.step(theta, gradient);
}
