#include <polyak/polyak.hpp>

struct StepsAlone {
  void step();
  void zero_grad();
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{StepsAlone{}, polyak::Ema{}};
  opt.step(theta, gradient);
}
