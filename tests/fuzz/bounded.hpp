#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace fuzz {

/// A number as it should be, and how far from it a computation in Scalar may be by rounding (running error analysis,
/// Wilkinson 1963). NaN and infinities go where IEEE 754 takes them; where Scalar may have overflowed, or a quotient
/// hangs on what rounding left of a zero, nothing is known.
template <class Scalar>
struct Bounded {
  using Limits = std::numeric_limits<Scalar>;
  /// Four roundings for each operation, since the library may group a product in another way, and rounds constants.
  static constexpr long double unit = 2 * static_cast<long double>(Limits::epsilon());
  static constexpr long double tiny = 4 * static_cast<long double>(Limits::denorm_min());
  static constexpr long double most = static_cast<long double>(Limits::max()) / 4;
  static constexpr long double infinity = std::numeric_limits<long double>::infinity();

  long double value = 0;
  long double error = 0;

  static Bounded exactly(long double x) { return {x, 0}; }
  static Bounded rounded(long double x) { return within(x, 0); }
  static Bounded unknown() { return {0, infinity}; }
  static Bounded within(long double x, long double error) {
    if (!std::isfinite(x)) return {x, 0};
    error += unit * (std::abs(x) + error);
    return std::abs(x) + error <= most ? Bounded{x, error} : unknown();
  }

  [[nodiscard]] bool is_unknown() const { return error == infinity; }
  [[nodiscard]] bool is_zero() const { return value == 0 && error == 0; }
  [[nodiscard]] bool may_be_zero() const { return std::abs(value) <= error; }
  [[nodiscard]] bool admits(Scalar actual) const {
    if (is_unknown()) return true;
    if (std::isnan(value)) return std::isnan(actual);
    if (std::isinf(value)) return static_cast<long double>(actual) == value;
    return std::abs(static_cast<long double>(actual) - value) <= error;
  }

  friend Bounded operator+(Bounded a, Bounded b) {
    if (a.is_unknown() || b.is_unknown()) return unknown();
    return within(a.value + b.value, a.error + b.error);
  }
  friend Bounded operator-(Bounded a, Bounded b) { return a + Bounded{-b.value, b.error}; }
  friend Bounded operator*(Bounded a, Bounded b) {
    if (a.is_unknown() || b.is_unknown()) return unknown();
    const bool finite = std::isfinite(a.value) && std::isfinite(b.value);
    if (!finite && ((a.error > 0 && a.may_be_zero()) || (b.error > 0 && b.may_be_zero()))) return unknown();
    if (!finite || a.is_zero() || b.is_zero()) return {a.value * b.value, 0};
    return within(a.value * b.value,
                  std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error + tiny);
  }
  friend Bounded operator/(Bounded a, Bounded b) {
    if (a.is_unknown() || b.is_unknown() || (b.error > 0 && std::abs(b.value) <= 2 * b.error)) return unknown();
    if (b.value == 0 && a.error > 0 && a.may_be_zero()) return unknown();
    const long double q = a.value / b.value;
    if (!std::isfinite(q)) return {q, 0};
    if (a.is_zero() || std::isinf(b.value)) return {q, 0};
    return within(q, (a.error + std::abs(q) * b.error) / (std::abs(b.value) - b.error) + tiny);
  }
  friend Bounded root(Bounded x) {
    if (x.is_unknown() || !std::isfinite(x.value)) return {std::sqrt(x.value), x.error};
    const long double middle = std::sqrt(x.value);
    const long double low = std::sqrt(std::max(0.0L, x.value - x.error)), high = std::sqrt(x.value + x.error);
    return within(middle, std::max(middle - low, high - middle));
  }
  /// NaN where one of them is.
  friend Bounded smaller(Bounded a, Bounded b) {
    if (a.is_unknown() || b.is_unknown()) return unknown();
    if (std::isnan(a.value) || std::isnan(b.value)) return {a.value + b.value, 0};
    return {std::min(a.value, b.value), std::max(a.error, b.error)};
  }
  friend Bounded larger(Bounded a, Bounded b) {
    if (a.is_unknown() || b.is_unknown()) return unknown();
    return {std::max(a.value, b.value), std::max(a.error, b.error)};
  }
};

}  // namespace fuzz
