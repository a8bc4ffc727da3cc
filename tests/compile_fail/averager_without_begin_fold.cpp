#include <polyak/polyak.hpp>

struct NoAverager {
  bool has_average() const { return false; }
  const Eigen::VectorXd& average() const { return theta; }
  Eigen::VectorXd theta;
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::Sgd{}, NoAverager{}};
  opt.step(theta, gradient);
}
