#include <polyak/polyak.hpp>

#include <cstddef>
#include <span>

struct Throwing {
  struct Fold {
    template <class Weight>
    void before(std::size_t, std::span<const Weight>) {}
    template <class Weight>
    void after(std::size_t, std::span<const Weight>) {}
    void commit(polyak::Outcome&) {}
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
