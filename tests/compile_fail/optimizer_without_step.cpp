#include <polyak/polyak.hpp>

struct NoOptimizer {
  void descend(Eigen::VectorXd&, const Eigen::VectorXd&) {}
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{NoOptimizer{}};
  opt.step(theta, gradient);
}
