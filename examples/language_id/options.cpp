#include "language_id/options.hpp"

#include <algorithm>
#include <string>

#include "common/command_line.hpp"
#include "common/program.hpp"

namespace examples::language_id {

namespace {

/// In the order of all_languages, whatever that of the names.
std::vector<Language> languages_named(const std::vector<std::string>& names) {
  std::vector<Language> languages;
  for (const Language& language : all_languages) {
    if (std::find(names.begin(), names.end(), language.name) != names.end()) languages.push_back(language);
  }
  if (languages.size() < 2) throw BadOption("--languages: must be at least two different ones");
  return languages;
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  const auto count = whole_number_from(1);
  const auto natural = whole_number_from(0);
  const auto name = not_empty();

  Options options;
  TrainingOptions& training = options.training;
  std::vector<std::string> languages = language_names();
  CLI::App app{
      "Tells the language of a word from its n-grams, by one pass of SGD over word lists, as they train: the last\n"
      "iterate beside the average of the weights. Or trains on any SVMlight file, which may be larger than memory.",
      "language_id"};
  app.get_formatter()->column_width(32);

  const auto add = [&](const char* option, auto& value, const char* type, const std::string& what) {
    return app.add_option(option, value, what)->type_name(type);
  };
  auto* const dictionaries =
      add("--dictionaries", options.dictionaries, "DIR", "of the word lists")->check(name)->capture_default_str();
  auto* const chosen = add("--languages", languages, "NAMES", "to be told apart, with commas between")
                           ->delimiter(',')
                           ->check(one_of(language_names()))
                           ->capture_default_str();
  auto* const per_language = add("--words-per-language", options.words_per_language, "N",
                                 "about as many of each language at most, by their hashes (0: all)")
                                 ->check(natural)
                                 ->capture_default_str();
  auto* const seed = add("--seed", options.seed, "N", "of the first run: the order of the words")
                         ->check(natural)
                         ->capture_default_str();
  auto* const seeds =
      add("--seeds", options.seeds, "N", "number of runs, with consecutive seeds")->check(count)->capture_default_str();
  auto* const interactive =
      app.add_flag("--interactive", options.interactive, "then tell the languages of words from standard input");
  auto* const bits = add("--bits", training.bits, "K",
                         "hash to 2^K features (20 for words; files are hashed only where this is given)")
                         ->check(whole_number_from(1, 28));
  add("--epochs", training.epochs, "N", "passes over the training samples")->check(count)->capture_default_str();
  const auto* const rate = add("--learning-rate", training.learning_rate, "RATE", "of SGD (3 for words, else 0.01)")
                               ->check(positive_number());
  add("--schedule", training.schedule, "NAME",
      "of the rate: constant; inverse-time, RATE (1 + 10 t/T)^-2/3; or cosine, which falls to 0")
      ->check(one_of({"constant", "inverse-time", "cosine"}))
      ->capture_default_str();
  add("--average-from", training.average_from, "SHARE", "of the training before the average starts")
      ->check(fraction())
      ->capture_default_str();
  auto* const train =
      add("--train", options.train, "FILE", "train on an SVMlight file, plain or gzip, in its order")->check(name);
  auto* const test = add("--test", options.test, "FILE", "to test on; else that of the training")->check(name);
  auto* const features = add("--features", options.file.features, "N", "of the files (else what the training file has)")
                             ->check(whole_number_from(1, std::int64_t{1} << 32));
  std::string first_index = "auto";
  add("--first-index", first_index, "BASE", "of the files: 0, 1, or auto, which is 0 where the training file has one")
      ->check(one_of({"auto", "0", "1"}))
      ->capture_default_str()
      ->needs(train);
  test->needs(train);
  features->needs(train)->excludes(bits);
  for (CLI::Option* const of_words : {dictionaries, chosen, per_language, seed, seeds, interactive}) {
    train->excludes(of_words);
  }

  parse(app, argc, argv);
  options.languages = languages_named(languages);
  if (first_index != "auto") options.file.base = first_index == "0" ? IndexBase::zero : IndexBase::one;
  if (!bits->empty()) options.file.bits = training.bits;
  if (!options.train.empty() && rate->empty()) training.learning_rate = 0.01;
  return options;
}

}  // namespace examples::language_id
