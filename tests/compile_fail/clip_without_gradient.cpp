#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta) {
  polyak::Averaged opt{polyak::ClipNorm{[](Eigen::VectorXd& params) { params *= 0.5; }, {.max_norm = 1}}};
  opt.step(theta);
}
