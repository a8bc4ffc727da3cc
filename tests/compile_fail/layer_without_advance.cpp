#include <polyak/polyak.hpp>

#include <string_view>

struct Forgetful : polyak::OptimizerLayer<Forgetful> {
  using scalar_type = double;
  static constexpr std::string_view name = "Forgetful";
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  Forgetful opt;
  opt.step(theta, gradient);
}
