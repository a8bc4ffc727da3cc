#include <polyak/io/checkpoint.hpp>
#include <polyak/polyak.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "catch.hpp"
#include "io/files.hpp"
#include "support.hpp"

// Runs that are trained, stopped, and go on with one thing changed: what was learnt stays, the new option holds, and
// what differs is told. Without OtherOptions the same is refused.

using namespace polyak;
using Eigen::VectorXd;
using support::same_bits;

namespace {

constexpr int size = 3, stop = 6, end = 12;

void train(auto& opt, VectorXd& theta, int from, int to) {
  for (int t = from; t < to; ++t) opt.step(theta, support::Random(static_cast<std::uint64_t>(t)).vector(size));
}

/// A run that stopped, saved as "opt", and its weights then.
struct Stopped {
  files::Directory directory;
  std::filesystem::path path = directory / "run.safetensors";
  VectorXd theta = VectorXd::Ones(size);

  template <class Opt>
  explicit Stopped(Opt& opt) {
    train(opt, theta, 0, stop);
    save(path, named("opt", opt));
  }
  /// What load says without OtherOptions, if then nothing has changed, and what is told with them, a line each.
  template <class Opt>
  std::string resume(Opt& opt) const {
    const auto state = [&] {
      save(directory / "state", named("opt", opt));
      return files::read(directory / "state");
    };
    const std::string before = state();
    std::string told = support::error_of([&] { load(path, named("opt", opt)); }) + '\n';
    if (told != "nothing\n" && state() != before) told += "and changed something\n";
    OtherOptions other;
    load(path, other, named("opt", opt));
    for (const std::string& each : other.differences) told += each + '\n';
    return told;
  }
};

/// Whether two runs learn the same from where they stopped on.
bool learn_alike(const VectorXd& start, auto a, auto b) {
  VectorXd x = start, y = start;
  train(a, x, stop, end);
  train(b, y, stop, end);
  return same_bits(x, y) && x != start;
}

const std::string refused = "invalid_argument: polyak::", as_saved = " as in the saved state, got ";

}  // namespace

TEST_CASE("A run goes on with a longer schedule", "[checkpoint][resume]") {
  const auto with = [](std::uint64_t steps) {
    return Averaged{Sgd{{.learning_rate = Cosine{{.initial = 0.1, .steps = steps}}, .momentum = 0.9}}, Ema{}};
  };
  auto old = with(6), now = with(20);
  const Stopped run(old);
  const std::string ten = "Cosine(initial 0.1, final 0, steps 6)", twenty = "Cosine(initial 0.1, final 0, steps 20)";
  CHECK(run.resume(now) == refused + "Sgd: learning_rate must be " + ten + as_saved + twenty +
                               "\n\"opt.optimizer.learning_rate\" was " + ten + ", is " + twenty + '\n');
  CHECK(now.optimizer().steps() == stop);
  CHECK(now.average() == old.average());
  old.optimizer().set_learning_rate(Cosine{{.initial = 0.1, .steps = 20}});
  CHECK(learn_alike(run.theta, now, old));
}

TEST_CASE("A run goes on with a number in the place of a schedule, and the other way round", "[checkpoint][resume]") {
  const Cosine cosine{{.initial = 0.1, .steps = 20}};
  const std::string text = "Cosine(initial 0.1, final 0, steps 20)";
  Sgd scheduled{{.learning_rate = cosine}}, fixed{{.learning_rate = 0.01}}, of_scheduled = fixed, of_fixed = scheduled;
  const Stopped first(scheduled), second(fixed);
  CHECK(first.resume(of_scheduled) == refused + "Sgd: learning_rate must be " + text + as_saved +
                                          "0.01\n\"opt.learning_rate\" was " + text + ", is 0.01\n");
  CHECK(second.resume(of_fixed) == refused + "Sgd: learning_rate must be 0.01" + as_saved + text +
                                       "\n\"opt.learning_rate\" was 0.01, is " + text + '\n');
  scheduled.set_learning_rate(0.01);
  fixed.set_learning_rate(cosine);
  CHECK(learn_alike(first.theta, of_scheduled, scheduled));
  CHECK(learn_alike(second.theta, of_fixed, fixed));
}

TEST_CASE("An average goes on with another decay", "[checkpoint][resume]") {
  Averaged old{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.9}}}, now{Sgd{{.learning_rate = 0.1}}, Ema{{.decay = 0.5}}};
  const Stopped run(old);
  CHECK(run.resume(now) ==
        refused + "Ema: decay must be 0.9" + as_saved + "0.5\n\"opt.averager.0.decay\" was 0.9, is 0.5\n");
  CHECK(now.average() == old.average());
  CHECK(now.averager().count() == stop);
  VectorXd theta = run.theta;
  train(now, theta, stop, stop + 1);
  // s + (1 − β)/W (θ − s), with W = 1 − 0.9⁶ so far.
  double weight = 1;
  for (int t = 0; t < stop; ++t) weight *= 0.9;
  const double gain = 0.5 / (0.5 * (1 - weight) + 0.5);
  CHECK((now.average() - (old.average() + gain * (theta - old.average()))).norm() < 1e-14);
}

TEST_CASE("An average that is added starts anew, and one that is removed is left out", "[checkpoint][resume]") {
  const Sgd sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  Averaged one{sgd, Ema{{.decay = 0.9}}}, more_of_one = one;
  Averaged two{sgd, Ema{{.decay = 0.9}}, Swa{{.period = 2}}}, of_one = two;
  const Stopped first(one), second(two);
  const std::string who = refused + "Averaged: number of averagers must be ";
  CHECK(first.resume(of_one) ==
        who + "1" + as_saved +
            "2\n\"opt.number of averagers\" was 1, is 2\n\"opt.averager.1\" starts anew: polyak::load: " +
            first.path.string() + ": there is no \"opt.averager.1.class\"\n");
  CHECK(of_one.average<0>() == one.average());
  CHECK(of_one.averager<1>().steps() == 0);
  CHECK(learn_alike(first.theta, of_one, one));
  VectorXd theta = first.theta;
  Averaged fresh{one, Swa{{.period = 2}}};
  train(of_one, theta, stop, end);
  theta = first.theta;
  train(fresh, theta, stop, end);
  CHECK(of_one.average<1>() == fresh.average());

  const std::string left_out = "\"opt.averager.1\" is left out\n";
  CHECK(second.resume(more_of_one) == who + "2" + as_saved + "1\n\"opt.number of averagers\" was 2, is 1\n" + left_out);
  CHECK(more_of_one.average() == two.average<0>());
  CHECK(learn_alike(second.theta, more_of_one, two));
}

TEST_CASE("Averages go on with a guard, and without", "[checkpoint][resume]") {
  const Sgd sgd{{.learning_rate = 0.1}};
  const Ema ema{{.decay = 0.9}};
  Averaged plain{sgd, ema}, of_guarded = plain;
  Averaged guarded{sgd, Guarded{ema, {.non_finite = NonFinite::skip}}}, of_plain = guarded;
  const Stopped first(plain), second(guarded);
  const std::string in = "\"opt.averager.0.", no = "there is no \"opt.averager.0.";
  CHECK(first.resume(of_plain) == "invalid_argument: polyak::load: " + first.path.string() + ": " + no + "guard\"\n" +
                                      in + "guard\" is not in the file\n" + in + "non_finite\" is not in the file\n" +
                                      in + "skipped\" is not in the file\n" + in + "all_small\" is not in the file\n");
  CHECK(second.resume(of_guarded) == "invalid_argument: polyak::load: " + second.path.string() + ": " + in +
                                         "all_small\" must be part of what it is loaded into\n" + in +
                                         "all_small\" is left out\n" + in + "guard\" is left out\n" + in +
                                         "non_finite\" is left out\n" + in + "skipped\" is left out\n");
  VectorXd theta = first.theta;
  theta[0] = support::not_a_number;
  of_plain.step(theta, VectorXd::Zero(size));
  CHECK(of_plain.averager().skipped() == 1);
  CHECK(of_plain.average() == plain.average());
  CHECK(of_guarded.average() == guarded.average());
  CHECK(of_guarded.averager().count() == stop);
}

TEST_CASE("Adam goes on with the largest moment from there", "[checkpoint][resume]") {
  Adam old{{.learning_rate = 0.1}}, now{{.learning_rate = 0.1, .amsgrad = true}};
  const Stopped run(old);
  CHECK(run.resume(now) == refused + "Adam: amsgrad must be false" + as_saved +
                               "true\n\"opt.amsgrad\" was false, is true\n\"opt.largest\" is not in the file\n");
  CHECK(now.steps() == stop);
  // As long as the moments grow the largest are the last, and then not.
  VectorXd x = run.theta, y = run.theta;
  old.step(x, support::constant(size, 100)), now.step(y, support::constant(size, 100));
  CHECK(same_bits(x, y));
  old.step(x, support::constant(size, 0)), now.step(y, support::constant(size, 0));
  CHECK(x != y);
}

TEST_CASE("Sgd goes on with momentum from there", "[checkpoint][resume]") {
  Sgd old{{.learning_rate = 0.1}}, now{{.learning_rate = 0.1, .momentum = 0.9}}, without{{.learning_rate = 0.1}};
  const Stopped run(old);
  CHECK(run.resume(now) == refused + "Sgd: momentum must be 0" + as_saved + "0.9\n\"opt.momentum\" was 0, is 0.9\n");
  old.set_momentum(0.9);
  CHECK(learn_alike(run.theta, now, old));
  const Stopped with(now);
  CHECK(with.resume(without) ==
        refused + "Sgd: momentum must be 0.9" + as_saved + "0\n\"opt.momentum\" was 0.9, is 0\n");
  now.set_momentum(0);
  CHECK(learn_alike(with.theta, without, now));
}

TEST_CASE("A weight decay set while training is loaded, unless the options of the object hold",
          "[checkpoint][resume]") {
  AdamW<double> old{{.weight_decay = 0.1}}, as_it_was{{.weight_decay = 0.1}}, set{{.weight_decay = 0.1}};
  old.set_weight_decay(0.2);
  set.set_weight_decay(0.3);
  const Stopped run(old);
  CHECK(run.resume(set) == "nothing\n");  // the first load has set it to 0.2
  set.set_weight_decay(0.3);
  OtherOptions other{{"of an earlier load"}};
  load(run.path, other, named("opt", as_it_was), named("opt", set));
  CHECK(other.differences ==
        std::vector<std::string>{"\"opt.weight_decay\" was 0.2, is 0.1", "\"opt.weight_decay\" was 0.2, is 0.3"});
  AdamW<double> reference = old;
  CHECK(!learn_alike(run.theta, as_it_was, reference));
  reference.set_weight_decay(0.1);
  CHECK(learn_alike(run.theta, as_it_was, reference));
  reference.set_weight_decay(0.3);
  CHECK(learn_alike(run.theta, set, reference));
}

TEST_CASE("Another class of averager starts anew", "[checkpoint][resume]") {
  const Sgd sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  Averaged old{sgd, TailAverage{}};
  Averaged now{sgd, Lawa{{.window = 2}}};
  const Stopped run(old);
  const std::string saved = "polyak::Lawa: the saved state is of polyak::TailAverage\n";
  CHECK(run.resume(now) == "invalid_argument: " + saved + "\"opt.averager.0\" starts anew: " + saved);
  CHECK(!now.has_average());
  CHECK(now.averager().steps() == 0);
  CHECK(learn_alike(run.theta, now, old));
}

TEST_CASE("Wrappers go on with other options, and so do averages with another cadence", "[checkpoint][resume]") {
  ClipNorm old{Sgd{{.momentum = 0.9}}, {.max_norm = 1}}, now{Sgd{{.momentum = 0.9}}, {.max_norm = 0.1}};
  const Stopped run(old);
  CHECK(run.resume(now) ==
        refused + "ClipNorm: max_norm must be 1" + as_saved + "0.1\n\"opt.max_norm\" was 1, is 0.1\n");
  VectorXd x = run.theta, y = run.theta;
  const VectorXd within = support::constant(size, 0.01), beyond = support::constant(size, 1);
  old.step(x, within), now.step(y, within);
  CHECK(same_bits(x, y));
  old.step(x, beyond), now.step(y, beyond);
  CHECK(x != y);

  Lookahead slow{Sgd{}, {.every = 4, .alpha = 0.5}}, whole{Sgd{}, {.every = 4, .alpha = 1}};
  const Stopped looking(slow);
  CHECK(looking.resume(whole) ==
        refused + "Lookahead: alpha must be 0.5" + as_saved + "1\n\"opt.alpha\" was 0.5, is 1\n");
  x = y = looking.theta;
  Sgd plain;
  train(whole, x, stop, stop + 2);  // the eighth step is theirs alone where alpha is 1
  train(plain, y, stop, stop + 2);
  CHECK((x - y).norm() < 1e-14);

  // Swa that would have begun at step 100 does so at 9.
  Averaged late{Sgd{}, Swa{{.start = 100, .period = 2}}}, early{Sgd{}, Swa{{.start = 9, .period = 3}}};
  const Stopped waiting(late);
  CHECK(waiting.resume(early) ==
        refused + "Swa: start must be 100" + as_saved +
            "9\n\"opt.averager.0.start\" was 100, is 9\n\"opt.averager.0.period\" was 2, is 3\n");
  x = waiting.theta;
  train(early, x, stop, 13);
  CHECK(early.averager().count() == 2);
}

TEST_CASE("A state that does not fit is refused with other options too, and nothing is told", "[checkpoint][resume]") {
  Sgd old{{.learning_rate = 0.1, .momentum = 0.9}};
  const Stopped run(old);
  Sgd<float> single{{.learning_rate = 0.2, .momentum = 0.9}};
  Sgd other_rate{{.learning_rate = 0.2, .momentum = 0.9}};
  OtherOptions other;
  CHECK(support::error_of([&] { load(run.path, other, named("opt", other_rate), named("opt", single)); }) ==
        "invalid_argument: polyak::load: " + run.path.string() +
            ": \"opt.velocity\" (F64, (3,)) must have 3 numbers of F32");
  CHECK(other_rate.steps() == 0);
  CHECK(single.steps() == 0);
  CHECK(other.differences.empty());
  Adam adam;
  CHECK(support::error_of([&] { load(run.path, other, named("opt", adam)); }) ==
        "invalid_argument: polyak::Adam: the saved state is of polyak::Sgd");
  CHECK(adam.steps() == 0);
}

TEST_CASE("A window goes on with the latest iterates it has, whether it grows or shrinks", "[checkpoint][resume]") {
  const auto with = [](std::uint64_t window) {
    return Averaged{Sgd{{.learning_rate = 0.1}}, Lawa{{.window = window}}};
  };
  auto old = with(4);
  const Stopped run(old);
  std::vector<VectorXd> iterates{run.theta};
  for (int t = stop; t < 20; ++t) {
    iterates.push_back(iterates.back());
    train(old, iterates.back(), t, t + 1);
  }
  for (const int window : {2, 3, 5, 7}) {
    INFO(window);
    auto now = with(static_cast<std::uint64_t>(window));
    const std::string text = std::to_string(window);
    const std::string told =
        refused + "Lawa: window must be 4" + as_saved + text + "\n\"opt.averager.0.window\" was 4, is " + text + '\n';
    std::string got;
    CHECK_NOTHROW(got = run.resume(now));
    CHECK(got.starts_with(told));
    VectorXd theta = run.theta;
    double worst = 0;
    for (int t = 1; stop + t < 20; ++t) {
      train(now, theta, stop + t - 1, stop + t);
      if (t < window) continue;
      VectorXd mean = VectorXd::Zero(size);
      for (int i = t - window + 1; i <= t; ++i) mean += iterates[static_cast<std::size_t>(i)] / window;
      worst = std::max(worst, (now.average() - mean).norm());
    }
    CHECK(worst < 1e-12);
  }
}

TEST_CASE("A window that is saved while it grows goes on as well, whatever it is loaded into", "[checkpoint][resume]") {
  const files::Directory directory;
  const auto path = directory / "window";
  Lawa four{{.window = 4}};
  for (double t = 1; t <= 6; ++t) four.update(VectorXd{{t}});
  save(path, named("window", four));
  Lawa seven{{.window = 7}};
  OtherOptions other;
  load(path, other, named("window", seven));
  seven.update(VectorXd{{7}});  // 3, 4, 5, 6, 7
  save(path, named("window", seven));
  for (const std::uint64_t window : {3u, 5u, 6u, 7u, 9u}) {
    INFO(window);
    Lawa loaded{{.window = window}};
    OtherOptions more;
    load(path, more, named("window", loaded));
    for (double t = 8; t <= 16; ++t) {
      loaded.update(VectorXd{{t}});
      const double oldest =
          std::max(window < 5 ? 8.0 - static_cast<double>(window) : 3.0, t - static_cast<double>(window) + 1);
      CHECK(std::abs(loaded.average()[0] - (oldest + t) / 2) < 1e-12);
    }
  }
}

TEST_CASE("Gradients that are added up already make up a step, if there are as many as are asked for now",
          "[checkpoint][resume]") {
  Accumulate many{Sgd{{.learning_rate = 0.1}}, {.micro_batches = 4}},
      few{Sgd{{.learning_rate = 0.1}}, {.micro_batches = 2}};
  const Stopped run(many);
  CHECK(many.pending() == 2);
  std::string told;
  CHECK_NOTHROW(told = run.resume(few));
  CHECK(told == refused + "Accumulate: micro_batches must be 4" + as_saved + "2\n\"opt.micro_batches\" was 4, is 2\n");
  VectorXd theta = run.theta;
  CHECK(few.step(theta, VectorXd::Zero(size)));  // the mean of three
  const VectorXd sum = support::Random(4).vector(size) + support::Random(5).vector(size);
  CHECK((theta - (run.theta - 0.1 / 3 * sum)).norm() < 1e-14);
  CHECK(!few.step(theta, VectorXd::Zero(size)));
  CHECK(few.step(theta, VectorXd::Zero(size)));
}
