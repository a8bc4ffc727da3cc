#include "language_id/ngrams.hpp"

#include <algorithm>
#include <cmath>

#include "language_id/hashing.hpp"
#include "language_id/unicode.hpp"

namespace examples::language_id {

namespace {

constexpr std::size_t max_n = 4;

// Beyond all of Unicode, so that no letter is taken for a mark.
constexpr char32_t begin_mark = 0x110000;
constexpr char32_t end_mark = 0x110001;

}  // namespace

NgramEncoder::Row NgramEncoder::operator()(std::string_view word) & {
  decode(word, letters_);
  letters_.insert(letters_.begin(), begin_mark);
  letters_.push_back(end_mark);

  indices_.clear();
  for (std::size_t i = 0; i < letters_.size(); ++i) {
    const bool at_mark = i == 0 || i + 1 == letters_.size();
    std::uint64_t hash = hash_of_nothing;
    for (std::size_t n = 1; n <= max_n && i + n <= letters_.size(); ++n) {
      hash = extend(hash, letters_[i + n - 1]);
      if (n > 1 || !at_mark) indices_.push_back(feature_of(hash, bits_));  // a mark alone is in every word
    }
  }
  values_.assign(indices_.size(), 1 / std::sqrt(static_cast<float>(indices_.size())));
  return {indices_, values_};
}

}  // namespace examples::language_id
