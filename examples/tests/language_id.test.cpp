#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "common/mini_batches.hpp"
#include "common/program.hpp"
#include "language_id/file_training.hpp"
#include "language_id/hashing.hpp"
#include "language_id/ngrams.hpp"
#include "language_id/options.hpp"
#include "language_id/report.hpp"
#include "language_id/softmax.hpp"
#include "language_id/training.hpp"
#include "language_id/unicode.hpp"
#include "language_id/word_lists.hpp"
#include "temporary_directory.hpp"

using namespace examples;
using namespace examples::language_id;

namespace {

void nothing() {}

void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

bool is_utf8(const std::string& bytes) {
  std::u32string text;
  return decode_utf8(bytes, text);
}

std::vector<std::uint32_t> features(const std::string& word, unsigned bits = 32) {
  NgramEncoder encode(bits);
  const auto row = encode(word);
  std::vector<std::uint32_t> indices(row.indices.begin(), row.indices.end());
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::size_t shared_features(const std::string& a, const std::string& b) {
  const auto of_a = features(a), of_b = features(b);
  std::vector<std::uint32_t> both;
  std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(), std::back_inserter(both));
  return both.size();
}

WordPool pool_of(const std::vector<std::pair<std::string, std::size_t>>& words) {
  WordPool pool;
  for (const auto& [word, language] : words) pool.add(word, language);
  return pool;
}

/// Words that no two languages have in common but one.
std::vector<Word> some_words() {
  std::vector<Word> words = {{"both", 0b011}};
  for (int i = 0; i < 60; ++i) {
    const std::string number{static_cast<char>('a' + i / 10), static_cast<char>('k' + i % 10)};
    words.push_back({"x" + number, 0b001});
    words.push_back({"y" + number, 0b010});
    words.push_back({"z" + number, 0b100});
  }
  return words;
}

FileOptions with_features(std::uint64_t features) { return {.base = {}, .features = features, .bits = {}}; }

FileProblem problem_of(const std::filesystem::path& file) { return make_problem(file, {}); }

Options options_from(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "language_id");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace

TEST_CASE("every code point goes to UTF-8 and back") {
  std::u32string text, back;
  for (char32_t c = 0; c <= 0x10ffff; c += c < 0x1000 ? 1 : 61) {
    if (c < 0xd800 || c >= 0xe000) text.push_back(c);
  }
  for (const char32_t c : {U'\u07ff', U'\u0800', U'\ud7ff', U'\ue000', U'\uffff', U'\U00010000', U'\U0010ffff'})
    text.push_back(c);
  REQUIRE(decode_utf8(encode_utf8(text), back));
  CHECK(back == text);
  CHECK(encode_utf8(U"aß€😀") == "a\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("what is not UTF-8 is told, and read as Latin-1") {
  CHECK(is_utf8(""));
  for (const std::string bad : {"\x80",
                                "a\xbf",
                                "\xc3",
                                "\xc3z",
                                "\xe2\x82",
                                "\xe2\x82z",
                                "\xf0\x9f\x98",
                                "\xff",
                                "\xfe",
                                "\xf8\x88\x80\x80\x80",
                                "\xc0\x80",
                                "\xc1\xbf",
                                "\xe0\x80\x80",
                                "\xe0\x9f\xbf",
                                "\xf0\x80\x80\x80",
                                "\xf0\x8f\xbf\xbf",
                                "\xed\xa0\x80",
                                "\xed\xbf\xbf",
                                "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80"}) {
    CHECK_FALSE(is_utf8(bad));
  }
  std::u32string text;
  decode("h\xe5ll", text);
  CHECK(text == U"håll");
  decode("h\xc3\xa5ll", text);
  CHECK(text == U"håll");
  decode_latin1("\xc3\xa5\xff", text);
  CHECK(text == U"Ã¥ÿ");
}

TEST_CASE("capitals of the languages at hand become small, and nothing else changes") {
  CHECK(lower(std::u32string(U"AZ ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞ ĄĆĘŁŃŚŹŻ ČĎĚŇŘŠŤŮŽ ĞİŞ ŐŰ ŒŸ ĹĻĽĿ ŊŢŶ")) ==
        U"az àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþ ąćęłńśźż čďěňřšťůž ğiş őű œÿ ĺļľŀ ŋţŷ");
  const std::u32string small = U"az09 ×÷ ßàÿ āąćıĵķĸĺłńňŉŋœŵŷźżžſ ƀ ß € αω ж @[`{";
  CHECK(lower(small) == small);
  for (char32_t c = 0; c < 0x300; ++c) CHECK(lower(lower(c)) == lower(c));
}

TEST_CASE("letters are told from what else stands in word lists") {
  for (const char32_t c : std::u32string(U"azAZÀÖØöøÿĀżſƀ")) CHECK(is_latin_letter(c));
  for (const char32_t c : std::u32string(U" '-.09@[`{²³×÷₂€αж")) CHECK_FALSE(is_latin_letter(c));
}

TEST_CASE("the hash is the finaliser of SplitMix64, whose first numbers are known") {
  CHECK(mix(hash_of_nothing) == 0xe220a8397b1dcdaf);
  CHECK(mix(2 * hash_of_nothing) == 0x6e789e6aa1b965f4);
  CHECK(mix(3 * hash_of_nothing) == 0x06c45d188009454f);
}

TEST_CASE("every bit of a symbol moves half of the bits of a hash") {
  for (unsigned bit = 0; bit < 21; ++bit) {
    int moved = 0;
    for (std::uint64_t symbol = 0; symbol < 1000; ++symbol) {
      moved += std::popcount(extend(hash_of_nothing, symbol) ^ extend(hash_of_nothing, symbol ^ (1u << bit)));
    }
    CHECK(moved / 1000.0 == Approx(32).margin(0.9));  // five standard errors and more
  }
}

TEST_CASE("features are spread evenly") {
  constexpr unsigned bits = 8;
  std::vector<double> count(1 << bits);
  constexpr int n = 256 * 400;
  for (std::uint64_t i = 0; i < n; ++i) ++count[feature_of(extend(extend(hash_of_nothing, i % 320), i / 320), bits)];
  double chi_squared = 0;
  for (const double c : count) chi_squared += (c - 400) * (c - 400) / 400;
  // 255 degrees of freedom: mean 255, standard deviation 22.6.
  CHECK(chi_squared == Approx(255).margin(5 * 22.6));
  CHECK(feature_of(~std::uint64_t{0}, 32) == 0xffffffff);
  CHECK(feature_of(~std::uint64_t{0}, 1) == 1);
}

TEST_CASE("a word is its n-grams between two marks, in a row of norm 1") {
  CHECK(features("at").size() == 8);     // a t ^a at t$ ^at at$ ^at$
  CHECK(features("word").size() == 16);  // 4 letters, 5 pairs, 4 of three, 3 of four
  CHECK(features("").size() == 1);       // ^$
  for (const std::string word : {"a", "at", "château", ""}) {
    const auto of_word = features(word);
    CHECK(std::set(of_word.begin(), of_word.end()).size() == of_word.size());
    NgramEncoder encode(20);
    double squares = 0;
    for (const float value : encode(word).values) squares += static_cast<double>(value) * static_cast<double>(value);
    CHECK(squares == Approx(1).epsilon(1e-6));
  }
  CHECK(shared_features("at", "as") == 2);  // a ^a
  CHECK(shared_features("ab", "ba") == 2);  // a b: beginning and end differ
  CHECK(shared_features("é", "e") == 0);
  CHECK(features("h\xe5ll") == features("håll"));
  for (const std::uint32_t feature : features("Donaudampfschiff", 5)) CHECK(feature < 32);
}

TEST_CASE("a word of several lists is one word of several languages, whatever the order of the lists") {
  std::vector<std::pair<std::string, std::size_t>> words = {
      {"rot", 0}, {"rot", 2}, {"rot", 0}, {"brot", 0}, {"rouge", 1}};
  const auto drawn = pool_of(words).draw(0);
  REQUIRE(drawn.size() == 3);
  for (const Word& word : drawn) {
    CHECK(word.languages == (word.text == "rot" ? 0b101u : word.text == "brot" ? 0b001u : 0b010u));
  }
  std::reverse(words.begin(), words.end());
  const auto again = pool_of(words).draw(0);
  REQUIRE(again.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(again[i].text == drawn[i].text);
}

TEST_CASE("a language gets no more words than asked for, but those that another wants") {
  WordPool pool;
  for (int i = 0; i < 1000; ++i) pool.add("large" + std::to_string(i), 0);
  for (int i = 0; i < 50; ++i) pool.add("small" + std::to_string(i), 1);
  pool.add("large1", 1);
  const auto all = pool.draw(0), some = pool.draw(100);
  CHECK(all.size() == 1050);
  const auto of_language = [&](std::size_t k) {
    return std::count_if(some.begin(), some.end(), [k](const Word& word) { return (word.languages >> k & 1) != 0; });
  };
  CHECK(of_language(1) == 51);
  CHECK(of_language(0) >= 100);
  CHECK(of_language(0) <= 101);
}

TEST_CASE("one word in ten is held out, by itself alone") {
  int held_out = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) held_out += is_held_out("word" + std::to_string(i));
  CHECK(held_out / double{n} == Approx(0.1).margin(5 * std::sqrt(0.09 / n)));
  CHECK(is_held_out("word1") == is_held_out(std::string("word1")));

  // Also among the words with the lowest hashes, which a limit draws.
  WordPool pool;
  for (int i = 0; i < n; ++i) pool.add("word" + std::to_string(i), 0);
  const auto drawn = pool.draw(n / 10);
  const auto of_drawn =
      std::count_if(drawn.begin(), drawn.end(), [](const Word& word) { return is_held_out(word.text); });
  CHECK(static_cast<double>(of_drawn) / (n / 10.0) == Approx(0.1).margin(5 * std::sqrt(0.9 / n)));
}

TEST_CASE("a word list is read in small letters, without what is no word") {
  std::istringstream stream("Haus\nhaus\r\n\nit's\nabc1\ntwo words\nÉté\n\xc9t\xe9\nrock-'n'-roll\nŻółw");
  LineReader lines(stream, "list");
  WordPool pool;
  const ListedLines listed = add_word_list(lines, 3, pool);
  CHECK(listed.lines == 10);
  CHECK(listed.left_out == 5);
  std::set<std::string> words;
  for (const Word& word : pool.draw(0)) {
    words.insert(word.text);
    CHECK(word.languages == 0b1000);
  }
  CHECK(words == std::set<std::string>{"haus", "été", "żółw"});
}

TEST_CASE("word lists are loaded, and missing ones named with their packages") {
  const TemporaryDirectory directory;
  const std::vector<Language> two = {all_languages[1], all_languages[8]};
  CHECK_THROWS_WITH(load_word_lists(directory.path(), two, 0),
                    Catch::Matchers::EndsWith(": no word list american-english, swedish; on Debian and Ubuntu: apt-get "
                                              "install wamerican wswedish, elsewhere give the directory of such lists "
                                              "by --dictionaries"));
  std::string words;
  for (char a = 'a'; a <= 'z'; ++a) words += std::string{a, 'b', '\n'} + std::string{a, 'c', '\n'};
  write(directory.path() / "american-english", words);
  CHECK_THROWS_WITH(load_word_lists(directory.path(), two, 0),
                    Catch::Matchers::EndsWith(": no word list swedish; on Debian and Ubuntu: apt-get install wswedish, "
                                              "elsewhere give the directory of such lists by --dictionaries"));
  write(directory.path() / "swedish", "123\n");
  CHECK_THROWS_WITH(load_word_lists(directory.path(), two, 0),
                    Catch::Matchers::EndsWith("swedish: expected words, found none"));
  write(directory.path() / "swedish", "ab\n\xe5\n1\n");
  const WordLists lists = load_word_lists(directory.path(), two, 0);
  CHECK(lists.listed[0].lines == 52);
  CHECK(lists.listed[1].lines == 3);
  CHECK(lists.listed[1].left_out == 1);
  CHECK(lists.train.size() + lists.test.size() == 53);
  for (const Word& word : lists.train) CHECK_FALSE(is_held_out(word.text));
  for (const Word& word : lists.test) CHECK(is_held_out(word.text));

  std::ostringstream table;
  print_word_lists(table, lists);
  CHECK_THAT(table.str(), Catch::Matchers::Contains("\nswedish       3           1       2") &&
                              Catch::Matchers::Contains(" 1 (50.0 %) "));

  for (const char* const list : {"american-english", "swedish"}) write(directory.path() / list, "ab\n");
  CHECK_THROWS_WITH(load_word_lists(directory.path(), two, 0),
                    Catch::Matchers::Contains(": expected words to train on and to test on, found "));
}

TEST_CASE("probabilities and the cross-entropy overflow nothing") {
  std::vector<double> scores = {0, std::log(3.0)};
  CHECK(cross_entropy(scores, 0) == Approx(std::log(4.0)));
  CHECK(cross_entropy(scores, 1) == Approx(std::log(4.0 / 3)));
  softmax(scores, scores);
  CHECK(scores[0] == Approx(0.25));
  CHECK(scores[1] == Approx(0.75));
  scores = {-1e5, 1e5};
  CHECK(cross_entropy(scores, 0) == 2e5);
  softmax(scores, scores);
  CHECK(scores == std::vector<double>{0, 1});
}

TEST_CASE("words are trained and averaged as the formulas say") {
  const std::vector<Word> words = some_words();
  TrainingOptions options;
  options.bits = 6;  // so that features are shared
  options.epochs = 2;
  options.learning_rate = 0.5;
  options.average_from = 0.75;
  const Model model = train(words, 3, options, 7, nothing);

  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(64, 3), sum = weights;
  MiniBatches order(static_cast<Eigen::Index>(words.size()), 1, 7);
  NgramEncoder encode(6);
  const std::size_t steps = 2 * words.size(), start = steps * 3 / 4;
  double folds = 0;
  for (std::size_t t = 1; t <= steps; ++t) {
    const Word& word = words[static_cast<std::size_t>(order.next().front())];
    Eigen::VectorXd x = Eigen::VectorXd::Zero(64);
    const auto row = encode(word.text);
    for (std::size_t i = 0; i < row.indices.size(); ++i) x[row.indices[i]] += static_cast<double>(row.values[i]);
    Eigen::RowVectorXd slopes = (x.transpose() * weights).array().exp();
    slopes /= slopes.sum();
    for (std::size_t k = 0; k < 3; ++k) {
      if ((word.languages >> k & 1) != 0) slopes[static_cast<Eigen::Index>(k)] -= 1.0 / std::popcount(word.languages);
    }
    weights -= 0.5 * x * slopes;
    if (t < start) continue;
    sum += weights;
    ++folds;
  }
  CHECK((model.weights() - weights).norm() < 1e-5 * weights.norm());
  CHECK((model.average() - sum / folds).norm() < 1e-5 * weights.norm());
  CHECK(model.intercept().isZero(0));

  TrainingOptions falling = options;
  falling.schedule = "inverse-time";
  CHECK(make_model(2, 2, false, falling, 1000).learning_rate() == 0.5);
  CHECK(train(words, 3, falling, 7, nothing).learning_rate() == Approx(0.5 * std::pow(11, -2.0 / 3)));
  falling.schedule = "cosine";
  CHECK(train(words, 3, falling, 7, nothing).learning_rate() == 0);
}

TEST_CASE("any language of a word is right, and its loss the mean over them") {
  Model model = make_model(1 << 10, 3, false, {}, 1);
  NgramEncoder encode(10);
  model.step(encode("ab"),
             std::vector<double>{-1.0 / 3, 0, 0});  // by the rate of 3, the first language gets a score of 1
  for (const Weights weights : {Weights::last, Weights::average}) {
    const Score score = evaluate(model, weights, {{"ab", 0b011}, {"ab", 0b100}}, 10);
    CHECK(score.accuracy == 0.5);
    CHECK(score.of_language == std::vector<double>{1, 1, 0});
    const double normalizer = std::log(std::exp(1.0) + 2);
    CHECK(score.loss == Approx(normalizer - 0.25).epsilon(1e-6));
  }
  const std::vector<Language> languages = {all_languages[0], all_languages[1], all_languages[2]};
  CHECK(likely_languages(model, languages, 10, "AB") == "dutch 57.6 %, english 21.2 %, french 21.2 %");
}

TEST_CASE("languages with letters of their own are learnt in one pass") {
  const auto words = some_words();
  TrainingOptions options;
  options.bits = 12;
  int steps = 0;
  const Model model = train(words, 3, options, 1, [&] { ++steps; });
  CHECK(steps == 181);
  for (const Weights weights : {Weights::last, Weights::average}) {
    const Score score = evaluate(model, weights, words, 12);
    CHECK(score.accuracy == 1);
    CHECK(score.loss < 0.5);
  }
}

TEST_CASE("an SVMlight file is trained on by its labels, two or more") {
  const std::filesystem::path fixtures = POLYAK_EXAMPLES_FIXTURES_DIR;
  FileProblem problem = problem_of(fixtures / "digits_train.svm.gz");
  CHECK(problem.features == 64);
  CHECK(problem.outputs() == 10);
  TrainingOptions options;
  options.epochs = 5;
  options.learning_rate = 0.003;
  int steps = 0;
  const Model model = train(problem, options, [&] { ++steps; });
  CHECK(steps == 1500);
  for (const Weights weights : {Weights::last, Weights::average}) {
    const FileScore test = evaluate(model, weights, problem, fixtures / "digits_test.svm.gz");
    CHECK(test.samples == 100);
    CHECK(test.accuracy > 0.8);
    CHECK(test.loss < 1);
  }

  // Hashed into room enough, the features change their names alone.
  const FileProblem hashed = make_problem(problem.file, {.base = {}, .features = {}, .bits = 24});
  CHECK(hashed.features == std::size_t{1} << 24);
  const Model by_hash = train(hashed, options, nothing);
  const auto loss = [&](const Model& m, const FileProblem& p) {
    return evaluate(m, Weights::average, p, fixtures / "digits_test.svm.gz").loss;
  };
  CHECK(loss(by_hash, hashed) == Approx(loss(model, problem)).epsilon(1e-5));
}

TEST_CASE("two labels are told apart by logistic regression") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "two.svm";
  write(file, "-1 1:1\n1 2:2\n");
  const FileProblem problem = problem_of(file);
  CHECK(problem.outputs() == 1);
  TrainingOptions options;
  options.learning_rate = 1;
  const Model model = train(problem, options, nothing);
  // A first step of −1/2 along (1, 0) and the intercept; then, at the score of −1/2, one along (0, 2) and 1.
  const double p = 1 / (1 + std::exp(0.5));
  CHECK(model.weights()(0, 0) == Approx(-0.5));
  CHECK(model.weights()(1, 0) == Approx(2 * (1 - p)));
  CHECK(model.intercept()[0] == Approx(-0.5 + 1 - p));

  const FileScore score = evaluate(model, Weights::last, problem, file);
  const double first = -1 + (1 - p), second = -0.5 + 5 * (1 - p);
  CHECK(score.loss == Approx((std::log1p(std::exp(first)) + std::log1p(std::exp(-second))) / 2));
  CHECK(score.accuracy == 1);
}

TEST_CASE("files that cannot be trained or tested on are refused") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "train.svm", other = directory.path() / "test.svm";
  const auto refuses = [&](const std::string& content, const std::string& message) {
    write(file, content);
    CHECK_THROWS_WITH(problem_of(file), Catch::Matchers::EndsWith(message));
  };
  refuses("", "expected samples of two labels or more, found 0 samples of 0 labels");
  refuses("1 1:1\n1 2:1\n", "expected samples of two labels or more, found 2 samples of 1 labels");
  refuses("1 1:1\n2 2147483648:1\n",
          "expected features times outputs to be at most 1073741824, found 2147483648 times 1; --bits hashes features "
          "into fewer");
  std::string labels;
  for (int i = 0; i <= 1000; ++i) labels += std::to_string(i) + "\n";
  refuses(labels, "train.svm:1001: expected at most 1000 different labels, found one more");

  write(file, "1 1:1\n2 3:1\n");
  const FileProblem problem = problem_of(file);
  const Model model = train(problem, {}, nothing);
  write(other, "1 1:1\n2 2:1 4:1\n");
  CHECK_THROWS_WITH(
      evaluate(model, Weights::last, problem, other),
      Catch::Matchers::EndsWith(
          "test.svm:2: expected indices up to 3, as there are 3 features, found 4; give --features 4 or more"));
  CHECK_THROWS_WITH(
      train(make_problem(file, with_features(2)), {}, nothing),
      Catch::Matchers::EndsWith(
          "train.svm:2: expected indices up to 2, as there are 2 features, found 3; give --features 3 or more"));
  CHECK_NOTHROW(train(make_problem(file, with_features(1000)), {}, nothing));
  write(other, "3 1:1\n");
  CHECK_THROWS_WITH(evaluate(model, Weights::last, problem, other),
                    Catch::Matchers::Contains("test.svm:1: expected a label that is in ") &&
                        Catch::Matchers::EndsWith("train.svm, found 3"));
  write(other, "# nothing\n");
  CHECK_THROWS_WITH(evaluate(model, Weights::last, problem, other),
                    Catch::Matchers::EndsWith("test.svm: expected a sample, found the end of the file"));

  // A file from 0 on that does not use its first feature is told so.
  CHECK(problem_of(file).features == 3);
  CHECK(make_problem(file, {.base = IndexBase::zero, .features = {}, .bits = {}}).features == 4);

  // From 0 on in training, and so in the test.
  write(file, "1 0:1\n2 1:1\n");
  write(other, "1 0:1\n");
  CHECK(problem_of(file).features == 2);
  CHECK(evaluate(train(problem_of(file), {}, nothing), Weights::last, problem_of(file), other).samples == 1);
}

TEST_CASE("options of words and files do not mix") {
  CHECK(options_from({}).languages.size() == 9);
  CHECK(options_from({}).training.learning_rate == 3);
  CHECK_FALSE(options_from({}).file.bits);
  CHECK(options_from({"--train", "x"}).training.learning_rate == 0.01);
  CHECK(options_from({"--train", "x", "--bits", "9"}).file.bits == 9u);
  CHECK_FALSE(options_from({"--train", "x"}).file.base);
  CHECK(options_from({"--train", "x", "--first-index", "0"}).file.base == IndexBase::zero);
  CHECK(options_from({"--train", "x", "--first-index", "1"}).file.base == IndexBase::one);
  const auto two = options_from({"--languages", "swedish,dutch"}).languages;
  REQUIRE(two.size() == 2);
  CHECK(std::string(two[0].name) == "dutch");
  CHECK_THROWS_WITH(options_from({"--languages", "dutch,dutch"}), "--languages: must be at least two different ones");
  using Arguments = std::vector<const char*>;
  for (const Arguments& bad : {Arguments{"--test", "x"},
                               {"--first-index", "0"},
                               {"--features", "5"},
                               {"--train", "x", "--seeds", "2"},
                               {"--train", "x", "--interactive"},
                               {"--train", "x", "--bits", "5", "--features", "5"},
                               {"--train", "x", "--languages", "dutch,english"}}) {
    CHECK_THROWS_AS(options_from(bad), BadOption);
  }
}
