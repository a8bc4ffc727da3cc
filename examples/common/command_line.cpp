#include "common/command_line.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <system_error>
#include <utility>

#include "common/program.hpp"

namespace examples {

namespace {

/// Accepts what `good` says of the text; else tells the rule.
template <class Good>
CLI::Validator rule(const std::string& text, Good good) {
  return {[=](const std::string& value) { return good(value) ? std::string() : text + ", got " + value; }, ""};
}

}  // namespace

CLI::Validator number_in(double low, double high, const std::string& text) {
  return rule(text, [=](const std::string& value) {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    return !value.empty() && *end == '\0' && number >= low && number <= high;
  });
}

CLI::Validator positive_number() {
  return number_in(std::numeric_limits<double>::min(), static_cast<double>(std::numeric_limits<float>::max()),
                   "must be a positive number");
}

CLI::Validator fraction() { return number_in(0, 1 - std::numeric_limits<double>::epsilon(), "must be in [0, 1)"); }

CLI::Validator whole_number_from(std::int64_t low, std::int64_t high) {
  const std::string text = "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  return rule(text, [=](const std::string& value) {
    std::int64_t number = 0;
    const char* const last = value.data() + value.size();
    const auto [end, error] = std::from_chars(value.data(), last, number);
    return error == std::errc() && end == last && number >= low && number <= high;
  });
}

CLI::Validator one_of(std::vector<std::string> names) { return CLI::IsMember(std::move(names)).description(""); }

CLI::Validator not_empty() {
  return rule("must not be empty", [](const std::string& value) { return !value.empty(); });
}

void parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    throw Help{app.help()};
  } catch (const CLI::ParseError& error) {
    throw BadOption(error.what());
  }
}

void require_batch_within(std::int64_t batch_size, std::int64_t training_images) {
  if (batch_size <= training_images) return;
  throw BadOption("--batch-size: must be at most " + std::to_string(training_images) +
                  ", the number of training images, got " + std::to_string(batch_size));
}

}  // namespace examples
