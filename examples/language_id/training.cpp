#include "language_id/training.hpp"

#include <algorithm>
#include <bit>

#include "common/mini_batches.hpp"
#include "language_id/softmax.hpp"

namespace examples::language_id {

namespace {

polyak::Hyperparameter learning_rate(const TrainingOptions& options, std::uint64_t steps) {
  if (options.schedule == "constant") return options.learning_rate;
  if (options.schedule == "cosine") return polyak::Cosine{{.initial = options.learning_rate, .steps = steps}};
  const double timescale = static_cast<double>(steps) / 10;
  return polyak::InverseTime{{.initial = options.learning_rate, .timescale = timescale, .power = 2.0 / 3}};
}

bool is_one_of(LanguageSet languages, std::size_t language) { return (languages >> language & 1) != 0; }

}  // namespace

Model make_model(std::size_t features, std::size_t outputs, bool intercept, const TrainingOptions& options,
                 std::uint64_t steps) {
  const auto start = static_cast<std::uint64_t>(options.average_from * static_cast<double>(steps));
  return Model{
      {.features = features,
       .outputs = outputs,
       .learning_rate = learning_rate(options, steps),
       .intercept = intercept},
      polyak::TailAverage{{.start = start}},
  };
}

Model train(const std::vector<Word>& words, std::size_t languages, const TrainingOptions& options, std::uint64_t seed,
            const std::function<void()>& on_step) {
  const std::uint64_t steps = options.epochs * words.size();
  Model model = make_model(std::size_t{1} << options.bits, languages, false, options, steps);
  NgramEncoder encode(options.bits);
  MiniBatches order(static_cast<Eigen::Index>(words.size()), 1, seed);
  for (std::uint64_t i = 0; i < steps; ++i) {
    const Word& word = words[static_cast<std::size_t>(order.next().front())];
    const double share = 1.0 / std::popcount(word.languages);
    model.step(encode(word.text), [&](std::span<const double> scores, std::span<double> derivatives) {
      softmax(scores, derivatives);
      for (std::size_t k = 0; k < languages; ++k) {
        if (is_one_of(word.languages, k)) derivatives[k] -= share;
      }
    });
    on_step();
  }
  return model;
}

Score evaluate(const Model& model, Weights weights, const std::vector<Word>& words, unsigned bits) {
  NgramEncoder encode(bits);
  const std::size_t languages = model.outputs();
  std::vector<double> scores(languages), right(languages), listed(languages);
  Score score;
  for (const Word& word : words) {
    put_scores(model, weights, encode(word.text), scores);
    const auto best = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    const bool is_right = is_one_of(word.languages, best);
    score.accuracy += is_right;
    for (std::size_t k = 0; k < languages; ++k) {
      if (!is_one_of(word.languages, k)) continue;
      score.loss += cross_entropy(scores, k) / std::popcount(word.languages);
      listed[k] += 1;
      right[k] += is_right;
    }
  }
  const auto n = static_cast<double>(words.size());
  score.loss /= n;
  score.accuracy /= n;
  for (std::size_t k = 0; k < languages; ++k) score.of_language.push_back(right[k] / listed[k]);
  return score;
}

}  // namespace examples::language_id
