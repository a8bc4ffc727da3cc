#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "language_id/training.hpp"
#include "language_id/word_lists.hpp"

namespace examples::language_id {

/// How the two weights of one run do.
struct Run {
  Score last;
  Score average;
};

/// Where the words come from: one row for each language.
void print_word_lists(std::ostream& out, const WordLists& lists);

/// Test accuracy and loss: mean ± standard deviation over the runs.
void print_scores(std::ostream& out, const std::vector<Language>& languages, const std::vector<Run>& runs);

/// Bytes of memory this process held at most so far; 0 where the system does not tell.
[[nodiscard]] std::size_t peak_memory();

/// "1.5 MB".
[[nodiscard]] std::string megabytes(std::size_t bytes);

/// The most likely languages of a word, those of a per cent or more but at most three, by the averaged weights:
/// "french 93 %, spanish 5 %".
[[nodiscard]] std::string likely_languages(const Model& model, const std::vector<Language>& languages, unsigned bits,
                                           std::string_view word);

}  // namespace examples::language_id
