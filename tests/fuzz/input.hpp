#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <vector>

namespace fuzz {

/// Decisions out of bytes, one after the other; zeros once they are used up.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool empty() const { return at_ >= bytes_.size(); }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : bytes_[at_++]; }
  std::size_t below(std::size_t n) { return byte() % n; }
  bool flag() { return byte() % 2 != 0; }
  template <class Table>
  auto one_of(const Table& table) {
    return table[below(std::size(table))];
  }

  /// What f takes, to be taken again.
  template <class F>
  std::vector<std::uint8_t> recorded(F f) {
    const std::size_t from = at_;
    f(*this);
    return {bytes_.begin() + static_cast<std::ptrdiff_t>(from), bytes_.begin() + static_cast<std::ptrdiff_t>(at_)};
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Coordinates of one size, most often near 1, now and then one that is special.
template <class Scalar>
std::vector<Scalar> numbers(Input& input, std::size_t n) {
  using Limits = std::numeric_limits<Scalar>;
  const std::uint8_t how = input.byte();
  std::uint64_t state = input.byte();
  const int exponents[] = {0, 0, 0, 0, -8, 8, Limits::min_exponent - 4, Limits::max_exponent - 6};
  const double scale = std::ldexp(1.0, exponents[how % 8]);
  std::vector<Scalar> result(n);
  for (Scalar& x : result) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<Scalar>(scale * (static_cast<double>(state >> 11) * 0x1p-52 - 1));
  }
  if (n > 0 && (how & 8) != 0) {
    const Scalar specials[] = {Limits::quiet_NaN(), Limits::infinity(),   -Limits::infinity(), Limits::max(),
                               -Limits::max(),      Limits::denorm_min(), Scalar(0),           -Scalar(0)};
    const std::size_t i = input.below(n);
    result[i] = input.one_of(specials);
  }
  return result;
}

}  // namespace fuzz
