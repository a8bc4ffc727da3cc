#pragma once

#include <filesystem>
#include <string>

#include "common/dataset.hpp"

namespace examples {

/// The UCI handwritten digits that come with the examples: 8 x 8 pixels, 1437 images to train on, 360 to test on.
[[nodiscard]] TrainTest load_digits();

/// Any data set of ten classes in the four IDX files of MNIST, each plain or as .gz, in one directory: under the names
/// of MNIST, those with a dot for the last but one hyphen (train-images.idx3-ubyte), or those of EMNIST.
[[nodiscard]] TrainTest load_idx_directory(const std::filesystem::path& directory);

/// By name: "digits", "fashion-mnist" (where Debian and Ubuntu put it), or a directory of IDX files.
/// All three throw std::runtime_error on files that are missing or not what they should be.
[[nodiscard]] TrainTest load_data(const std::string& name);

}  // namespace examples
