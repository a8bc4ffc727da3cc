// Values of a random walk (Sutton & Barto 2018, example 6.2, 19 states) learned from a slowly following target, as in
// deep reinforcement learning: an EMA with a start, which is read at once. Its momentum τ is 1 − decay.

#include <polyak/averagers/ema.hpp>

#include <cmath>
#include <iostream>
#include <random>

int main() {
  constexpr int n = 19, middle = n / 2;
  Eigen::VectorXd truth(n), values = Eigen::VectorXd::Zero(n);
  for (int s = 0; s < n; ++s) truth[s] = (s + 1) / 10.0 - 1;  // the walk ends at the right with 1, at the left with −1
  polyak::Ema target{{.decay = 0.995, .bias_correction = false}};
  target.start_from(values);

  std::mt19937 random(1);
  for (int episode = 0; episode < 2000; ++episode) {
    for (int s = middle; 0 <= s && s < n;) {
      const int next = s + (random() % 2 == 0 ? 1 : -1);
      const double value = next < 0 ? -1 : next == n ? 1 : target.average()[next];
      values[s] += 0.1 * (value - values[s]);
      target.update(values);
      s = next;
    }
  }
  const auto error = [&](const Eigen::VectorXd& v) { return (v - truth).norm() / std::sqrt(n); };
  std::cout << "root mean square error, values: " << error(values) << "\ntarget: " << error(target.average()) << '\n';
}
