#include <polyak/averaged.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/gain_average.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/concepts.hpp>
#include <polyak/optimizers/sgd.hpp>
#include <polyak/parameters.hpp>
#include <polyak/schedules.hpp>
#include <polyak/wrappers/clip_norm.hpp>
#include <polyak/wrappers/lookahead.hpp>
#include <polyak/wrappers/skip_non_finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
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

// --- an optimizer that works slice by slice, so that averages share its pass over memory ---

/// Signum: θ ← θ − η sign(m), m ← β m + (1 − β) g (Bernstein et al. 2018).
class Signum {
 public:
  using scalar_type = double;

  struct Update {
    Signum* owner;

    // Grad is a pointer, or what stands for one behind a wrapper that changes the gradient.
    template <class Grad>
    void operator()(const polyak::Slice<double, Grad>& slice) const noexcept {
      double* const moment = owner->moment_.data() + slice.offset;
      for (std::size_t i = 0; i < slice.params.size(); ++i) {
        moment[i] += 0.1 * (slice.grad[i] - moment[i]);
        slice.params[i] -= std::copysign(owner->rate_, moment[i]);
      }
    }
    bool taken() const noexcept { return true; }
    void commit() const noexcept {}
  };

  explicit Signum(double rate) : rate_(rate) {}

  /// Checks and allocates; nothing moves before the update is called.
  Update begin_step(const polyak::StepView<double>& view) {
    if (moment_.size() == 0) moment_.setZero(static_cast<Eigen::Index>(view.layout().size()));
    return {this};
  }

 private:
  double rate_;
  VectorXd moment_;
};

TEST_CASE("your own optimizer, slice by slice") {
  static_assert(polyak::SlicewiseOptimizer<Signum>);
  polyak::Averaged opt{Signum(0.5), polyak::TailAverage{}};
  VectorXd weights{{8, 8}}, bias{{8}};
  const VectorXd down{{1, -1}}, up{{2}};
  for (int t = 0; t < 2; ++t) opt.step(polyak::ParameterSet{weights, bias}, polyak::ParameterSet{down, up});
  CHECK(weights == VectorXd{{7, 9}});
  CHECK(bias == VectorXd{{7}});
  CHECK(opt.average() == VectorXd{{7.25, 8.75, 7.25}});

  polyak::ClipNorm clipped{polyak::Lookahead{polyak::Averaged{Signum(0.5), polyak::Ema{}}, {.every = 2}}};
  CHECK(clipped.step(weights, down));
  CHECK(clipped.step(weights, down));
  CHECK(weights == VectorXd{{6.5, 9.5}});
}

// --- the same, coordinate by coordinate: averages fold in the very loop that moves the weights ---

class SignSgd {
 public:
  using scalar_type = double;

  struct Update {
    double rate;

    template <class Grad, class Visitor>
    bool visit(const polyak::Slice<double, Grad>& slice, Visitor visitor) const noexcept {
      visitor([params = slice.params.data(), grad = slice.grad, rate = rate](std::size_t i) noexcept {
        return params[i] -= std::copysign(rate, grad[i]);
      });
      return true;
    }
    template <class Grad>
    void operator()(const polyak::Slice<double, Grad>& slice) const noexcept {
      visit(slice, [n = slice.params.size()](auto move) {
        for (std::size_t i = 0; i < n; ++i) move(i);
      });
    }
    bool taken() const noexcept { return true; }
    void commit() const noexcept {}
  };

  explicit SignSgd(double rate) : rate_(rate) {}
  Update begin_step(const polyak::StepView<double>&) const noexcept { return {rate_}; }

 private:
  double rate_;
};

TEST_CASE("your own optimizer, coordinate by coordinate") {
  static_assert(polyak::ElementwiseUpdateOf<SignSgd::Update, double>);
  polyak::Averaged opt{SignSgd(0.5), polyak::TailAverage{}, polyak::Ema{}};
  VectorXd theta = VectorXd::Constant(1000, 8);
  const VectorXd gradient = VectorXd::LinSpaced(1000, -1, 1);
  for (int t = 0; t < 2; ++t) opt.step(theta, gradient);
  CHECK(theta[0] == 9);
  CHECK(theta[999] == 7);
  CHECK(opt.average<0>()[0] == 8.75);
  CHECK(opt.average<0>()[999] == 7.25);
}

// --- an averager: what is shown every iterate ---

// [averager]
/// An average that follows by no more than a limit at a time, and so shrugs off an iterate that has gone astray.
class CautiousAverage {
 public:
  struct Fold {
    CautiousAverage* owner;

    template <class Weight>
    void before(std::size_t, std::span<const Weight>) const noexcept {}
    template <class Weight>
    void after(std::size_t offset, std::span<const Weight> weights) const noexcept {
      double* const average = owner->average_.data() + offset;
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const double ahead = static_cast<double>(weights[i]) - average[i];
        average[i] += owner->folds_ == 0 ? ahead : std::clamp(ahead / 2, -owner->limit_, owner->limit_);
      }
    }
    bool idle() const noexcept { return false; }
    void commit() const noexcept { ++owner->folds_; }
  };

  explicit CautiousAverage(double limit) : limit_(limit) {}

  Fold begin_fold(const polyak::Layout& layout) {
    if (folds_ == 0) average_.setZero(static_cast<Eigen::Index>(layout.size()));
    return {this};
  }
  bool has_average() const noexcept { return folds_ > 0; }
  const VectorXd& average() const noexcept { return average_; }

 private:
  double limit_;
  std::uint64_t folds_ = 0;
  VectorXd average_;
};
// [/averager]

TEST_CASE("your own averager") {
  static_assert(polyak::AveragerLike<CautiousAverage>);
  polyak::Averaged opt{polyak::Sgd<float>{{.learning_rate = 1}}, CautiousAverage(1), polyak::TailAverage{}};
  Eigen::VectorXf theta{{8}};
  CHECK_FALSE(opt.has_average<0>());
  for (const float g : {1.0f, 1.0f, -100.0f, 100.0f}) opt.step(theta, Eigen::VectorXf{{g}});
  CHECK(opt.average<0>()[0] == 6.75);  // 7, 6.5, 7.5, 6.75
  CHECK(opt.average<1>()[0] == 31.25);

  // Behind an optimizer that steps whole as well.
  polyak::Averaged whole{[](VectorXd& params, const VectorXd& gradient) { params -= gradient; }, CautiousAverage(1)};
  VectorXd params{{8}};
  for (const double g : {1.0, 1.0}) whole.step(params, VectorXd{{g}});
  CHECK(whole.average()[0] == 6.5);
}

TEST_CASE("an averager of one's own leaves its neighbours what they offer") {
  polyak::Averaged opt{polyak::Sgd{{.learning_rate = 0.5}}, polyak::Ema{}, CautiousAverage(0.1)};
  VectorXd theta = VectorXd::Ones(2);
  const VectorXd gradient = theta;
  opt.step(theta, gradient);
  { auto guard = opt.swap_in<0>(theta); }
  opt.reset();
  CHECK_FALSE(opt.has_average<0>());
  CHECK(opt.has_average<1>());  // offers no reset
}
