#include <polyak/polyak.hpp>

#include <string_view>

// Would leave out the averages around it.
struct Alone : polyak::OptimizerLayer<Alone> {
  using scalar_type = double;
  static constexpr std::string_view name = "Alone";
  polyak::Outcome advance(const auto&) { return {.taken = true}; }
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{Alone{}};
  opt.step(theta, gradient);
}
