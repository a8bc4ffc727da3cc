#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_sequence.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/lanes.hpp>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parts/averagers.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::VectorXd;
using support::error_of;

namespace {

/// The average s_k = s_{k−1} + a_k (θ − s_{k−1}) by a sequence of gains alone, in a place of its own.
template <class Gains>
class ByHand {
 public:
  ByHand(Gains gains, VectorXd start) : gains_(std::move(gains)), s_(std::move(start)) {}

  void step(const VectorXd& before, const VectorXd& theta) {
    const auto next = gains_.next();
    if (next.due()) {
      if (gains_.count() == 0 && s_.size() == 0) s_ = before;
      for (Eigen::Index i = 0; i < theta.size(); ++i) {
        // What rounds once where the library does; a gain of 1 assigns.
        s_[i] = next.gain() == 1 ? theta[i] : polyak::lanes::mul_add(next.gain(), theta[i] - s_[i], s_[i]);
      }
    }
    gains_.commit(next);
  }
  const Gains& gains() const { return gains_; }
  const VectorXd& average() const { return s_; }

 private:
  Gains gains_;
  VectorXd s_;
};

struct HalvingOptions {
  const bool* fails = nullptr;
  std::uint64_t start = 0;
  std::uint64_t every = 1;

  void for_each_option(const auto& visit) const {
    visit("start", start);
    visit("every", every, polyak::detail::at_least_1);
  }
};

/// Halves what there was, and fails where it is told to.
struct Halving {
  using Options = HalvingOptions;
  struct State {
    double last = 1;
    template <class Archive>
    void serialize(Archive& archive, unsigned int) {
      polyak::detail::serialize_value(archive, "last", last);
    }
  };
  static constexpr std::string_view name = "polyak::Mine";

  Options options;

  double operator()(std::uint64_t k, State& state) const {
    state.last = k == 1 ? 1 : state.last / 2;
    if (options.fails && *options.fails) throw std::runtime_error("no gain");
    return state.last;
  }
};
struct Other : Halving {
  static constexpr std::string_view name = "polyak::Other";
};

}  // namespace

TEST_CASE("the gains of an averager alone follow its average, bit for bit") {
  std::size_t followed = 0;
  parts::for_each_averager<double>([&](const char* name, auto averager) {
    if constexpr (requires { averager.gains(); }) {
      INFO(name);
      ++followed;
      support::Random random(7);
      VectorXd theta = random.vector(9);
      // The first gain may be below 1, and the first step due.
      averager.start_from(theta);
      ByHand by_hand{averager.gains(), theta};
      for (int t = 0; t < 60; ++t) {
        const VectorXd before = theta;
        theta = random.vector(9);
        averager.update(theta);
        by_hand.step(before, theta);
        REQUIRE(support::same_bits(averager.average(), by_hand.average()));
        REQUIRE(averager.steps() == by_hand.gains().steps());
        REQUIRE(averager.count() == by_hand.gains().count());
        REQUIRE(averager.mean_age() == by_hand.gains().mean_age());
        REQUIRE(averager.start_mass() == by_hand.gains().start_mass());
        if (averager.count() > 0) {
          REQUIRE(averager.effective_sample_size() == by_hand.gains().effective_sample_size());
        }
      }
      CHECK(averager.count() > 5);
    }
  });
  CHECK(followed > 10);
}

TEST_CASE("a copy of the gains goes on from where the averager is, and is nobody's but its holder's") {
  Ema ema{{.decay = 0.5, .start = 2, .every = 2}};
  for (double x = 1; x <= 5; ++x) ema.update(VectorXd{{x}});
  ByHand by_hand{ema.gains(), ema.average()};
  const std::uint64_t steps = ema.steps();
  for (double x = 6; x <= 11; ++x) by_hand.step(VectorXd{{x - 1}}, VectorXd{{x}});
  CHECK(ema.steps() == steps);
  for (double x = 6; x <= 11; ++x) ema.update(VectorXd{{x}});
  CHECK(support::same_bits(ema.average(), by_hand.average()));
  CHECK(ema.gains().count() == by_hand.gains().count());
}

TEST_CASE("where the first gain is below 1 the average begins as the weights before the first fold") {
  const Ema ema{{.decay = 0.75, .bias_correction = false, .start = 3}};
  auto gains = ema.gains();
  CHECK_FALSE(gains.starts_after_next());
  gains.commit(gains.next());
  CHECK(gains.starts_after_next());  // the weights of step 2
  gains.commit(gains.next());
  CHECK_FALSE(gains.starts_after_next());
  CHECK(gains.next().gain() == 0.25);
  gains.commit(gains.next());
  CHECK_FALSE(gains.starts_after_next());
  CHECK(gains.start_mass() == 0.75);

  auto corrected = Ema{{.decay = 0.75, .start = 2}}.gains();
  CHECK_FALSE(corrected.starts_after_next());  // the first gain is 1
  ByHand by_hand{ema.gains(), VectorXd()};
  for (double x = 1; x <= 3; ++x) by_hand.step(VectorXd{{8 * x - 8}}, VectorXd{{8 * x}});
  CHECK(by_hand.average() == VectorXd{{18}});
}

TEST_CASE("asking for the next gain changes nothing, whether it fails or not") {
  bool fails = false;
  GainSequence<Halving> gains({.fails = &fails, .start = 2});
  CHECK(gains.options().start == 2);
  CHECK_FALSE(gains.next().due());
  CHECK(gains.next().gain() == 0);
  CHECK_FALSE(gains.due_in(1));
  CHECK(gains.due_in(2));
  CHECK(gains.effective_sample_size() == 0);
  gains.commit(gains.next());
  for (const double expected : {1.0, 0.5, 0.25}) {
    CHECK(gains.due_in(1));
    fails = true;
    CHECK_THROWS_WITH(static_cast<void>(gains.next()), "no gain");
    fails = false;
    CHECK(gains.next().gain() == expected);
    CHECK(gains.next().gain() == expected);
    CHECK(gains.next().due());
    gains.commit(gains.next());
  }
  CHECK(gains.steps() == 4);
  CHECK(gains.count() == 3);
  // The weights are 3/8, 3/8 and 1/4, the centre of mass 3/4 + 3/8 folds ago.
  CHECK(support::close(gains.effective_sample_size(), 1 / (18.0 / 64 + 1.0 / 16)));
  CHECK(gains.mean_age() == 1.125);
  CHECK(gains.start_mass() == 0);

  gains.skip();
  CHECK(gains.steps() == 5);
  CHECK(gains.count() == 3);
  CHECK(gains.next().gain() == 0.125);

  gains.reset();
  CHECK(gains.steps() == 0);
  CHECK(gains.count() == 0);
  CHECK(gains.effective_sample_size() == 0);
  CHECK(gains.mean_age() == 0);
  CHECK(gains.start_mass() == 1);
  gains.commit(gains.next());
  CHECK(gains.next().gain() == 1);
}

TEST_CASE("a sequence of gains refuses options out of range") {
  CHECK(error_of([] { GainSequence<Halving> never({.every = 0}); }) ==
        "invalid_argument: polyak::Mine: every must be >= 1, got 0");
}

TEST_CASE("a skipped fold is made up for in the next step that is due, by the gain it would have had") {
  GainSequence<Halving> gains({.every = 3});
  std::vector<std::uint64_t> folds;
  for (std::uint64_t t = 1; t <= 12; ++t) {
    const auto next = gains.next();
    if (t == 6) {
      CHECK(next.gain() == 0.5);
      gains.skip();
      continue;
    }
    if (next.due()) folds.push_back(t);
    if (t == 9) CHECK(next.gain() == 0.5);
    gains.commit(next);
  }
  CHECK(folds == std::vector<std::uint64_t>{3, 9, 12});
}

TEST_CASE("only before the first fold does a step have the weights that the average starts from") {
  auto gains = Ema{{.bias_correction = false, .every = 3}}.gains();
  std::vector<std::uint64_t> steps;
  for (std::uint64_t t = 1; t <= 12; ++t) {
    if (gains.starts_after_next()) steps.push_back(t);
    gains.commit(gains.next());
  }
  CHECK(steps == std::vector<std::uint64_t>{2});
}

TEST_CASE("gains that cannot be are refused where they are asked for, in the name of who has them") {
  auto ema = Ema{{.decay = [](std::uint64_t) { return 1.5; }}}.gains();
  CHECK(error_of([&] { static_cast<void>(ema.next()); }) ==
        "invalid_argument: polyak::Ema: decay must be in [0, 1], got 1.5 at fold 1");
  CHECK(ema.steps() == 0);
}

TEST_CASE("a sequence of gains goes on where it was saved, where its options are the same") {
  GainSequence<Halving> gains({.every = 2});
  for (int t = 0; t < 5; ++t) gains.commit(gains.next());
  const serialize::Bytes bytes = serialize::save(gains);
  GainSequence<Halving> loaded({.every = 2});
  serialize::load(bytes, loaded);
  for (int t = 0; t < 5; ++t) {
    CHECK(loaded.next().due() == gains.next().due());
    CHECK(loaded.next().gain() == gains.next().gain());
    loaded.commit(loaded.next());
    gains.commit(gains.next());
    CHECK(loaded.mean_age() == gains.mean_age());
    CHECK(loaded.effective_sample_size() == gains.effective_sample_size());
    CHECK(loaded.start_mass() == gains.start_mass());
  }
  GainSequence<Halving> other({.every = 3});
  const serialize::Bytes before = serialize::save(other);
  CHECK(error_of([&] { serialize::load(bytes, other); }) ==
        "invalid_argument: polyak::Mine: every must be 2 as in the saved state, got 3");
  GainSequence<Other> another({.every = 2});
  CHECK(error_of([&] { serialize::load(bytes, another); }) ==
        "invalid_argument: polyak::Other: the saved state is of polyak::Mine");
  CHECK(serialize::save(other) == before);
  GainSequence<Halving> fresh({.every = 2});
  CHECK_THROWS_AS(serialize::load(serialize::Bytes(bytes.begin(), bytes.end() - 3), fresh), serialize::Truncated);
  CHECK(fresh.steps() == 0);
  CHECK(fresh.next().gain() == 0);
}
