#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/concepts.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/parameters.hpp>
#include <polyak/schedules.hpp>
#include <polyak/step.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/clip_value.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>
#include <polyak/wrappers/wrapper.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"

// What polyak does not have is quickly brought along: each part below is as short as it gets. concepts.hpp says in one
// sentence each what is asked for.

using Eigen::VectorXd;

// --- a schedule: any copyable function of the number of steps already taken ---

// [schedule]
/// Cosine annealing with warm restarts (Loshchilov & Hutter 2017).
struct WarmRestarts {
  double initial;
  std::uint64_t period;

  double operator()(std::uint64_t t) const {
    const double done = static_cast<double>(t % period) / static_cast<double>(period);
    return initial * (1 + std::cos(std::numbers::pi * done)) / 2;
  }
};
// [/schedule]

TEST_CASE("your own schedule") {
  static_assert(polyak::Schedule<WarmRestarts>);
  polyak::Sgd sgd{{.learning_rate = WarmRestarts{.initial = 1, .period = 2}}};
  VectorXd theta{{8}};
  const VectorXd one{{1}};
  std::vector<double> path;
  for (int t = 0; t < 4; ++t) {
    sgd.step(theta, one);
    path.push_back(theta[0]);
  }
  CHECK(path == std::vector<double>{7, 6.5, 5.5, 5});

  // Or a lambda, for momenta and decays too.
  const auto growing = [](std::uint64_t t) { return static_cast<double>(t) / static_cast<double>(t + 3); };
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = 0.5, .momentum = growing}}, polyak::Ema{{.decay = growing}}};
  opt.step(theta, one);
  CHECK(opt.average() == theta);
}

// --- a gain: any function of k = 1, 2, … into [0, 1] ---

// [gain]
/// Weighs iterate k by about √k.
double root_gain(std::uint64_t k) { return 1.5 / (static_cast<double>(k) + 0.5); }
// [/gain]

TEST_CASE("your own gain") {
  polyak::GainAverage average{{.gain = root_gain}};
  for (const double theta : {3.0, 5.0, 5.0}) average.update(VectorXd{{theta}});
  CHECK(average.average()[0] == Approx(5 - 2 * (1 - 1.5 / 2.5) * (1 - 1.5 / 3.5)));
  CHECK(average.start_mass() == 0);
}

// --- a gain sequence alone, for an average that is kept elsewhere ---

// [elsewhere]
/// The average s of theta, after each step of whatever moves it, by Ema{{.decay = 0.999}}.gains(), or any but Lawa's.
void follow(auto& gains, VectorXd& s, const VectorXd& theta) {
  const auto next = gains.next();
  if (next.gain() == 1) s = theta;  // whatever s was
  if (0 < next.gain() && next.gain() < 1) s += next.gain() * (theta - s);
  gains.commit(next);
}
// [/elsewhere]

TEST_CASE("your own place for the average") {
  polyak::Ema<> reference{{.decay = 0.5, .every = 2}};
  auto gains = reference.gains();
  VectorXd theta{{3, 5}}, s = VectorXd::Zero(2);
  for (int t = 0; t < 8; ++t) {
    theta *= 0.75;
    follow(gains, s, theta);
    reference.update(theta);
  }
  CHECK(s == reference.average());
  CHECK(gains.count() == 4);
  CHECK(gains.mean_age() == reference.mean_age());
}

// --- an optimizer that steps whole: step(params, grad), or a callable ---

// [optimizer]
/// Goes the same distance along every gradient, which takes the length of the whole of it.
struct NormalizedSgd {
  double distance;

  void step(VectorXd& theta, const VectorXd& gradient) const {
    if (const double length = gradient.norm(); length > 0) theta -= distance / length * gradient;
  }
};
// [/optimizer]

TEST_CASE("your own optimizer, stepping whole") {
  static_assert(polyak::OptimizerOf<NormalizedSgd, VectorXd, VectorXd>);
  polyak::Averaged opt{NormalizedSgd{.distance = 5}, polyak::TailAverage{}};
  VectorXd theta{{10, 20}};
  CHECK(opt.step(theta, VectorXd{{0.3, 0.4}}));
  CHECK(theta[0] == Approx(7));
  CHECK(theta[1] == Approx(16));
  opt.step(theta, VectorXd{{30, 40}});
  CHECK(opt.average()[0] == Approx(5.5));

  // It may say whether it took a step; where it did not, no average folds. Wrappers take it too.
  polyak::Averaged picky{polyak::SkipNonFinite{[](VectorXd& params, const VectorXd& gradient) {
                           if (gradient.isZero()) return false;
                           params -= gradient;
                           return true;
                         }},
                         polyak::TailAverage{}};
  CHECK(picky.step(theta, VectorXd{{1, 1}}));
  CHECK_FALSE(picky.step(theta, VectorXd{{0, 0}}));
  CHECK(picky.averager().steps() == 1);
}

// --- an optimizer that works coordinate by coordinate: averages fold in the very loop that moves the weights ---

// [coordinates]
/// Signum: m ← m + 0.1 (g − m), θ ← θ − η sign(m) (Bernstein et al. 2018).
struct Signum : polyak::OptimizerLayer<Signum> {
  static constexpr std::string_view name = "Signum";
  using scalar_type = double;
  double rate = 0.01;
  VectorXd moment = {};

  polyak::Outcome advance(const auto& step, const auto&... folds) {
    step.require_apart(name);  // blocks of a set must not overlap
    if (const auto n = static_cast<Eigen::Index>(step.size()); moment.size() != n) moment.setZero(n);
    const auto with_kernel = [this](const auto& slice, const auto& f) {
      f([w = slice.params.data(), g = slice.grad, m = moment.data() + slice.offset, r = rate](std::size_t i) noexcept {
        m[i] += 0.1 * (g[i] - m[i]);
        return w[i] -= std::copysign(r, m[i]);
      });
    };
    return polyak::move_and_fold(step, with_kernel, folds...);
  }
};
// [/coordinates]

TEST_CASE("your own optimizer, coordinate by coordinate") {
  Signum signum;
  signum.rate = 0.5;
  polyak::Averaged opt{signum, polyak::TailAverage{}, polyak::Ema{}};
  VectorXd weights{{8, 8}}, bias{{8}};
  const VectorXd down{{1, -1}}, up{{2}};
  for (int t = 0; t < 2; ++t) opt.step(polyak::ParameterSet{weights, bias}, polyak::ParameterSet{down, up});
  CHECK(weights == VectorXd{{7, 9}});
  CHECK(bias == VectorXd{{7}});
  CHECK(opt.average<0>() == VectorXd{{7.25, 8.75, 7.25}});

  polyak::ClipNorm clipped{polyak::Lookahead{polyak::Averaged{signum, polyak::Ema{}}, {.every = 2}}};
  CHECK(clipped.step(weights, down));
  CHECK(clipped.step(weights, down));
  CHECK(weights == VectorXd{{6.5, 9.5}});
}

// --- a wrapper: what is done to a gradient before a step, or after it ---

// [wrapper]
/// Centres the gradient of every block (Yong et al. 2020).
template <class Optimizer>
struct Centred : polyak::Wrapper<Centred<Optimizer>, Optimizer> {
  static constexpr std::string_view name = "Centred";
  explicit Centred(Optimizer trainer) : polyak::Wrapper<Centred, Optimizer>(std::move(trainer)) {}

  polyak::Outcome advance(const auto& step, const auto&... folds) {
    centred_.resize(step.size());
    step.for_each([this](const auto& block) {
      const std::size_t n = block.params.size();
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += block.grad[i];
      for (std::size_t i = 0; i < n; ++i) centred_[block.offset + i] = block.grad[i] - sum / static_cast<double>(n);
    });
    return polyak::advance(this->optimizer(), step.along(centred_.data()), folds...);
  }

 private:
  std::vector<double> centred_;
};
// [/wrapper]

TEST_CASE("your own wrapper") {
  VectorXd theta{{8, 8}}, same = theta;
  // Inside an average and around one, around an optimizer by coordinates and one that steps whole.
  polyak::Averaged outside{Centred{polyak::Sgd{{.learning_rate = 1}}}, polyak::TailAverage{}};
  Centred inside{polyak::Averaged{[](VectorXd& params, const auto& g) { params -= g; }, polyak::TailAverage{}}};
  for (const double g : {1.0, 3.0}) {
    CHECK(outside.step(theta, VectorXd{{g, -g}} + VectorXd::Constant(2, 5)));
    CHECK(inside.step(same, VectorXd{{g, -g}} + VectorXd::Constant(2, 7)));
  }
  CHECK(theta == VectorXd{{4, 12}});
  CHECK(same == theta);
  CHECK(outside.average() == VectorXd{{5.5, 10.5}});
  CHECK(inside.optimizer().average() == outside.average());

  // Behind a wrapper it sees what that has left of the gradient.
  polyak::ClipValue clipped{Centred{polyak::Sgd{{.learning_rate = 1}}}, {.max_value = 3}};
  theta = VectorXd{{8, 8}};
  clipped.step(theta, VectorXd{{1, 100}});
  CHECK(theta == VectorXd{{9, 7}});

  // With a guard inside and one outside, which fold in a second pass, and weights that Lookahead moves in between.
  polyak::Lookahead lookahead{polyak::Averaged{polyak::Sgd{{.learning_rate = 1}}, polyak::Guarded{polyak::Ema{}}},
                              {.every = 2}};
  polyak::Averaged guarded{Centred{lookahead}, polyak::Guarded{polyak::TailAverage{}}};
  theta = VectorXd{{8, 8}};
  for (const double g : {1.0, 3.0}) guarded.step(theta, VectorXd{{g, -g}});
  CHECK(theta == VectorXd{{6, 10}});                               // half the way from 8 to 4
  CHECK(guarded.average() == VectorXd{{6.5, 9.5}});                // of 7 and 6
  const auto& fast = guarded.optimizer().optimizer().optimizer();  // of 7 and 4
  CHECK(fast.average()[0] == Approx((0.999 * 7 + 4) / 1.999));
}

// --- an averager: what is shown every iterate ---

// [averager]
/// An average that follows by no more than a limit at a time, and so shrugs off an iterate that has gone astray.
struct CautiousAverage {
  double limit;
  std::uint64_t folds = 0;
  VectorXd s = {};

  struct Fold {
    CautiousAverage& of;
    auto at(std::size_t offset) const noexcept {
      return [s = of.s.data() + offset, first = of.folds == 0, limit = of.limit](std::size_t i, auto weight) noexcept {
        const double ahead = static_cast<double>(weight) - s[i];
        s[i] += first ? ahead : std::clamp(ahead / 2, -limit, limit);
      };
    }
    void commit(polyak::Outcome&) const noexcept { ++of.folds; }
  };
  Fold begin_fold(const polyak::Layout& layout) {
    const auto n = static_cast<Eigen::Index>(layout.size());
    if (folds == 0) s.setZero(n);
    if (s.size() != n) throw std::invalid_argument("CautiousAverage: the number of weights must not change");
    return {*this};
  }
  bool has_average() const noexcept { return folds > 0; }
  const VectorXd& average() const noexcept { return s; }
};
// [/averager]

TEST_CASE("your own averager") {
  static_assert(polyak::AveragerLike<CautiousAverage>);
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 1}}, CautiousAverage{.limit = 1}, polyak::TailAverage{}};
  Eigen::VectorXf theta{{8}};
  CHECK_FALSE(opt.has_average<0>());
  for (const float g : {1.0f, 1.0f, -100.0f, 100.0f}) opt.step(theta, Eigen::VectorXf{{g}});
  CHECK(opt.average<0>()[0] == 6.75);  // 7, 6.5, 7.5, 6.75
  CHECK(opt.average<1>()[0] == 31.25);

  // Behind an optimizer that steps whole as well.
  polyak::Averaged whole{[](VectorXd& params, const VectorXd& gradient) { params -= gradient; },
                         CautiousAverage{.limit = 1}};
  VectorXd params{{8}};
  for (const double g : {1.0, 1.0}) whole.step(params, VectorXd{{g}});
  CHECK(whole.average()[0] == 6.5);
}

TEST_CASE("an averager of one's own leaves its neighbours what they offer") {
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = 0.5}}, polyak::Ema{}, CautiousAverage{.limit = 0.1}};
  VectorXd theta = VectorXd::Ones(2);
  const VectorXd gradient = theta;
  opt.step(theta, gradient);
  { auto guard = opt.swap_in<0>(theta); }
  opt.reset();
  CHECK_FALSE(opt.has_average<0>());
  CHECK(opt.has_average<1>());  // offers no reset
}
