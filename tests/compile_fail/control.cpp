// Compiles, so that what the other files fail of is what is wrong in them.
#include <polyak/polyak.hpp>

int main() {
  Eigen::VectorXd theta(2), gradient(2);
  polyak::Averaged opt{polyak::ClipNorm{polyak::Sgd{}}, polyak::Ema{}, polyak::TailAverage{}};
  opt.step(polyak::ParameterSet{theta}, polyak::ParameterSet{gradient});
  opt.step(theta, 2 * gradient);
  opt.copy_average_to<1>(theta);
}
