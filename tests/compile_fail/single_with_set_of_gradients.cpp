#include <polyak/polyak.hpp>

#include <vector>

void train(Eigen::VectorXd& theta, const std::vector<Eigen::VectorXd>& gradients) {
  polyak::ClipNorm opt{polyak::Sgd{}};
  opt.step(theta, gradients);
}
