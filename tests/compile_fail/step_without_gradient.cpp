#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta) {
  polyak::Averaged opt{polyak::Sgd{}};
  opt.step(theta);
}
