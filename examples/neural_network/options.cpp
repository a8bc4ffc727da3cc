#include "neural_network/options.hpp"

#include "common/command_line.hpp"

namespace examples::neural_network {

Options parse_options(int argc, const char* const* argv) {
  const auto count = whole_number_from(1);
  const auto natural = whole_number_from(0);
  const auto positive = positive_number();
  const auto decay = number_in(0, 1, "must be in [0, 1]");
  const auto name = not_empty();

  Options options;
  TrainingOptions& training = options.training;
  std::string optimizer = "both";
  CLI::App app{
      "A two-layer perceptron on real data, trained by SGD with momentum and by AdamW: the last iterate beside its\n"
      "averages, in test loss, accuracy and flatness. Trains once for each optimizer and seed; the averages watch the\n"
      "same run and change nothing in it.",
      "neural_network"};
  app.get_formatter()->column_width(32);

  const auto add = [&](const char* option, auto& value, const char* type, const std::string& what) {
    return app.add_option(option, value, what)->type_name(type);
  };
  add("--data", options.data, "NAME", "digits, fashion-mnist, or a directory of IDX files")
      ->check(name)
      ->capture_default_str();
  add("--optimizer", optimizer, "NAME", "sgd, adamw or both")
      ->check(one_of({"sgd", "adamw", "both"}))
      ->capture_default_str();
  const auto* const epochs =
      add("--epochs", training.epochs, "N", "passes over the training images (50 for digits, else 10)")->check(count);
  const auto* const batch_size =
      add("--batch-size", training.batch_size, "N", "images in a mini-batch (32 for digits, else 128)")->check(count);
  add("--hidden", training.hidden, "N", "hidden units")->check(whole_number_from(1, 65536))->capture_default_str();
  add("--schedule", training.schedule, "NAME", "of the learning rates: constant, or cosine, which falls to 0")
      ->check(one_of({"constant", "cosine"}))
      ->capture_default_str();
  add("--sgd-learning-rate", training.sgd_learning_rate, "RATE", "of SGD")->check(positive)->capture_default_str();
  add("--momentum", training.momentum, "MU", "of SGD")->check(fraction())->capture_default_str();
  add("--sgd-weight-decay", training.sgd_weight_decay, "LAMBDA", "of SGD; biases do not decay")
      ->check(decay)
      ->capture_default_str();
  add("--adamw-learning-rate", training.adamw_learning_rate, "RATE", "of AdamW")
      ->check(positive)
      ->capture_default_str();
  add("--adamw-weight-decay", training.adamw_weight_decay, "LAMBDA", "of AdamW; biases do not decay")
      ->check(decay)
      ->capture_default_str();
  const auto* const ema_decay =
      add("--decay", training.ema_decay, "BETA", "decay of the EMA (0.99 for digits, else 0.999)")->check(fraction());
  add("--swa-start", training.swa_start, "SHARE", "of the training before the first snapshot of the SWA")
      ->check(fraction())
      ->capture_default_str();
  add("--relative-width", training.relative_width, "SIGMA", "of the power EMA, in steps over those made so far")
      ->check(number_in(1e-3, 0.288, "must be from 0.001 to 0.288"))
      ->capture_default_str();
  add("--seed", options.seed, "N", "of the first run: the first weights and the order of the images")
      ->check(natural)
      ->capture_default_str();
  add("--seeds", options.seeds, "N", "number of runs, with consecutive seeds")->check(count)->capture_default_str();
  add("--flatness", options.flatness, "N", "draws of each perturbation of the weights (0: flatness is not measured)")
      ->check(natural)
      ->capture_default_str();
  add("--csv", options.csv, "FILE", "write the curves of test loss and accuracy")->check(name);
  add("--plot", options.plot, "FILE", "draw the curves of test accuracy as SVG, with gnuplot")->check(name);

  parse(app, argc, argv);
  if (optimizer != "both") options.optimizers = {optimizer};
  if (options.data == "digits") {
    if (epochs->empty()) training.epochs = 50;
    if (batch_size->empty()) training.batch_size = 32;
    if (ema_decay->empty()) training.ema_decay = 0.99;
  }
  return options;
}

}  // namespace examples::neural_network
