#include <polyak/polyak.hpp>

#include <cstddef>

struct Throwing {
  struct Fold {
    auto at(std::size_t) const noexcept {
      return [](std::size_t, double) {};
    }
    void commit(polyak::Outcome&) const noexcept {}
  };
  Fold begin_fold(const polyak::Layout&) { return {}; }
  bool has_average() const { return false; }
  const Eigen::VectorXd& average() const { return theta; }
  Eigen::VectorXd theta;
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::Sgd{}, Throwing{}};
  opt.step(theta, gradient);
}
