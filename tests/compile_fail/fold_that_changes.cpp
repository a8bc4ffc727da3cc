#include <polyak/polyak.hpp>

#include <cstddef>
#include <span>

// A fold is used as const; what it changes belongs to its averager.
struct Changing {
  struct Fold {
    template <class Weight>
    void before(std::size_t, std::span<const Weight>) noexcept {}
    template <class Weight>
    void after(std::size_t, std::span<const Weight>) noexcept {}
    void commit(polyak::Outcome&) noexcept {}
  };
  Fold begin_fold(const polyak::Layout&) { return {}; }
  bool has_average() const { return false; }
  const Eigen::VectorXd& average() const { return theta; }
  Eigen::VectorXd theta;
};

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::Sgd{}, Changing{}};
  opt.step(theta, gradient);
}
