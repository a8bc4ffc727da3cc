#include "logistic_regression/options.hpp"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "logistic_regression/schedules.hpp"

namespace examples {

namespace {

/// Accepts what `good` says of the text; else tells the rule. (CLI11's own ranges let NaN pass.)
template <class Good>
CLI::Validator rule(const std::string& text, Good good) {
  return {[=](const std::string& value) { return good(value) ? std::string() : text + ", got " + value; }, ""};
}

CLI::Validator number_in(double low, double high, const std::string& text) {
  return rule(text, [=](const std::string& value) {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    return !value.empty() && *end == '\0' && number >= low && number <= high;
  });
}

CLI::Validator whole_number_from(std::int64_t low) {
  constexpr std::int64_t high = 1'000'000'000;
  const std::string text = "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  return rule(text, [=](const std::string& value) {
    std::int64_t number = 0;
    const char* const last = value.data() + value.size();
    const auto [end, error] = std::from_chars(value.data(), last, number);
    return error == std::errc() && end == last && number >= low && number <= high;
  });
}

}  // namespace

Exit bad_option(const std::string& message) {
  return {2, "logistic_regression: " + message + " (--help lists the options)\n"};
}

Options parse_options(int argc, const char* const* argv) {
  constexpr double tiny = std::numeric_limits<double>::min();
  constexpr double huge = std::numeric_limits<float>::max();
  const auto positive = number_in(tiny, huge, "must be a positive number");
  const auto penalty = number_in(1e-8, 1e3, "must be from 1e-8 to 1000");
  const auto decay = number_in(0, 1 - std::numeric_limits<double>::epsilon(), "must be in [0, 1)");
  const auto count = whole_number_from(1);
  const auto natural = whole_number_from(0);
  const auto name = rule("must not be empty", [](const std::string& value) { return !value.empty(); });
  const auto one_of = [](std::vector<std::string> names) { return CLI::IsMember(std::move(names)).description(""); };

  Options options;
  CLI::App app{
      "Multinomial logistic regression by mini-batch SGD on real data: the last iterate beside its averages.\n"
      "Trains once for each seed; the averages watch the same run and change nothing in it.",
      "logistic_regression"};
  app.get_formatter()->column_width(26);
  app.footer("\nSchedules, with T the steps of the whole training:\n" + describe_schedules());

  const auto add = [&](const char* option, auto& value, const char* type, const std::string& what) {
    return app.add_option(option, value, what)->type_name(type);
  };
  add("--data", options.data, "NAME", "digits, fashion-mnist, or a directory of IDX files")
      ->check(name)
      ->capture_default_str();
  add("--epochs", options.epochs, "N", "passes over the training images (30 for digits, else 1)")->check(count);
  add("--batch-size", options.batch_size, "N", "images in a mini-batch")->check(count)->capture_default_str();
  add("--learning-rate", options.learning_rate, "RATE", "highest learning rate (1 for digits, else 0.1)")
      ->check(positive);
  add("--schedule", options.schedule, "NAME", "course of the learning rate, see below")
      ->check(one_of(schedule_names()))
      ->capture_default_str();
  add("--averager", options.averager, "NAME", "average to show: all, tail, ema or swa")
      ->check(one_of({"all", "tail", "ema", "swa"}))
      ->capture_default_str();
  add("--decay", options.decay, "BETA", "decay of the EMA")->check(decay)->capture_default_str();
  add("--l2", options.l2, "LAMBDA", "strength of the penalty LAMBDA/2 |w|^2")->check(penalty)->capture_default_str();
  add("--seed", options.seed, "N", "orders the mini-batches of the first run")->check(natural)->capture_default_str();
  add("--seeds", options.seeds, "N", "number of runs, with consecutive seeds")->check(count)->capture_default_str();
  app.add_flag("--optimum", options.optimum,
               "measure the distance to the optimum (always done for digits; half a minute for fashion-mnist)");
  add("--csv", options.csv, "FILE", "write the curves of test loss and accuracy")->check(name);
  add("--plot", options.plot, "FILE", "draw the curves of test loss as SVG, with gnuplot")->check(name);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    throw Exit{0, app.help()};
  } catch (const CLI::ParseError& error) {
    throw bad_option(error.what());
  }
  if (!options.csv.empty() && options.csv == options.plot) throw bad_option("--plot: must be another file than --csv");
  if (options.epochs == 0) options.epochs = options.data == "digits" ? 30 : 1;
  if (options.learning_rate == 0) options.learning_rate = options.data == "digits" ? 1 : 0.1;
  return options;
}

}  // namespace examples
