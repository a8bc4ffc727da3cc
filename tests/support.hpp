#pragma once

#include <polyak/parameters.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

/// What several tests need: errors as text, comparison by bits and by ulps, and random data from a fixed seed.

namespace support {

/// "invalid_argument: what()", "logic_error: what()", or "nothing". By exact type: one derives from the other.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    if (typeid(error) == typeid(std::invalid_argument)) return std::string("invalid_argument: ") + error.what();
    if (typeid(error) == typeid(std::logic_error)) return std::string("logic_error: ") + error.what();
    return std::string(typeid(error).name()) + ": " + error.what();
  }
  return "nothing";
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// The larger of two errors; std::max would pass over one that is no number.
template <class T>
T worse(T a, T b) {
  return std::isnan(b) ? std::numeric_limits<T>::infinity() : std::max(a, b);
}
/// The largest magnitude in x, infinite where something is no number.
template <class X>
double largest(const X& x) {
  const auto magnitudes = x.template cast<long double>().cwiseAbs().eval();
  return static_cast<double>(worse(0.0L, magnitudes.redux([](long double a, long double b) { return worse(a, b); })));
}

/// A long double has 10 bytes of value and 6 of padding.
template <polyak::FloatingPoint Scalar>
bool same_bits(Scalar a, Scalar b) {
  return std::memcmp(&a, &b, std::min<std::size_t>(sizeof(Scalar), 10)) == 0;
}

/// Whether two holders of parameters have the same coordinates, bit by bit.
template <polyak::ReadableParameters A, polyak::ReadableParameters B>
bool same_bits(const A& a, const B& b) {
  const auto x = polyak::flat(a);
  const auto y = polyak::flat(b);
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!same_bits<polyak::scalar_of<const A&>>(x[i], y[i])) return false;
  }
  return true;
}

/// How many doubles lie between two of the same sign.
inline std::uint64_t ulps_between(double a, double b) {
  const auto x = std::bit_cast<std::int64_t>(a);
  const auto y = std::bit_cast<std::int64_t>(b);
  if (std::signbit(a) != std::signbit(b) && a != b) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(std::abs((x & INT64_MAX) - (y & INT64_MAX)));
}

inline bool close(double actual, double expected, double tolerance = 1e-13) {
  return std::abs(actual - expected) <= tolerance * std::abs(expected);
}

inline Eigen::VectorXd constant(Eigen::Index n, double x) { return Eigen::VectorXd::Constant(n, x); }

/// What an averager is told of weights that are one vector; the Layout may be used as long as this is there.
class VectorLayout {
 public:
  explicit VectorLayout(Eigen::Index n) : only_{nullptr, nullptr, {static_cast<std::size_t>(n), 1}, 0} {}
  operator polyak::Layout() const { return polyak::Layout({&only_, 1}); }

 private:
  polyak::BlockRef only_;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  double uniform(double from, double to) { return std::uniform_real_distribution<double>(from, to)(engine_); }
  std::uint64_t integer(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(engine_);
  }
  double normal() { return std::normal_distribution<double>()(engine_); }

  template <class Scalar = double>
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> vector(Eigen::Index n) {
    Eigen::Matrix<Scalar, Eigen::Dynamic, 1> result(n);
    for (Eigen::Index i = 0; i < n; ++i) result[i] = static_cast<Scalar>(normal());
    return result;
  }

 private:
  std::mt19937_64 engine_;
};

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// An optimizer of which polyak knows nothing but that it can be called.
template <class Optimizer>
auto whole_step(Optimizer optimizer) {
  return [optimizer = std::move(optimizer)](auto& params, const auto& grad) mutable {
    return optimizer.step(params, grad);
  };
}

}  // namespace support
