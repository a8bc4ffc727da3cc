#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "common/svmlight.hpp"
#include "language_id/training.hpp"

/// Training on any SVMlight file, read anew in each epoch, sample by sample in its own order: the file may be larger
/// than memory, but should have been shuffled. Two labels are told apart by logistic regression, more by softmax
/// regression.

namespace examples::language_id {

/// How a file of training samples is to be taken.
struct FileOptions {
  std::optional<IndexBase> base;          ///< else as summarize_svmlight finds it
  std::optional<std::uint64_t> features;  ///< else as many as the file has
  std::optional<unsigned> bits;           ///< features are hashed to 2^bits
};

/// What it is trained by.
struct FileProblem {
  std::filesystem::path file;
  SvmlightSummary summary;
  std::size_t features = 1;
  std::optional<unsigned> bits;

  [[nodiscard]] std::size_t outputs() const { return summary.labels.size() == 2 ? 1 : summary.labels.size(); }
};

/// Reads the file through. Throws std::runtime_error on a file with fewer than two labels, or more than 1000, and on
/// weights that would take more than 8 GiB.
[[nodiscard]] FileProblem make_problem(const std::filesystem::path& file, const FileOptions& options);

/// One step for each sample, along the gradient of the cross-entropy. Throws std::runtime_error on an index beyond the
/// features, by line.
[[nodiscard]] Model train(const FileProblem& problem, const TrainingOptions& options,
                          const std::function<void()>& on_step);

struct FileScore {
  std::uint64_t samples = 0;
  double loss = 0;      ///< mean cross-entropy
  double accuracy = 0;  ///< share of the samples whose label is the most probable
};

/// Of a file with the labels and the index base of the training file. Throws std::runtime_error on other labels and as
/// train() does.
[[nodiscard]] FileScore evaluate(const Model& model, Weights weights, const FileProblem& problem,
                                 const std::filesystem::path& file);

}  // namespace examples::language_id
