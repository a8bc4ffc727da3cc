#include "language_id/report.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/table.hpp"
#include "language_id/softmax.hpp"
#include "language_id/unicode.hpp"

#ifndef _WIN32
#include <sys/resource.h>
#endif

namespace examples::language_id {

namespace {

std::string with_share(std::uint64_t part, std::uint64_t whole) {
  return std::to_string(part) + " (" + fixed(100 * static_cast<double>(part) / static_cast<double>(whole), 1) + " %)";
}

}  // namespace

void print_word_lists(std::ostream& out, const WordLists& lists) {
  Table table({"", "lines", "not words", "drawn", "of others too", "to train on", "to test on"});
  for (std::size_t i = 0; i < lists.languages.size(); ++i) {
    std::uint64_t shared = 0, train = 0, test = 0;
    for (const auto& [words, count] : {std::pair{&lists.train, &train}, std::pair{&lists.test, &test}}) {
      for (const Word& word : *words) {
        if ((word.languages >> i & 1) == 0) continue;
        ++*count;
        shared += std::has_single_bit(word.languages) ? 0 : 1;
      }
    }
    table.add_row({lists.languages[i].name, std::to_string(lists.listed[i].lines),
                   std::to_string(lists.listed[i].left_out), std::to_string(train + test),
                   with_share(shared, train + test), std::to_string(train), std::to_string(test)});
  }
  out << table;
}

void print_scores(std::ostream& out, const std::vector<Language>& languages, const std::vector<Run>& runs) {
  Table table({"test", "last iterate", "average", "gain"});
  const auto add = [&](const std::string& what, int digits, auto measure) {
    std::vector<double> last, average, gain;
    for (const Run& run : runs) {
      last.push_back(measure(run.last));
      average.push_back(measure(run.average));
      gain.push_back(average.back() - last.back());
    }
    table.add_row({what, with_spread(last, digits), with_spread(average, digits), with_spread(gain, digits)});
  };
  add("loss", 4, [](const Score& score) { return score.loss; });
  add("accuracy %", 2, [](const Score& score) { return 100 * score.accuracy; });
  for (std::size_t i = 0; i < languages.size(); ++i) {
    add(std::string("  ") + languages[i].name, 2, [i](const Score& score) { return 100 * score.of_language[i]; });
  }
  out << table;
}

std::size_t peak_memory() {
#ifdef _WIN32
  return 0;
#else
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __APPLE__
  return static_cast<std::size_t>(usage.ru_maxrss);
#else
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
#endif
#endif
}

std::string megabytes(std::size_t bytes) { return fixed(static_cast<double>(bytes) / 1e6, 1) + " MB"; }

std::string likely_languages(const Model& model, const std::vector<Language>& languages, unsigned bits,
                             std::string_view word) {
  std::u32string letters;
  decode(word, letters);
  NgramEncoder encode(bits);
  std::vector<double> probabilities(languages.size());
  put_scores(model, Weights::average, encode(encode_utf8(lower(letters))), probabilities);
  softmax(probabilities, probabilities);

  std::vector<std::size_t> order(languages.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return probabilities[a] > probabilities[b]; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, order.size()); ++i) {
    const double percent = 100 * probabilities[order[i]];
    if (i > 0 && percent < 1) break;
    text += (i > 0 ? ", " : "") + std::string(languages[order[i]].name) + " " + fixed(percent, 1) + " %";
  }
  return text;
}

}  // namespace examples::language_id
