#include <polyak/polyak.hpp>

struct Archive {
  using is_loading = std::false_type;
  template <class T>
  Archive& operator&(T&) {
    return *this;
  }
};

void save(Archive& archive, double rate) {
  polyak::Averaged opt{[rate](Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) { theta -= rate * gradient; }};
  opt.serialize(archive, 0);
}
