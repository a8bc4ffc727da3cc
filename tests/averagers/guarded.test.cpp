#include <polyak/averaged.hpp>
#include <polyak/averagers/anytime_tail_average.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/published.hpp>
#include <polyak/sparse/row_average.hpp>
#include <polyak/wrappers/accumulate.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "optimizers/checks.hpp"
#include "serialize/archive.hpp"
#include "slices_only.hpp"

using namespace polyak;
using checks::same_vectors;
using checks::Vector;
using Eigen::VectorXd;
using Eigen::VectorXf;
using support::error_of;
using support::infinity;
using support::not_a_number;
using support::SlicesOnly;
using support::whole_step;

namespace {

constexpr GuardedOptions propagate{.non_finite = NonFinite::propagate};
constexpr GuardedOptions raise{.non_finite = NonFinite::raise};

/// The name of std::runtime_error, and the message.
std::string runtime_error(const std::string& message) {
  return std::string(typeid(std::runtime_error).name()) + ": " + message;
}

template <class Scalar>
std::vector<Scalar> bad_numbers() {
  using Limits = std::numeric_limits<Scalar>;
  return {Limits::quiet_NaN(), Limits::infinity(), static_cast<Scalar>(-Limits::infinity())};
}

template <class A, class B>
bool same_average(const A& a, const B& b) {
  return same_vectors(a.average(), b.average()) && a.count() == b.count() && a.steps() == b.steps() &&
         a.effective_sample_size() == b.effective_sample_size() && a.mean_age() == b.mean_age() &&
         a.start_mass() == b.start_mass();
}

/// A wrapper that has advance and nothing else.
template <class Optimizer>
class Plain {
 public:
  using scalar_type = double;
  explicit Plain(Optimizer optimizer) : optimizer_(std::move(optimizer)) {}
  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    return polyak::advance(optimizer_, step, folds...);
  }
  const Optimizer& optimizer() const { return optimizer_; }

 private:
  Optimizer optimizer_;
};

/// A fold of one coordinate that is left out, and of which nobody asks for the error.
void leave_error(Guarded<Ema<>>& ema) {
  const VectorXd bad{{infinity}};
  BlockRef only{nullptr, nullptr, {1, 1}, 0};
  const auto fold = ema.begin_fold(StepView<double>(only));
  CHECK(fold.looking());
  fold.after(0, std::span<const double>(bad.data(), 1));
  CHECK_FALSE(fold.accepts());
  Outcome outcome;
  fold.commit(outcome);
  CHECK(outcome.raised);
}

}  // namespace

TEMPLATE_TEST_CASE("finite iterates give the bits they give unguarded", "", double, Eigen::half) {
  using Shadow = wide_t<TestType>;
  const checks::Run<TestType> run(1100);
  const Ema<Shadow> ema{{.decay = 0.9}}, textbook{{.decay = 0.5, .bias_correction = false, .start = 2}};
  const Lawa<Shadow> lawa{{.window = 2}};
  const AnytimeTailAverage<TestType> narrow{{.fraction = 0.5}};
  const auto check = [&](const auto& optimizer) {
    Averaged plain{optimizer, ema, textbook, lawa, narrow};
    Averaged opt{optimizer, Guarded{ema}, textbook, Guarded{lawa}, Guarded{narrow, raise}};
    Averaged other{optimizer, Guarded{textbook}};
    Vector<TestType> a = run.start, b = a, c = a;
    for (const auto& g : run.gradients) {
      CHECK(plain.step(a, g));
      CHECK(opt.step(b, g));
      CHECK(other.step(c, g));
      REQUIRE(same_vectors(a, b));
      REQUIRE(same_vectors(a, c));
    }
    CHECK(same_average(plain.template averager<0>(), opt.template averager<0>()));
    CHECK(same_average(plain.template averager<1>(), opt.template averager<1>()));
    CHECK(same_vectors(plain.template average<2>(), opt.template average<2>()));
    CHECK(same_average(plain.template averager<3>(), opt.template averager<3>()));
    CHECK(same_average(plain.template averager<1>(), other.averager()));
    CHECK(opt.template averager<0>().skipped() == 0);
  };
  const Sgd<TestType> sgd{{.learning_rate = 0.1, .momentum = 0.9}};
  check(sgd);
  check(whole_step(sgd));
  if constexpr (std::is_same_v<TestType, double>) check(SlicesOnly<TestType>(sgd));
}

TEMPLATE_TEST_CASE("one number that is not finite keeps a fold out, wherever it is", "", POLYAK_TEST_SCALARS) {
  using Shadow = wide_t<TestType>;
  const Sgd<TestType> sgd{{.learning_rate = 0.5}};
  const auto check = [&](const auto& optimizer, const Eigen::Index n, const Eigen::Index at, const TestType bad) {
    const checks::Run<TestType> run(n);
    Averaged opt{optimizer, Guarded{Ema<Shadow>{{.decay = 0.9}}}, Ema<Shadow>{{.decay = 0.9}},
                 Guarded{Lawa<Shadow>{{.window = 2}}}};
    Ema<Shadow> ema{{.decay = 0.9}};
    Lawa<Shadow> lawa{{.window = 2}};
    Guarded alone{ema};
    Vector<TestType> theta = run.start;
    const auto step = [&](const Vector<TestType>& g, bool good) {
      CHECK(opt.step(theta, g));
      alone.update(theta);
      if (!good) return;
      ema.update(theta);
      lawa.update(theta);
    };
    step(run.gradients[0], true);
    step(run.gradients[1], true);
    const Vector<TestType> kept = theta;
    Vector<TestType> spoilt = run.gradients[2];
    spoilt[at] = bad;
    step(spoilt, false);
    const auto& guarded = opt.template averager<0>();
    CHECK(same_vectors(guarded.average(), ema.average()));
    CHECK(same_vectors(opt.template average<2>(), lawa.average()));
    CHECK(same_vectors(alone.average(), ema.average()));
    CHECK(guarded.steps() == 3);
    CHECK(guarded.count() == 2);
    CHECK(guarded.skipped() == 1);
    CHECK(guarded.effective_sample_size() == ema.effective_sample_size());
    CHECK(opt.template averager<1>().count() == 3);
    CHECK_FALSE(polyak::detail::is_finite(opt.template average<1>()[at]));
    theta = kept;
    step(run.gradients[3], true);
    step(run.gradients[4], true);
    CHECK(same_vectors(guarded.average(), ema.average()));
    CHECK(same_vectors(opt.template average<2>(), lawa.average()));
    CHECK(same_vectors(alone.average(), ema.average()));
    CHECK(guarded.mean_age() == ema.mean_age());
    CHECK(guarded.skipped() == 1);
  };
  constexpr Eigen::Index slice = 4096 / sizeof(TestType), n = 2 * slice + 37;
  for (const TestType bad : bad_numbers<TestType>()) {
    for (const Eigen::Index at : {Eigen::Index(0), Eigen::Index(31), Eigen::Index(255), Eigen::Index(256), slice - 1,
                                  slice, 2 * slice, n - 1}) {
      check(sgd, n, at, bad);
    }
    check(sgd, 1, 0, bad);
    if constexpr (std::is_same_v<TestType, double>) check(SlicesOnly<TestType>(sgd), n, slice, bad);
    if constexpr (std::is_same_v<TestType, float>) check(whole_step(sgd), n, n - 1, bad);
  }
}

TEST_CASE("however the weights are held, a bad one is found") {
  const checks::Run<double> run(holders::size);
  std::string wrong;  // assertions take long to compile, and what follows is compiled for every holder
  const auto check = [&](const char* holder, auto&& params, const auto& of_params, auto step) {
    Ema ema{{.decay = 0.9}};
    Guarded alone{ema};
    std::uint64_t skipped = 0;
    for (Eigen::Index at = 0; at < holders::size; ++at) {
      for (const bool bad : {false, true}) {
        VectorXd start = run.start;
        if (bad) start[at] = infinity;
        of_params.write(start);
        const Guarded<Ema<>>& inside = step(run.gradients[static_cast<std::size_t>(at % 5)]);
        alone.update(params);
        skipped += bad;
        if (!bad) ema.update(of_params.read());
        for (const Guarded<Ema<>>& each : {std::cref(inside), std::cref(alone)}) {
          const bool good = same_vectors(each.average(), ema.average()) && each.skipped() == skipped;
          if (!good) wrong += std::string(holder) + ", coordinate " + std::to_string(at) + '\n';
        }
      }
    }
  };
  holders::for_each<double>([&](const char* holder, auto&& params, auto&&, const auto& of_params, const auto&) {
    Guarded twin{Ema{{.decay = 0.9}}};
    check(holder, params, of_params, [&](const VectorXd&) -> const Guarded<Ema<>>& {
      twin.update(params);
      return twin;
    });
  });
  // An optimizer hands its averages the coordinates, whatever they are in.
  holders::for_each_kind<double>(
      [&](const char* holder, auto&& params, auto&& gradient, const auto& of_params, const auto& of_gradient) {
        const auto inside = [&](auto opt) {
          check(holder, params, of_params, [&, opt](const VectorXd& g) mutable -> const Guarded<Ema<>>& {
            of_gradient.write(g);
            opt.step(params, gradient);
            return opt.averager();
          });
        };
        inside(Averaged{Sgd{{.learning_rate = 0.5}}, Guarded{Ema{{.decay = 0.9}}}});
        inside(Averaged{whole_step(Sgd{{.learning_rate = 0.5}}), Guarded{Ema{{.decay = 0.9}}}});
      });
  CHECK(wrong == "");
}

TEST_CASE("a weight too large for the average keeps a fold out, one that is not does not") {
  constexpr double max = std::numeric_limits<double>::max();
  const auto check = [](auto averager, const auto& iterates, std::uint64_t left_out) {
    // What is left out is what would make it infinite; the rest is as ever.
    auto plain = averager;
    Guarded alone{averager};
    Averaged inside{[](VectorXd& theta, const VectorXd& next) { theta = next; }, Guarded{averager}};
    VectorXd theta{{0, 0, 0}};
    for (const double x : iterates) {
      const VectorXd next{{1, x, 2}};
      auto trial = plain;
      trial.update(next);
      if (polyak::detail::is_finite(static_cast<double>(trial.average()[1]))) plain = trial;
      alone.update(next);
      CHECK(inside.step(theta, next));
      REQUIRE(alone.has_average() == plain.has_average());
      if (!plain.has_average()) continue;
      CHECK(support::same_bits(alone.average(), plain.average()));
      CHECK(support::same_bits(inside.average(), plain.average()));
      CHECK(alone.count() == plain.count());
      CHECK(inside.averager().count() == plain.count());
    }
    CHECK(alone.skipped() == left_out);
    CHECK(inside.averager().skipped() == left_out);
  };
  using List = std::vector<double>;
  check(Ema<double>{{.decay = 0.9}}, List{max, max, max, 0.9 * max, 1, -1}, 0);
  check(Ema<double>{{.decay = 0.9}}, List{-0.75 * max, 0.75 * max, 1, 0.75 * max, -0.75 * max}, 2);
  check(Ema<double>{{.decay = 0.9}}, List{0.25 * max, -0.5 * max, 0.5 * max, -0.25 * max, 3}, 0);
  check(TailAverage<double>{}, List{1, -max, max, 5, 0.6 * max}, 1);
  check(Ema<float>{{.decay = 0.9}}, List{1, 1e39, 2, -1e39, 3.4e38, -3.4e38, 1}, 3);
  check(Ema<float>{{.decay = 0.9}}, List{1e39, 1, 2}, 1);
  check(Lawa<double>{{.window = 2}}, List{1, max, -max, 1, 2, max}, 1);
  check(Lawa<double>{{.window = 3}}, List{0.75 * max, -0.75 * max, 1, 2, 3, 4}, 1);
  check(Lawa<float>{{.window = 2}}, List{1, 1e39, 2, 3}, 1);
}

TEST_CASE("the start of an average without bias correction counts too") {
  const EmaOptions textbook{.decay = 0.5, .bias_correction = false};
  VectorXd theta{{1, not_a_number}};
  // θ_1 is fine, but the weights before it were not.
  Averaged opt{[](VectorXd& params, const VectorXd& next) { params = next; }, Guarded{Ema{textbook}}};
  CHECK(opt.step(theta, VectorXd{{1, 2}}));
  CHECK_FALSE(opt.has_average());
  CHECK(opt.averager().skipped() == 1);
  CHECK(opt.step(theta, VectorXd{{3, 4}}));
  CHECK(opt.average() == VectorXd{{2, 3}});
  CHECK(opt.averager().steps() == 2);
  CHECK(opt.averager().count() == 1);

  Averaged narrow{Sgd{{.learning_rate = 1}}, Guarded{Ema<float>{textbook}}};
  theta << 1, 1e39;
  narrow.step(theta, VectorXd{{0, 1e39}});
  CHECK(narrow.averager().skipped() == 1);
  narrow.step(theta, VectorXd{{0, -4}});
  CHECK(narrow.average() == VectorXf{{1, 2}});

  Averaged halves{Sgd{{.learning_rate = 1}}, Guarded{Ema<Eigen::half>{textbook}}};
  theta << 1, 1e5;
  halves.step(theta, VectorXd{{0, 1e5}});
  CHECK(halves.averager().skipped() == 1);
  halves.step(theta, VectorXd{{0, -4}});
  CHECK(halves.average().cast<double>() == VectorXd{{1, 2}});

  // A start that is finite but large is reckoned with.
  Averaged large{[](VectorXd& params, const VectorXd& next) { params = next; }, Guarded{Ema{textbook}}};
  theta << 1, -1.5e308;
  large.step(theta, VectorXd{{1, 1e308}});
  CHECK(large.averager().skipped() == 1);
  theta << 1, -1.5e308;
  large.step(theta, VectorXd{{1, 1}});
  CHECK(large.average() == VectorXd{{1, -7.5e307}});
  large.step(theta, VectorXd{{1, 1.5e308}});
  CHECK(large.averager().skipped() == 2);

  // Alone it is given the start, or takes that of the update before.
  const std::string at_start = "polyak::Ema: the weights before the first fold must be finite, got ";
  for (const GuardedOptions& rule : {GuardedOptions{}, raise}) {
    Guarded given{Ema{textbook}, rule};
    CHECK(error_of([&] {
            given.start_from(VectorXd{{1, infinity}});
          }) == runtime_error(at_start + "inf in coordinate 1 at step 0"));
    CHECK_FALSE(given.in_use());
    CHECK(error_of([&] { given.update(VectorXd{{1, 1}}); }).substr(0, 12) == "logic_error:");
    given.start_from(VectorXd{{1, 1}});
    given.update(VectorXd{{3, 1}});
    CHECK(given.average() == VectorXd{{2, 1}});
    CHECK(error_of([&] {
            given.start_from(VectorXd{{1, infinity}});
          }) == "logic_error: polyak::Ema: start_from must come before the first fold");
  }
  EmaOptions later = textbook;
  later.start = 2;
  Guarded skips{Ema{later}};
  skips.update(VectorXd{{not_a_number, 1}});
  CHECK_FALSE(skips.has_average());
  skips.update(VectorXd{{2, 1}});  // the first fold, without a start, becomes the start of the next
  CHECK(skips.average() == VectorXd{{2, 1}});
  CHECK(skips.count() == 0);
  CHECK(skips.skipped() == 1);
  skips.update(VectorXd{{4, 1}});
  CHECK(skips.average() == VectorXd{{3, 1}});
  CHECK(skips.steps() == 3);

  Guarded raises{Ema{later}, raise};
  CHECK(error_of([&] {
          raises.update(VectorXd{{not_a_number, 1}});
        }) == runtime_error(at_start + "nan in coordinate 0 at step 1"));
  CHECK(raises.steps() == 0);
  raises.update(VectorXd{{2, 1}});
  raises.update(VectorXd{{4, 1}});
  CHECK(raises.average() == VectorXd{{3, 1}});

  Guarded kept{Ema{textbook}};
  kept.start_from(VectorXd{{2, 1}});
  kept.update(VectorXd{{2, infinity}});
  kept.update(VectorXd{{4, 1}});
  CHECK(kept.average() == VectorXd{{3, 1}});
}

TEST_CASE("of several bad coordinates the first is named, of the start before any of the weights") {
  const Eigen::Index n = 3000;  // in several slices
  VectorXd theta = VectorXd::Ones(n);
  theta[10] = infinity, theta[2500] = not_a_number;
  Guarded ema{Ema{}, raise};
  CHECK(error_of([&] { ema.update(theta); }) ==
        runtime_error("polyak::Ema: weights must be finite to be averaged, got inf in coordinate 10 at step 1"));

  Averaged opt{Sgd{}, Guarded{Ema{{.bias_correction = false}}, raise}};
  CHECK(error_of([&] { opt.step(theta, VectorXd::Zero(n)); }) ==
        runtime_error("polyak::Ema: the weights before the first fold must be finite, got inf in coordinate 10 at "
                      "step 1"));
  VectorXd late = VectorXd::Ones(n);
  late[2500] = infinity;
  VectorXd gradient = VectorXd::Zero(n);
  gradient[10] = infinity;
  Averaged another{Sgd{}, Guarded{Ema{{.bias_correction = false}}, raise}};
  CHECK(error_of([&] { another.step(late, gradient); }) ==
        runtime_error("polyak::Ema: the weights before the first fold must be finite, got inf in coordinate 2500 at "
                      "step 1"));
}

TEST_CASE("a window leaves a fold out as well, and goes on") {
  Guarded lawa{Lawa{{.window = 2, .every = 2}}};
  for (const double x : {1.0, 2.0, 3.0, not_a_number, 5.0, 6.0}) lawa.update(VectorXd{{x}});
  CHECK(lawa.steps() == 6);
  CHECK(lawa.count() == 2);
  CHECK(lawa.skipped() == 1);
  CHECK(lawa.average()[0] == 4);
}

TEST_CASE("only steps that fold are looked at, and a fold left out leaves the cadence as it is") {
  for (const std::uint64_t start : {0u, 3u, 4u}) {
    for (const std::uint64_t every : {1u, 3u}) {
      Guarded guarded{TailAverage{{.start = start, .every = every}}};
      TailAverage expected;
      std::uint64_t skipped = 0;
      for (std::uint64_t t = 1; t <= 30; ++t) {
        const bool due = t >= std::max<std::uint64_t>(start, 1) && (t - start) % every == 0;
        const bool bad = t % 4 == 0 || t % 7 == 1 || t < 5;
        const VectorXd theta{{bad ? not_a_number : static_cast<double>(t * t)}};
        guarded.update(theta);
        skipped += due && bad;
        if (due && !bad) expected.update(theta);
        CHECK(guarded.steps() == t);
        CHECK(guarded.count() == expected.count());
        CHECK(guarded.skipped() == skipped);
        if (expected.has_average()) CHECK(guarded.average() == expected.average());
      }
      CHECK(skipped > 0);
      CHECK(expected.count() > 1);
    }
  }
}

TEST_CASE("raise says what is wrong, and leaves an average alone as it was") {
  Guarded ema{Ema{{.decay = 0.5}}, raise};
  Ema twin{{.decay = 0.5}};
  const std::string expected = "polyak::Ema: weights must be finite to be averaged, got ";
  CHECK(error_of([&] {
          ema.update(VectorXd{{1, not_a_number}});
        }) == runtime_error(expected + "nan in coordinate 1 at step 1"));
  CHECK(ema.steps() == 0);
  CHECK_FALSE(ema.in_use());
  ema.update(VectorXd{{1, 2}});
  twin.update(VectorXd{{1, 2}});
  CHECK(error_of([&] {
          ema.update(VectorXd{{-infinity, infinity}});
        }) == runtime_error(expected + "-inf in coordinate 0 at step 2"));
  CHECK(same_average(ema, twin));
  CHECK(ema.skipped() == 0);
  ema.update(VectorXd{{3, 4}});
  twin.update(VectorXd{{3, 4}});
  CHECK(same_average(ema, twin));

  Guarded narrow{TailAverage<float>{}, raise};
  narrow.update(VectorXd{{1, 2}});
  CHECK(
      error_of([&] {
        narrow.update(VectorXd{{1, 1e39}});
      }) ==
      runtime_error("polyak::TailAverage: weights must leave the average finite, got 1e+39 in coordinate 1 at step 2"));

  VectorXd a{{1, 2, 3}}, b{{4, 5}}, c{{6}};
  Guarded set{Ema{}, raise};
  b[1] = infinity;
  CHECK(error_of([&] {
          set.update(ParameterSet{a, b, c});
        }) == runtime_error(expected + "inf in coordinate 1 of block 1 at step 1"));
  b[1] = 1;
  c[0] = not_a_number;
  CHECK(error_of([&] {
          set.update(ParameterSet{a, b, c});
        }) == runtime_error(expected + "nan in coordinate 0 of block 2 at step 1"));
}

TEST_CASE("inside an Averaged, step throws once all else is done") {
  const auto check = [](auto opt, auto trains, const auto& find) {
    VectorXd theta{{1, 2}}, other{{3}};
    VectorXd g{{0.5, 0.5}}, h{{1}};
    const auto step = [&] { return opt.step(ParameterSet{theta, other}, ParameterSet{g, h}); };
    CHECK(step());
    const auto before = find(opt).template averager<0>();
    VectorXd theta_after = theta, other_after = other;
    h[0] = not_a_number;
    trains.step(ParameterSet{theta_after, other_after}, ParameterSet{g, h});
    CHECK(error_of(step) == runtime_error("polyak::Ema: weights must be finite to be averaged, got nan in coordinate 0 "
                                          "of block 1 at step 2"));
    CHECK(theta == theta_after);
    const auto& guarded = find(opt).template averager<0>();
    CHECK(support::same_bits(guarded.average(), before.average()));
    CHECK(guarded.count() == 1);
    CHECK(guarded.steps() == 2);
    CHECK(guarded.skipped() == 1);
    CHECK(find(opt).template averager<1>().count() == 2);
    CHECK_FALSE(polyak::detail::is_finite(find(opt).template average<1>()[2]));
    CHECK(find(opt).template averager<2>().skipped() == 1);
    // It is as usable as ever.
    h[0] = 1;
    other[0] = 5;
    CHECK(step());
    CHECK(guarded.count() == 2);
    CHECK(guarded.steps() == 3);
    Ema twin{{.decay = 0.5}};
    twin.update(VectorXd(before.average()));
    VectorXd all(3);
    all << theta, other;
    twin.update(all);
    CHECK(support::same_bits(guarded.average(), twin.average()));
  };
  const Sgd sgd{{.learning_rate = 0.5}};
  const Guarded<Ema<>> guarded{Ema{{.decay = 0.5}}, raise};
  const Guarded<TailAverage<>> quiet{TailAverage{}};
  const auto self = [](const auto& opt) -> const auto& { return opt; };
  const auto inner = [](const auto& opt) -> const auto& { return opt.optimizer(); };
  check(Averaged{sgd, guarded, Ema{}, quiet}, sgd, self);
  check(Averaged{SlicesOnly<double>(sgd), guarded, Ema{}, quiet}, sgd, self);
  check(Averaged{whole_step(sgd), guarded, Ema{}, quiet}, sgd, self);
  check(Averaged{Averaged{sgd, guarded, Ema{}, quiet}, Ema{}}, sgd, inner);
  check(Accumulate{Averaged{sgd, guarded, Ema{}, quiet}, {.micro_batches = 1}}, sgd, inner);
  check(Lookahead{Averaged{sgd, guarded, Ema{}, quiet}, {.every = 9}}, sgd, inner);
  check(ClipValue{Averaged{sgd, guarded, Ema{}, quiet}, {.max_value = 9}}, sgd, inner);
}

TEST_CASE("wrappers count a step that throws, whole or not") {
  const auto check = [](auto optimizer) {
    const Guarded<TailAverage<>> guarded{TailAverage{}, raise};
    const VectorXd g{{1, 1}};
    VectorXd theta{{1, 2}};
    Averaged sums{Accumulate{Averaged{optimizer, guarded}}, Ema{}};
    CHECK_FALSE(sums.step(theta, g));
    CHECK(support::has(error_of([&] { sums.step(theta, VectorXd{{1, infinity}}); }), "must be finite"));
    CHECK(sums.optimizer().pending() == 0);
    CHECK(sums.averager().steps() == 1);
    theta << 1, 2;
    CHECK_FALSE(sums.step(theta, g));
    CHECK(sums.step(theta, g));
    CHECK(sums.optimizer().optimizer().averager().steps() == 2);
    CHECK(sums.optimizer().optimizer().averager().count() == 1);

    // The slow weights follow as they would have: φ_0 = (1, 2), and θ_2 − φ_0 is (−2, −∞).
    Lookahead slow{Lookahead{Averaged{optimizer, guarded}, {.every = 9}}, {.every = 2}};
    theta << 1, 2;
    CHECK(slow.step(theta, g));
    CHECK(support::has(error_of([&] { slow.step(theta, VectorXd{{1, infinity}}); }), "must be finite"));
    CHECK(slow.steps() == 2);
    CHECK(theta == VectorXd{{0, -infinity}});

    Accumulate alone{Averaged{optimizer, guarded}};
    theta << 1, 2;
    CHECK_FALSE(alone.step(theta, g));
    CHECK(support::has(error_of([&] { alone.step(theta, VectorXd{{1, infinity}}); }), "must be finite"));
    CHECK_FALSE(alone.step(theta, g));
  };
  const Sgd sgd{{.learning_rate = 1}};
  check(sgd);
  check(whole_step(sgd));
}

TEST_CASE("a wrapper of one's own hands on what a step inside has held back, once all around it is done") {
  Plain plain{Averaged{Sgd{{.learning_rate = 1}}, Guarded{Ema{}, raise}}};
  Averaged opt{plain, TailAverage{}};
  VectorXd theta{{1, 2}};
  const VectorXd g{{1, 1}};
  CHECK(opt.step(theta, g));
  CHECK(error_of([&] {
          opt.step(theta, VectorXd{{1, infinity}});
        }) == runtime_error("polyak::Ema: weights must be finite to be averaged, got -inf in coordinate 1 at step 2"));
  CHECK(theta == VectorXd{{-1, -infinity}});
  CHECK(opt.averager().steps() == 2);
  theta << 5, 5;
  CHECK(opt.step(theta, g));
  CHECK(opt.optimizer().optimizer().averager().count() == 2);
  CHECK(theta == VectorXd{{4, 4}});
}

TEST_CASE("a wrapper around an optimizer that steps whole throws what an average inside has held back") {
  ClipNorm opt{Averaged{whole_step(Sgd{{.learning_rate = 1}}), Guarded{Ema{}, raise}}, {.max_norm = 1e9}};
  VectorXd theta{{1, 2}};
  CHECK(opt.step(theta, VectorXd{{1, 1}}));
  theta[0] = not_a_number;
  CHECK(error_of([&] {
          opt.step(theta, VectorXd{{1, 1}});
        }) == runtime_error("polyak::Ema: weights must be finite to be averaged, got nan in coordinate 0 at step 2"));
}

TEST_CASE("of several averages that raise the first speaks for all, and then all goes on") {
  const VectorXd good{{1, 1}}, bad{{1, not_a_number}};
  const auto check = [&](auto opt) {
    VectorXd theta{{1, 2}};
    opt.step(theta, good);
    CHECK(error_of([&] { opt.step(theta, bad); }) ==
          runtime_error("polyak::Ema: weights must be finite to be averaged, got nan in coordinate 1 at step 2"));
    auto copy = opt;
    for (auto* const each : {&opt, &copy}) {
      theta << 1, 2;
      CHECK(each->step(theta, good));
      CHECK(theta == VectorXd{{0, 1}});
    }
    CHECK(support::has(error_of([&] { opt.step(theta, bad); }), "at step 4"));
  };
  const Sgd sgd{{.learning_rate = 1}};
  check(Averaged{sgd, Guarded{Ema{}, raise}, Guarded{TailAverage{}, raise}});
  check(Averaged{Averaged{sgd, Guarded{Ema{}, raise}}, Guarded{TailAverage{}, raise}});
  check(Averaged{ClipValue{Averaged{sgd, Guarded{Ema{}, raise}}, {.max_value = 9}}, Guarded{TailAverage{}, raise}});
  check(Averaged{whole_step(sgd), Guarded{Ema{}, raise}, Guarded{TailAverage{}, raise}});
}

TEST_CASE("an averager that is in use is guarded from what it holds already") {
  constexpr float max = std::numeric_limits<float>::max();
  Ema<float> ema{{.decay = 0.5}};
  ema.update(VectorXf{{0.9F * max}});
  Guarded guarded{ema};
  guarded.update(VectorXf{{-0.2F * max}});
  CHECK(guarded.skipped() == 1);
  CHECK(guarded.average()[0] == 0.9F * max);
  ema.update(VectorXf{{std::numeric_limits<float>::infinity()}});
  Guarded too_late{ema};
  too_late.update(VectorXf{{1}});
  CHECK(too_late.skipped() == 1);
}

TEST_CASE("an error that nobody asked for is forgotten") {
  Guarded ema{Ema{}, raise};
  leave_error(ema);
  CHECK(ema.skipped() == 1);
  ema.update(VectorXd{{1}});
  CHECK(ema.count() == 1);
  Averaged opt{Sgd{}, ema};
  VectorXd theta{{1}};
  leave_error(opt.averager());
  CHECK(opt.step(theta, theta));
}

TEST_CASE("a load forgets an error that nobody asked for") {
  Guarded ema{Ema{}, raise};
  const VectorXd good{{1}};
  ema.update(good);
  auto saved = ema;
  leave_error(ema);
  serialize::load(serialize::save(saved), ema);
  ema.update(good);
  CHECK(ema.count() == 2);
}

TEST_CASE("a reset forgets an error that nobody asked for") {
  Guarded ema{Ema{}, raise};
  const VectorXd good{{1}};
  leave_error(ema);
  ema.reset();
  ema.update(good);
  CHECK(ema.count() == 1);
}

TEST_CASE("guarded or not, wrappers and averages around see the same") {
  const checks::Run<double> run(700);
  const Ema<double> ema{{.decay = 0.9}}, outer{{.decay = 0.8}};
  const auto check = [&](auto guarded, auto plain) {
    VectorXd a = run.start, b = a;
    for (const auto& g : run.gradients) CHECK(guarded.step(a, g) == plain.step(b, g));
    CHECK(same_vectors(a, b));
    CHECK(same_vectors(guarded.average(), plain.average()));
    return std::pair{guarded, plain};
  };
  const auto inner = [&](const auto& both) {
    const auto& guarded = both.first.optimizer().optimizer();
    CHECK(same_vectors(guarded.average(), both.second.optimizer().optimizer().average()));
    CHECK(guarded.averager().skipped() == 0);
  };
  // Lookahead moves the weights once more, after the averages inside and before those around.
  const LookaheadOptions slow{.every = 2};
  inner(check(Averaged{Lookahead{Averaged{Adam{}, Guarded{ema}}, slow}, outer},
              Averaged{Lookahead{Averaged{Adam{}, ema}, slow}, outer}));
  inner(check(Averaged{Lookahead{Averaged{Adam{}, Guarded{ema}}, slow}, Guarded{outer}},
              Averaged{Lookahead{Averaged{Adam{}, ema}, slow}, outer}));
  inner(check(Averaged{Lookahead{Averaged{whole_step(Adam{}), Guarded{ema}}, slow}, Guarded{outer}},
              Averaged{Lookahead{Averaged{whole_step(Adam{}), ema}, slow}, outer}));
  inner(check(Averaged{ClipNorm{Averaged{Adam{}, Guarded{ema}}}, outer},
              Averaged{ClipNorm{Averaged{Adam{}, ema}}, outer}));
  inner(check(Averaged{Accumulate{Averaged{Adam{}, Guarded{ema}}}, Guarded{outer}},
              Averaged{Accumulate{Averaged{Adam{}, ema}}, outer}));
  inner(check(Averaged{Plain{Averaged{Adam{}, Guarded{ema}}}, outer}, Averaged{Plain{Averaged{Adam{}, ema}}, outer}));
  check(Averaged{Averaged{Adam{}, Guarded{ema}}, outer}, Averaged{Averaged{Adam{}, ema}, outer});
  check(Averaged{Lookahead{Lookahead{Averaged{Adam{}, Guarded{ema}}, slow}, {.every = 3}}, outer},
        Averaged{Lookahead{Lookahead{Averaged{Adam{}, ema}, slow}, {.every = 3}}, outer});
  check(Averaged{Lookahead{Adam{}, slow}, Guarded{outer}}, Averaged{Lookahead{Adam{}, slow}, outer});
}

TEST_CASE("a gradient that is skipped is no step, and one that is not leaves a fold out") {
  Averaged opt{SkipNonFinite{Sgd{{.learning_rate = 1}}}, Guarded{Ema{{.decay = 0.5}}}};
  VectorXd theta{{1, 2}};
  CHECK(opt.step(theta, VectorXd{{1, 1}}));
  CHECK_FALSE(opt.step(theta, VectorXd{{1, infinity}}));
  CHECK(opt.averager().steps() == 1);
  CHECK(opt.averager().skipped() == 0);
  theta[0] = 1e308;
  CHECK(opt.step(theta, VectorXd{{-1.7e308, 0}}));  // finite, and yet too far
  CHECK(theta[0] == infinity);
  CHECK(opt.averager().steps() == 2);
  CHECK(opt.averager().skipped() == 1);
  CHECK(opt.average() == VectorXd{{0, 1}});

  Averaged sums{Accumulate{Sgd{{.learning_rate = 1}}}, Guarded{Ema{}}};
  theta << 1, 1;
  CHECK_FALSE(sums.step(theta, VectorXd{{1, not_a_number}}));
  CHECK(sums.averager().steps() == 0);
  CHECK(sums.step(theta, VectorXd{{1, 1}}));
  CHECK(sums.averager().skipped() == 1);
  CHECK_FALSE(sums.has_average());
}

TEST_CASE("over a long run with accidents, a guarded average is that of the good iterates") {
  support::Random random(20);
  Averaged opt{Adam{{.learning_rate = 0.1}}, Guarded{Ema{{.decay = 0.97}}}, Guarded{Lawa{{.window = 3, .every = 2}}}};
  Ema ema{{.decay = 0.97}};
  Lawa lawa{{.window = 3}};
  VectorXd theta = random.vector(600);
  std::uint64_t accidents = 0;
  for (std::uint64_t t = 1; t <= 300; ++t) {
    const VectorXd saved = theta;
    if (random.integer(0, 4) == 0) theta[static_cast<Eigen::Index>(random.integer(0, 599))] = not_a_number;
    opt.step(theta, random.vector(600));
    if (theta.allFinite()) {
      ema.update(theta);
      if (t % 2 == 0) lawa.update(theta);
    } else {
      ++accidents;
      theta = saved;
    }
    if (ema.has_average()) REQUIRE(support::same_bits(opt.average<0>(), ema.average()));
    if (lawa.has_average()) REQUIRE(support::same_bits(opt.average<1>(), lawa.average()));
  }
  CHECK(accidents > 30);
  CHECK(opt.averager<0>().skipped() == accidents);
  CHECK(opt.averager<0>().count() + accidents == 300);
  CHECK(opt.averager<0>().mean_age() == ema.mean_age());
}

TEST_CASE("propagate folds as if unguarded") {
  Guarded alone{Ema{}, propagate};
  Averaged opt{Sgd{{.learning_rate = 1}}, Guarded{Ema{}, propagate}};
  VectorXd theta{{1, 2}};
  opt.step(theta, VectorXd{{1, not_a_number}});
  alone.update(theta);
  CHECK(opt.average()[0] == 0);
  CHECK_FALSE(polyak::detail::is_finite(opt.average()[1]));
  CHECK_FALSE(polyak::detail::is_finite(alone.average()[1]));
  CHECK(opt.averager().count() == 1);
  opt.step(theta, VectorXd{{1, 1}});
  alone.update(theta);
  CHECK(opt.average()[0] == alone.average()[0]);
  CHECK(opt.average()[0] < 0);
  CHECK(opt.averager().count() == 2);
  CHECK(opt.averager().skipped() == 0);
  CHECK(alone.skipped() == 0);
}

TEST_CASE("a guarded average is read, swapped, published, copied and reset like any other") {
  Averaged opt{Sgd{{.learning_rate = 1}}, Guarded{Ema{{.decay = 0.5}}}};
  VectorXd theta{{1, 2}};
  const VectorXd g{{1, 1}}, bad{{infinity, 1}};
  opt.step(theta, g);
  opt.step(theta, bad);
  {
    const auto guard = opt.swap_in(theta);
    CHECK(theta == VectorXd{{0, 1}});
    CHECK(error_of([&] { opt.step(theta, g); }) ==
          "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
    CHECK(error_of([&] { opt.averager().update(theta); }) ==
          "logic_error: polyak::Ema: the average is swapped in; restore the trained weights first");
  }
  CHECK(theta[0] == -infinity);
  CHECK(opt.averager().steps() == 2);
  Published<> published;
  published.publish(opt);
  CHECK(published.snapshot().average() == VectorXd{{0, 1}});
  CHECK(published.snapshot().steps() == 2);

  auto copy = opt;
  theta << 3, 3;
  copy.step(theta, g);
  CHECK(copy.averager().count() == 2);
  CHECK(copy.averager().skipped() == 1);
  CHECK(opt.averager().count() == 1);
  opt.reset();
  CHECK(copy.averager().skipped() == 1);
  CHECK(opt.averager().skipped() == 0);
  CHECK_FALSE(opt.has_average());
  CHECK(opt.averager().guard().non_finite == NonFinite::skip);
  VectorXd three{{1, 2, 3}};
  opt.step(three, VectorXd{{1, 1, 1}});
  CHECK(opt.average() == VectorXd{{0, 1, 2}});

  CHECK(error_of([&] { opt.averager().update(VectorXd{{not_a_number}}); }) ==
        "invalid_argument: polyak::Ema: parameters must keep the size, 3x1, got 1x1");
  CHECK(opt.averager().steps() == 1);
}

TEST_CASE("a guarded average takes the shadow that suits the optimizer, and keeps its options") {
  Averaged half{Sgd<Eigen::half>{}, Guarded{Ema{{.decay = 0.75, .every = 2}}, raise}, Guarded{Lawa{{.window = 9}}}};
  STATIC_REQUIRE(std::is_same_v<decltype(half.averager<0>()), Guarded<Ema<float>>&>);
  STATIC_REQUIRE(std::is_same_v<decltype(half.averager<1>()), Guarded<Lawa<float>>&>);
  CHECK(half.averager<0>().options().decay.number() == 0.75);
  CHECK(half.averager<0>().options().every == 2);
  CHECK(half.averager<0>().guard().non_finite == NonFinite::raise);
  CHECK(half.averager<1>().guard().non_finite == NonFinite::skip);
  CHECK(half.averager<1>().options().window == 9);
  Averaged extended{Sgd<long double>{}, Guarded{TailAverage{}}};
  STATIC_REQUIRE(std::is_same_v<decltype(extended.averager()), Guarded<TailAverage<long double>>&>);
  Averaged plain{Sgd<float>{}, Guarded{Ema{}}};
  STATIC_REQUIRE(std::is_same_v<decltype(plain.averager()), Guarded<Ema<>>&>);
  Guarded used{Ema{}};
  used.update(VectorXd{{1}});
  CHECK(error_of([&] { Averaged opt(Sgd<Eigen::half>{}, used); }) ==
        "logic_error: polyak::Averaged: an averager already in use must name its shadow type");
  STATIC_REQUIRE_FALSE(GainAverager<Guarded<Ema<>>>);  // sparse averages have no shadow to guard
}

TEST_CASE("after a weight near the largest number a small one may be too far from it") {
  constexpr float max = std::numeric_limits<float>::max();
  const auto at = [](float x) { return VectorXf{{1, x, 1}}; };
  const auto check = [&](auto average, std::uint64_t skipped) {
    average.update(at(0.2F * max));
    CHECK(average.skipped() == skipped + 1);
    average.update(at(-0.2F * max));
    CHECK(average.skipped() == skipped + 1);
    CHECK(detail::is_finite(average.average()[1]));
  };
  Guarded ema{Ema<float>{{.decay = 0.5}}};
  ema.update(at(-0.9F * max));
  check(ema, 0);
  {
    Guarded loaded{Ema<float>{{.decay = 0.5}}};
    serialize::load(serialize::save(ema), loaded);
    check(loaded, 0);
  }

  // The same of the weights an average starts from.
  Guarded textbook{Ema<float>{{.decay = 0.5, .bias_correction = false}}};
  textbook.start_from(at(-0.9F * max));
  check(textbook, 0);
  textbook.reset();
  Averaged opt{[](VectorXf& params, const VectorXf& next) { params = next; }, textbook};
  VectorXf theta = at(-0.9F * max);
  opt.step(theta, at(0.2F * max));
  CHECK(opt.averager().skipped() == 1);
  Averaged in_slices{Sgd{{.learning_rate = 1}}, textbook};
  VectorXd wide = at(-0.9F * max).cast<double>();
  in_slices.step(wide, VectorXd(wide - at(0.2F * max).cast<double>()));
  CHECK(in_slices.averager().skipped() == 1);
}

TEST_CASE("whether numbers are tame is told by their bits, at any length") {
  using polyak::detail::cannot_overflow;
  constexpr double bound = 0x1p1022;
  for (const std::size_t n : {1u, 255u, 256u, 257u, 600u}) {
    for (const std::size_t at : {std::size_t(0), n / 2, n - 1}) {
      std::vector<double> x(n, -1.0);
      const auto tame = [&](double value) {
        x[at] = value;
        return cannot_overflow<double>(std::span<const double>(x));
      };
      CHECK(tame(-0.0));
      CHECK(tame(std::nextafter(bound, 0)));
      CHECK(tame(-std::nextafter(bound, 0)));
      for (const double wild : {bound, -bound, infinity, -infinity, not_a_number, -not_a_number})
        CHECK_FALSE(tame(wild));
      CHECK(cannot_overflow<long double>(std::span<const double>(std::vector<double>(n, 1.7e308))));
      x[at] = 1e38;
      CHECK_FALSE(cannot_overflow<float>(std::span<const double>(x)));
      x[at] = 8e37;
      CHECK(cannot_overflow<float>(std::span<const double>(x)));
    }
  }
  // What lies beyond is nobody's.
  for (const std::size_t n : {255u, 256u, 512u}) {
    std::vector<double> x(n + 1, 1.0);
    x[n] = infinity;
    CHECK(cannot_overflow<double>(std::span<const double>(x).first(n)));
  }
  const auto one = [](auto shadow, auto x) {
    return cannot_overflow<decltype(shadow)>(std::span<const decltype(x)>(&x, 1));
  };
  CHECK(one(0.0, std::numeric_limits<float>::max()));
  CHECK_FALSE(one(0.0, std::numeric_limits<float>::infinity()));
  CHECK_FALSE(one(0.0F, 0x1p126F));
  CHECK(one(0.0F, 0x1p125F));
  CHECK(one(0.0F, Eigen::half(65504.0F)));
  CHECK_FALSE(one(Eigen::half(0), Eigen::half(32768.0F)));
  CHECK_FALSE(one(Eigen::half(0), Eigen::half(16384.0F)));
  CHECK(one(Eigen::half(0), Eigen::half(8192.0F)));
  CHECK_FALSE(one(0.0F, Eigen::bfloat16(1e38F)));
  CHECK(one(0.0F, Eigen::bfloat16(1e37F)));
  CHECK_FALSE(one(0.0, 1e308L));
  CHECK(one(0.0, 1e307L));
  CHECK_FALSE(one(0.0L, std::numeric_limits<long double>::max()));
  CHECK_FALSE(one(0.0L, std::numeric_limits<long double>::quiet_NaN()));
}

TEST_CASE("where all folds were left out, that is why there is no average") {
  Guarded ema{Ema{}};
  for (int t = 0; t < 5; ++t) ema.update(VectorXd::Constant(1, not_a_number).eval());
  CHECK(error_of([&] { static_cast<void>(ema.average()); }) ==
        "logic_error: polyak::Ema: there is no average: all folds of 5 steps were left out");
}
