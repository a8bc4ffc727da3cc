#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::ClipValue{polyak::Adam<float>{}}};
  opt.step(theta, gradient);
}
