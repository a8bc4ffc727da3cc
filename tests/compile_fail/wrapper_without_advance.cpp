#include <polyak/polyak.hpp>

#include <string_view>

// Such a wrapper must not be taken for an optimizer that steps whole: averages around it would not fold with it.
template <class Optimizer>
struct Forgetful : polyak::Wrapper<Forgetful<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "Forgetful";
  explicit Forgetful(Optimizer optimizer) : polyak::Wrapper<Forgetful<Optimizer>, Optimizer>(optimizer) {}
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{Forgetful{polyak::Sgd{}}};
  opt.step(theta, gradient);
}
