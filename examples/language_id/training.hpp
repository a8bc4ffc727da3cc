#pragma once

#include <polyak/sparse/sparse_sgd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "language_id/ngrams.hpp"
#include "language_id/word_lists.hpp"

namespace examples::language_id {

/// Scores of classes, linear in features, of which a sample has few.
using Model = polyak::SparseSgd<polyak::TailAverage<>, float>;

struct TrainingOptions {
  unsigned bits = 20;  ///< n-grams are hashed to 2^bits features
  std::uint64_t epochs = 1;
  double learning_rate = 3;
  std::string schedule = "constant";  ///< or inverse-time, or cosine, which falls to 0
  double average_from = 0.5;          ///< share of the training before the average starts
};

/// A model of zeros that takes so many steps.
[[nodiscard]] Model make_model(std::size_t features, std::size_t outputs, bool intercept,
                               const TrainingOptions& options, std::uint64_t steps);

/// One step for each word, in an order that the seed decides, along the gradient of the cross-entropy. A word of
/// several languages is trained as any of them with the same probability: a list does not tell how common it is in
/// each.
[[nodiscard]] Model train(const std::vector<Word>& words, std::size_t languages, const TrainingOptions& options,
                          std::uint64_t seed, const std::function<void()>& on_step);

/// Which weights of a model are meant.
enum class Weights { last, average };

template <class Row>
void put_scores(const Model& model, Weights weights, const Row& row, std::span<double> scores) {
  if (weights == Weights::last) {
    model.predict(row, scores);
  } else {
    model.predict_average(row, scores);
  }
}

/// How well languages of words are told. Any language of a word is right.
struct Score {
  double loss = 0;                  ///< mean over the words of that minimised in training
  double accuracy = 0;              ///< share of the words that are told right
  std::vector<double> of_language;  ///< share of the words in its list that are told right
};
[[nodiscard]] Score evaluate(const Model& model, Weights weights, const std::vector<Word>& words, unsigned bits);

}  // namespace examples::language_id
