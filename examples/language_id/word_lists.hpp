#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/line_reader.hpp"
#include "language_id/languages.hpp"

namespace examples::language_id {

/// A set of languages, by their places in a list: bit i is the i-th.
using LanguageSet = std::uint32_t;

struct Word {
  std::string text;  ///< UTF-8, small letters
  LanguageSet languages = 0;
};

/// Words of several languages, each once, drawn by their hashes: which words are taken and in what order depends on
/// nothing but the words.
class WordPool {
 public:
  /// Takes a word, UTF-8, for a language.
  void add(std::string_view word, std::size_t language);

  /// Every word with all its languages. A language that has `per_language` words already gets no more but those that
  /// another wants; 0 takes all.
  [[nodiscard]] std::vector<Word> draw(std::size_t per_language);

 private:
  struct Entry {
    std::uint64_t hash;
    std::uint64_t begin;  ///< in text_
    std::uint32_t size;
    std::uint32_t language;
  };

  [[nodiscard]] std::string_view text(const Entry& entry) const {
    return std::string_view(text_).substr(entry.begin, entry.size);
  }

  std::string text_;  // of all words, one after the other
  std::vector<Entry> entries_;
};

/// One word in ten is held out for the test, by its hash: always the same, whatever else is in the lists.
[[nodiscard]] bool is_held_out(std::string_view word);

/// How many lines a list has, and how many of them are no words.
struct ListedLines {
  std::uint64_t lines = 0;
  std::uint64_t left_out = 0;
};

/// Adds a list's words in small letters, as capitals would give German nouns away. A word is made of Latin letters
/// alone: lines with spaces, digits or signs are left out, as are the genitives that end in 's, a third of the English
/// list.
ListedLines add_word_list(LineReader& lines, std::size_t language, WordPool& pool);

struct WordLists {
  std::vector<Language> languages;
  std::vector<ListedLines> listed;  ///< for each language
  std::vector<Word> train;
  std::vector<Word> test;
};

/// Reads the lists of these languages. Throws std::runtime_error that names the packages of those that are missing.
[[nodiscard]] WordLists load_word_lists(const std::filesystem::path& directory, const std::vector<Language>& languages,
                                        std::size_t words_per_language);

}  // namespace examples::language_id
