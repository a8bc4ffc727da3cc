#pragma once

#include <polyak/sparse/sparse_row.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace examples::language_id {

/// A word as the n-grams of its letters, n = 1 to 4, each hashed to one of 2^bits features. The word is taken between
/// two marks, so that beginnings and endings are n-grams of their own: "^at$" has a, t, ^a, at, t$, ^at, at$ and ^at$.
/// All have the same value, such that the row has norm 1, but for those that share a feature.
class NgramEncoder {
 public:
  using Row = polyak::SparseRow<std::uint32_t, float>;

  explicit NgramEncoder(unsigned bits) : bits_(bits) {}

  /// Of a word in UTF-8 (else Latin-1) and small letters; valid until the next call.
  [[nodiscard]] Row operator()(std::string_view word) &;

 private:
  unsigned bits_;
  std::u32string letters_;
  std::vector<std::uint32_t> indices_;
  std::vector<float> values_;
};

}  // namespace examples::language_id
