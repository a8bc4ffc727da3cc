// Compiles where max and min are macros, as <windows.h> makes them. The standard library and Eigen come before, which
// have their own ways with that.
#include <Eigen/Dense>

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <ranges>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#define max(a, b) (((a) > (b)) ? (a) : (b))
#define min(a, b) (((a) < (b)) ? (a) : (b))
#include <polyak/polyak.hpp>

void train(Eigen::VectorXd& theta, const Eigen::VectorXd& gradient) {
  polyak::Averaged opt{polyak::ClipNorm{polyak::Adam{}}, polyak::Ema{}, polyak::Lawa{}, polyak::PowerEma{}};
  opt.step(theta, gradient);
}
