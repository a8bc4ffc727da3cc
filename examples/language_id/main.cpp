// A sparse linear model of a million features: it learns to tell the language of a word, or whatever an SVMlight file
// asks, at the cost of the few features of each sample; so does the average of its weights.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/input_file.hpp"
#include "common/program.hpp"
#include "common/progress.hpp"
#include "common/table.hpp"
#include "language_id/file_training.hpp"
#include "language_id/options.hpp"
#include "language_id/report.hpp"
#include "language_id/training.hpp"
#include "language_id/word_lists.hpp"

namespace examples::language_id {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string describe(const TrainingOptions& options) {
  std::ostringstream text;
  text << options.epochs << (options.epochs == 1 ? " pass" : " passes") << " at a learning rate of "
       << options.learning_rate << ", " << options.schedule << "; average from " << 100 * options.average_from
       << " % of the training on";
  return text.str();
}

void print_cost(const Model& model, double seconds, std::uint64_t steps, const std::string& what) {
  std::cout << fixed(static_cast<double>(steps) / seconds, 0) << ' ' << what << " a second; weights and average take "
            << megabytes(model.memory());
  if (const std::size_t peak = peak_memory(); peak > 0) std::cout << ", the process " << megabytes(peak) << " at most";
  std::cout << '\n';
}

/// Until the end of standard input.
void answer(const Model& model, const Options& options) {
  std::cout << '\n' << std::flush;
  for (std::string word; std::cin >> word;) {
    std::cout << word << ": " << likely_languages(model, options.languages, options.training.bits, word) << std::endl;
  }
}

void run_on_words(const Options& options) {
  const TrainingOptions& training = options.training;
  const WordLists lists = load_word_lists(options.dictionaries, options.languages, options.words_per_language);
  print_word_lists(std::cout, lists);
  std::cout << '\n'
            << lists.train.size() << " words, 2^" << training.bits << " features; " << describe(training) << '\n'
            << std::flush;

  const std::uint64_t steps = training.epochs * lists.train.size();
  std::vector<Run> runs;
  std::optional<Model> model;
  double seconds = 0;
  {
    Progress progress("training", options.seeds * steps);
    for (std::uint64_t i = 0; i < options.seeds; ++i) {
      model.reset();  // before the next takes its memory
      const auto start = std::chrono::steady_clock::now();
      model = train(lists.train, lists.languages.size(), training, options.seed + i, [&] { progress.advance(); });
      seconds += seconds_since(start);
      runs.push_back({evaluate(*model, Weights::last, lists.test, training.bits),
                      evaluate(*model, Weights::average, lists.test, training.bits)});
    }
  }
  if (options.seeds > 1) std::cout << "mean ± standard deviation over " << options.seeds << " seeds\n";
  print_scores(std::cout, lists.languages, runs);
  print_cost(*model, seconds, options.seeds * steps, "words");
  if (options.interactive) answer(*model, options);
}

void run_on_file(const Options& options) {
  const TrainingOptions& training = options.training;
  const Rereadable train_file(options.train), test_file(options.test);
  const FileProblem problem = make_problem(train_file.path(), options.file);
  std::cout << problem.summary.samples << " samples of " << problem.summary.labels.size() << " labels, "
            << problem.features << (problem.bits ? " hashed" : "") << " features from "
            << (problem.summary.base == IndexBase::one ? 1 : 0) << " on; " << describe(training) << '\n'
            << std::flush;

  const std::uint64_t steps = training.epochs * problem.summary.samples;
  const auto start = std::chrono::steady_clock::now();
  const Model model = [&] {
    Progress progress("training", steps);
    return train(problem, training, [&] { progress.advance(); });
  }();
  const double seconds = seconds_since(start);

  const auto& file = options.test.empty() ? train_file.path() : test_file.path();
  Table table({options.test.empty() ? "training file" : "test file", "loss", "accuracy %"});
  for (const auto& [name, weights] : {std::pair{"last iterate", Weights::last}, {"average", Weights::average}}) {
    const FileScore score = evaluate(model, weights, problem, file);
    table.add_row({name, fixed(score.loss, 4), fixed(100 * score.accuracy, 2)});
  }
  std::cout << table;
  print_cost(model, seconds, steps, "samples");
}

}  // namespace

}  // namespace examples::language_id

int main(int argc, char** argv) {
  using namespace examples;
  return run_program("language_id", [&] {
    const auto options = language_id::parse_options(argc, argv);
    if (options.train.empty()) {
      language_id::run_on_words(options);
    } else {
      language_id::run_on_file(options);
    }
  });
}
