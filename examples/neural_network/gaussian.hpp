#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace examples::neural_network {

/// Standard normal numbers, by Box and Muller's transform: a seed gives the same ones whatever the standard library,
/// which std::normal_distribution does not promise.
class Gaussian {
 public:
  /// Streams of one seed have nothing to do with each other.
  Gaussian(std::uint64_t seed, std::uint64_t stream) {
    std::seed_seq words{seed & 0xffffffff, seed >> 32, stream};
    random_.seed(words);
  }

  [[nodiscard]] double operator()() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  /// In [0, 1).
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  std::mt19937_64 random_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace examples::neural_network
