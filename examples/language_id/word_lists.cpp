#include "language_id/word_lists.hpp"

#include <algorithm>
#include <stdexcept>

#include "language_id/hashing.hpp"
#include "language_id/unicode.hpp"

namespace examples::language_id {

namespace {

std::uint64_t hash_of(std::string_view word) {
  std::uint64_t hash = hash_of_nothing;
  for (const char byte : word) hash = extend(hash, static_cast<unsigned char>(byte));
  return hash;
}

void require_lists(const std::filesystem::path& directory, const std::vector<Language>& languages) {
  std::string files, packages;
  for (const Language& language : languages) {
    if (std::filesystem::exists(directory / language.file)) continue;
    files.append(files.empty() ? "" : ", ").append(language.file);
    packages.append(" ").append(language.package);
  }
  if (files.empty()) return;
  throw std::runtime_error(directory.string() + ": no word list " + files + "; on Debian and Ubuntu: apt-get install" +
                           packages + ", elsewhere give the directory of such lists by --dictionaries");
}

}  // namespace

void WordPool::add(std::string_view word, std::size_t language) {
  entries_.push_back(
      {hash_of(word), text_.size(), static_cast<std::uint32_t>(word.size()), static_cast<std::uint32_t>(language)});
  text_ += word;
}

std::vector<Word> WordPool::draw(std::size_t per_language) {
  std::sort(entries_.begin(), entries_.end(),
            [this](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : text(a) < text(b); });

  std::vector<Word> words;
  std::vector<std::size_t> drawn(sizeof(LanguageSet) * 8);
  for (std::size_t i = 0; i < entries_.size();) {
    const std::string_view word = text(entries_[i]);
    LanguageSet languages = 0;
    for (; i < entries_.size() && text(entries_[i]) == word; ++i) languages |= LanguageSet{1} << entries_[i].language;

    bool wanted = per_language == 0;
    for (std::size_t k = 0; k < drawn.size(); ++k) wanted |= (languages >> k & 1) != 0 && drawn[k] < per_language;
    if (!wanted) continue;
    for (std::size_t k = 0; k < drawn.size(); ++k) drawn[k] += languages >> k & 1;
    words.push_back({std::string(word), languages});
  }
  return words;
}

bool is_held_out(std::string_view word) {
  // The words are drawn by the upper bits of this hash, so the remainder, by the lower ones, is free.
  return hash_of(word) % 10 == 0;
}

ListedLines add_word_list(LineReader& lines, std::size_t language, WordPool& pool) {
  ListedLines listed;
  std::u32string letters;
  std::string word;
  for (std::string line; lines.next(line);) {
    if (line.ends_with('\r')) line.pop_back();
    ++listed.lines;
    decode(line, letters);
    if (letters.empty() || !std::all_of(letters.begin(), letters.end(), is_latin_letter)) {
      ++listed.left_out;
      continue;
    }
    word.clear();
    for (const char32_t c : letters) append_utf8(lower(c), word);
    pool.add(word, language);
  }
  return listed;
}

WordLists load_word_lists(const std::filesystem::path& directory, const std::vector<Language>& languages,
                          std::size_t words_per_language) {
  require_lists(directory, languages);
  WordLists lists;
  lists.languages = languages;
  WordPool pool;
  for (std::size_t i = 0; i < languages.size(); ++i) {
    LineReader lines(directory / languages[i].file);
    const ListedLines& listed = lists.listed.emplace_back(add_word_list(lines, i, pool));
    if (listed.lines == listed.left_out) throw std::runtime_error(lines.name() + ": expected words, found none");
  }
  for (Word& word : pool.draw(words_per_language)) {
    (is_held_out(word.text) ? lists.test : lists.train).push_back(std::move(word));
  }
  if (lists.train.empty() || lists.test.empty()) {
    throw std::runtime_error(directory.string() + ": expected words to train on and to test on, found " +
                             std::to_string(lists.train.size()) + " and " + std::to_string(lists.test.size()));
  }
  return lists;
}

}  // namespace examples::language_id
