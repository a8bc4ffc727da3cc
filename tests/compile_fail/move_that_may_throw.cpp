#include <polyak/polyak.hpp>

#include <cstddef>
#include <string_view>

struct Throwing : polyak::OptimizerLayer<Throwing> {
  using scalar_type = double;
  static constexpr std::string_view name = "Throwing";

  polyak::Outcome advance(const auto& step, const auto&... folds) {
    const auto with_kernel = [](const auto& slice, const auto& f) {
      f([w = slice.params.data()](std::size_t i) { return w[i] -= 1; });
    };
    return polyak::move_and_fold(step, with_kernel, folds...);
  }
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  Throwing opt;
  opt.step(theta, gradient);
}
