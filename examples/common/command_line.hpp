#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace examples {

// What options may be. Each tells its rule and the value that breaks it.

/// (CLI11's own ranges let NaN pass.)
[[nodiscard]] CLI::Validator number_in(double low, double high, const std::string& text);
/// A number that a float can hold.
[[nodiscard]] CLI::Validator positive_number();
/// In [0, 1).
[[nodiscard]] CLI::Validator fraction();
[[nodiscard]] CLI::Validator whole_number_from(std::int64_t low, std::int64_t high = 1'000'000'000);
[[nodiscard]] CLI::Validator one_of(std::vector<std::string> names);
[[nodiscard]] CLI::Validator not_empty();

/// Throws Help or BadOption.
void parse(CLI::App& app, int argc, const char* const* argv);

/// Throws BadOption.
void require_batch_within(std::int64_t batch_size, std::int64_t training_images);

}  // namespace examples
