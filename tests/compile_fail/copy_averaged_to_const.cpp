#include <polyak/polyak.hpp>

void read(const polyak::Averaged<polyak::Sgd<>, polyak::Ema<>, polyak::Swa<>>& opt, const Eigen::VectorXd& theta) {
  opt.copy_average_to<1>(theta);
}
