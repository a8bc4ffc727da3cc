#include "logistic_regression/options.hpp"

#include "common/command_line.hpp"
#include "logistic_regression/schedules.hpp"

namespace examples {

Options parse_options(int argc, const char* const* argv) {
  const auto count = whole_number_from(1);
  const auto natural = whole_number_from(0);
  const auto name = not_empty();

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
      ->check(positive_number());
  add("--schedule", options.schedule, "NAME", "course of the learning rate, see below")
      ->check(one_of(schedule_names()))
      ->capture_default_str();
  add("--averager", options.averager, "NAME", "average to show: all, tail, ema or swa")
      ->check(one_of({"all", "tail", "ema", "swa"}))
      ->capture_default_str();
  add("--decay", options.decay, "BETA", "decay of the EMA")->check(fraction())->capture_default_str();
  add("--l2", options.l2, "LAMBDA", "strength of the penalty LAMBDA/2 |w|^2")
      ->check(number_in(1e-8, 1e3, "must be from 1e-8 to 1000"))
      ->capture_default_str();
  add("--seed", options.seed, "N", "orders the mini-batches of the first run")->check(natural)->capture_default_str();
  add("--seeds", options.seeds, "N", "number of runs, with consecutive seeds")->check(count)->capture_default_str();
  app.add_flag("--optimum", options.optimum,
               "measure the distance to the optimum (always done for digits; half a minute for fashion-mnist)");
  add("--csv", options.csv, "FILE", "write the curves of test loss and accuracy")->check(name);
  add("--plot", options.plot, "FILE", "draw the curves of test loss as SVG, with gnuplot")->check(name);

  parse(app, argc, argv);
  if (options.epochs == 0) options.epochs = options.data == "digits" ? 30 : 1;
  if (options.learning_rate == 0) options.learning_rate = options.data == "digits" ? 1 : 0.1;
  return options;
}

}  // namespace examples
