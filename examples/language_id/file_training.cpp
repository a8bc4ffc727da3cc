#include "language_id/file_training.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "language_id/hashing.hpp"
#include "language_id/softmax.hpp"

namespace examples::language_id {

namespace {

constexpr std::size_t max_labels = 1000;  // more are those of a regression, or wrong
constexpr std::uint64_t max_weights = std::uint64_t{1} << 30;

std::string shown(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

/// The samples of a file, as features and classes of a problem.
class Samples {
 public:
  using Row = polyak::SparseRow<std::uint32_t, double>;

  Samples(const FileProblem& problem, const std::filesystem::path& file)
      : problem_(problem), reader_(file, problem.summary.base) {}

  bool next() {
    if (!reader_.next(sample_)) return false;
    const auto& labels = problem_.summary.labels;
    const auto place = std::lower_bound(labels.begin(), labels.end(), sample_.label);
    if (place == labels.end() || *place != sample_.label) {
      reader_.fail("a label that is in " + problem_.file.string(), shown(sample_.label));
    }
    label_ = static_cast<std::size_t>(place - labels.begin());
    if (problem_.bits) {
      for (std::uint32_t& index : sample_.indices) {
        index = feature_of(extend(hash_of_nothing, index), *problem_.bits);
      }
    } else if (!sample_.indices.empty() && sample_.indices.back() >= problem_.features) {
      const auto first = static_cast<std::uint64_t>(reader_.base());
      reader_.fail("indices up to " + std::to_string(problem_.features - 1 + first) + ", as there are " +
                       std::to_string(problem_.features) + " features",
                   std::to_string(sample_.indices.back() + first) + "; give --features " +
                       std::to_string(sample_.indices.back() + std::uint64_t{1}) + " or more");
    }
    return true;
  }

  [[nodiscard]] Row row() const { return {sample_.indices, sample_.values}; }
  /// The place of its label among those of the problem.
  [[nodiscard]] std::size_t label() const { return label_; }

 private:
  const FileProblem& problem_;
  SvmlightReader reader_;
  SvmlightSample sample_;
  std::size_t label_ = 0;
};

double logistic(double score) { return 1 / (1 + std::exp(-score)); }

/// log(1 + exp(score)), also where that overflows.
double softplus(double score) { return std::max(score, 0.0) + std::log1p(std::exp(-std::abs(score))); }

}  // namespace

FileProblem make_problem(const std::filesystem::path& file, const FileOptions& options) {
  FileProblem problem{file, summarize_svmlight(file, max_labels, options.base), 1, options.bits};
  if (problem.summary.labels.size() < 2) {
    throw std::runtime_error(file.string() + ": expected samples of two labels or more, found " +
                             std::to_string(problem.summary.samples) + " samples of " +
                             std::to_string(problem.summary.labels.size()) + " labels");
  }
  const std::uint64_t features = options.features.value_or(std::max<std::uint64_t>(1, problem.summary.features));
  problem.features = options.bits ? std::size_t{1} << *options.bits : static_cast<std::size_t>(features);
  if (problem.features > max_weights / problem.outputs()) {
    throw std::runtime_error(file.string() + ": expected features times outputs to be at most " +
                             std::to_string(max_weights) + ", found " + std::to_string(problem.features) + " times " +
                             std::to_string(problem.outputs()) + "; --bits hashes features into fewer");
  }
  return problem;
}

Model train(const FileProblem& problem, const TrainingOptions& options, const std::function<void()>& on_step) {
  Model model =
      make_model(problem.features, problem.outputs(), true, options, options.epochs * problem.summary.samples);
  for (std::uint64_t epoch = 0; epoch < options.epochs; ++epoch) {
    Samples samples(problem, problem.file);
    while (samples.next()) {
      if (problem.outputs() == 1) {
        model.step(samples.row(), [&](double score) { return logistic(score) - static_cast<double>(samples.label()); });
      } else {
        model.step(samples.row(), [&](std::span<const double> scores, std::span<double> derivatives) {
          softmax(scores, derivatives);
          derivatives[samples.label()] -= 1;
        });
      }
      on_step();
    }
  }
  return model;
}

FileScore evaluate(const Model& model, Weights weights, const FileProblem& problem, const std::filesystem::path& file) {
  FileScore score;
  std::vector<double> scores(problem.outputs());
  Samples samples(problem, file);
  while (samples.next()) {
    ++score.samples;
    put_scores(model, weights, samples.row(), scores);
    const std::size_t label = samples.label();
    if (problem.outputs() == 1) {
      score.loss += softplus(label == 1 ? -scores[0] : scores[0]);
      score.accuracy += (scores[0] > 0) == (label == 1);
    } else {
      score.loss += cross_entropy(scores, label);
      score.accuracy +=
          static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin()) == label;
    }
  }
  if (score.samples == 0) throw std::runtime_error(file.string() + ": expected a sample, found the end of the file");
  score.loss /= static_cast<double>(score.samples);
  score.accuracy /= static_cast<double>(score.samples);
  return score;
}

}  // namespace examples::language_id
