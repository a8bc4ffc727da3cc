#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "bounded.hpp"

/// The optimizers, wrappers and averages as their sources write them down, in long double and with no regard to speed:
/// an average is the weighted sum of all the iterates there were. Nothing here comes from polyak.

namespace fuzz {

template <class Scalar>
using Numbers = std::vector<Bounded<Scalar>>;

/// A learning rate, a weight decay, or a decay: a number, or first / (1 + t).
struct Rate {
  double first = 0;
  bool scheduled = false;

  [[nodiscard]] long double at(std::uint64_t t) const {
    return scheduled ? static_cast<long double>(first) / static_cast<long double>(1 + t)
                     : static_cast<long double>(first);
  }
};

struct BlockFactors {
  double rate = 1, decay = 1;
};

/// Which block a coordinate belongs to, and what the optimizer does differently there.
struct Blocks {
  std::vector<std::size_t> of_coordinate;
  std::vector<BlockFactors> factors;

  [[nodiscard]] BlockFactors at(std::size_t i) const {
    return factors.empty() ? BlockFactors{} : factors[of_coordinate[i]];
  }
};

template <class Scalar>
class ModelOptimizer {
 public:
  using Number = Bounded<Scalar>;
  virtual ~ModelOptimizer() = default;
  /// Moves the weights, which are exact before; false where no step is taken.
  virtual bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) = 0;
  /// What the weights are exactly, after a step.
  virtual void observe(const Numbers<Scalar>&) {}
  /// Whether a step along this gradient needs the learning rate.
  [[nodiscard]] virtual bool asks(const Numbers<Scalar>&) const { return true; }
  /// Whether another number of weights must be refused.
  [[nodiscard]] virtual bool knows_size() const = 0;
  [[nodiscard]] virtual bool scheduled() const = 0;
  virtual void set_rate(double) = 0;
  virtual void set_weight_decay(double) = 0;
  virtual void reset() = 0;
  [[nodiscard]] virtual std::unique_ptr<ModelOptimizer> clone() const = 0;
};

struct SgdModelOptions {
  Rate rate, weight_decay;
  double momentum = 0, dampening = 0;
  bool nesterov = false, decoupled = false;
  Blocks blocks;
};

template <class Scalar>
class ModelSgd : public ModelOptimizer<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  explicit ModelSgd(SgdModelOptions options) : options_(std::move(options)) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    const bool first = velocity_.empty();
    velocity_.resize(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const BlockFactors factors = options_.blocks.at(i);
      const long double rate = options_.rate.at(steps_) * factors.rate;
      const long double lambda = options_.weight_decay.at(steps_) * factors.decay;
      Number d = gradient[i];
      Number& theta = weights[i];
      if (lambda != 0 && !options_.decoupled) d = d + Number::rounded(lambda) * theta;
      if (options_.momentum != 0) {
        const Number mu = Number::rounded(options_.momentum);
        Number& v = velocity_[i];
        v = first ? d : mu * v + Number::rounded(1 - static_cast<long double>(options_.dampening)) * d;
        d = options_.nesterov ? d + mu * v : v;
      }
      if (lambda != 0 && options_.decoupled) theta = Number::rounded(1 - rate * lambda) * theta;
      theta = theta - Number::rounded(rate) * d;
    }
    ++steps_;
    return true;
  }
  [[nodiscard]] bool knows_size() const override { return steps_ > 0; }
  [[nodiscard]] bool scheduled() const override { return options_.rate.scheduled || options_.weight_decay.scheduled; }
  void set_rate(double rate) override { options_.rate = {rate, false}; }
  void set_weight_decay(double decay) override { options_.weight_decay = {decay, false}; }
  void reset() override {
    steps_ = 0;
    velocity_.clear();
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelSgd>(*this);
  }

 private:
  SgdModelOptions options_;
  std::uint64_t steps_ = 0;
  Numbers<Scalar> velocity_;
};

struct AdamModelOptions {
  Rate rate, weight_decay;
  double beta1 = 0, beta2 = 0, epsilon = 0;
  bool amsgrad = false, decoupled = false;
  Blocks blocks;
};

template <class Scalar>
class ModelAdam : public ModelOptimizer<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  explicit ModelAdam(AdamModelOptions options) : options_(std::move(options)) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    const long double beta1 = options_.beta1, beta2 = options_.beta2;
    moment_.resize(weights.size());
    square_.resize(weights.size());
    largest_.resize(weights.size());
    const auto t = static_cast<long double>(steps_ + 1);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const BlockFactors factors = options_.blocks.at(i);
      const long double rate = options_.rate.at(steps_) * factors.rate;
      const long double lambda = options_.weight_decay.at(steps_) * factors.decay;
      Number& theta = weights[i];
      Number g = gradient[i];
      if (options_.decoupled) {
        theta = Number::rounded(1 - rate * lambda) * theta;
      } else {
        g = g + Number::rounded(lambda) * theta;
      }
      moment_[i] = Number::rounded(beta1) * moment_[i] + Number::rounded(1 - beta1) * g;
      square_[i] = Number::rounded(beta2) * square_[i] + Number::rounded(1 - beta2) * (g * g);
      largest_[i] = larger(largest_[i], square_[i]);
      const Number v = options_.amsgrad ? largest_[i] : square_[i];
      const Number corrected = moment_[i] / Number::rounded(1 - std::pow(beta1, t));
      const Number deviation = root(v / Number::rounded(1 - std::pow(beta2, t)));
      theta = theta - Number::rounded(rate) * (corrected / (deviation + Number::rounded(options_.epsilon)));
    }
    ++steps_;
    return true;
  }
  [[nodiscard]] bool knows_size() const override { return steps_ > 0; }
  [[nodiscard]] bool scheduled() const override { return options_.rate.scheduled || options_.weight_decay.scheduled; }
  void set_rate(double rate) override { options_.rate = {rate, false}; }
  void set_weight_decay(double decay) override { options_.weight_decay = {decay, false}; }
  void reset() override { *this = ModelAdam(options_); }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelAdam>(*this);
  }

 private:
  AdamModelOptions options_;
  std::uint64_t steps_ = 0;
  Numbers<Scalar> moment_, square_, largest_;
};

/// What a model of a wrapper hands on as it is.
template <class Scalar>
class ModelWrapper : public ModelOptimizer<Scalar> {
 public:
  explicit ModelWrapper(std::unique_ptr<ModelOptimizer<Scalar>> inner) : inner_(std::move(inner)) {}
  ModelWrapper(const ModelWrapper& other) : inner_(other.inner_->clone()) {}

  void observe(const Numbers<Scalar>& weights) override { inner_->observe(weights); }
  [[nodiscard]] bool asks(const Numbers<Scalar>& gradient) const override { return inner_->asks(gradient); }
  [[nodiscard]] bool knows_size() const override { return inner_->knows_size(); }
  [[nodiscard]] bool scheduled() const override { return inner_->scheduled(); }
  void set_rate(double rate) override { inner_->set_rate(rate); }
  void set_weight_decay(double decay) override { inner_->set_weight_decay(decay); }
  void reset() override { inner_->reset(); }

 protected:
  std::unique_ptr<ModelOptimizer<Scalar>> inner_;
};

template <class Scalar>
class ModelClipValue : public ModelWrapper<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  ModelClipValue(std::unique_ptr<ModelOptimizer<Scalar>> inner, double limit)
      : ModelWrapper<Scalar>(std::move(inner)), limit_(limit) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    Numbers<Scalar> clipped = gradient;
    for (Number& g : clipped) {
      if (g.value > limit_) g = Number::rounded(limit_);
      if (g.value < -limit_) g = Number::rounded(-limit_);
    }
    return this->inner_->step(weights, clipped);
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelClipValue>(*this);
  }

 private:
  double limit_;
};

template <class Scalar>
class ModelClipNorm : public ModelWrapper<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  ModelClipNorm(std::unique_ptr<ModelOptimizer<Scalar>> inner, double most)
      : ModelWrapper<Scalar>(std::move(inner)), most_(most) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    Number squares;
    for (const Number& g : gradient) squares = squares + g * g;
    const Number scale = smaller(Number::exactly(1), Number::rounded(most_) / (root(squares) + Number::rounded(1e-6L)));
    Numbers<Scalar> clipped = gradient;
    for (Number& g : clipped) g = g * scale;
    return this->inner_->step(weights, clipped);
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelClipNorm>(*this);
  }

 private:
  double most_;
};

template <class Scalar>
class ModelSkipNonFinite : public ModelWrapper<Scalar> {
 public:
  using ModelWrapper<Scalar>::ModelWrapper;

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    return is_finite(gradient) && this->inner_->step(weights, gradient);
  }
  [[nodiscard]] bool asks(const Numbers<Scalar>& gradient) const override {
    return is_finite(gradient) && this->inner_->asks(gradient);
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelSkipNonFinite>(*this);
  }

 private:
  static bool is_finite(const Numbers<Scalar>& gradient) {
    return std::all_of(gradient.begin(), gradient.end(), [](const auto& g) { return std::isfinite(g.value); });
  }
};

template <class Scalar>
class ModelAccumulate : public ModelWrapper<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  ModelAccumulate(std::unique_ptr<ModelOptimizer<Scalar>> inner, std::uint64_t micro_batches)
      : ModelWrapper<Scalar>(std::move(inner)), micro_batches_(micro_batches) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    sum_.resize(gradient.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) sum_[i] = sum_[i] + gradient[i];
    if (++pending_ < micro_batches_) return false;
    for (Number& g : sum_) g = g / Number::exactly(static_cast<long double>(micro_batches_));
    const bool taken = this->inner_->step(weights, sum_);
    sum_.clear();
    pending_ = 0;
    return taken;
  }
  [[nodiscard]] bool asks(const Numbers<Scalar>& gradient) const override {
    return pending_ + 1 == micro_batches_ && this->inner_->asks(gradient);
  }
  /// The optimizer inside sees no weights before the step.
  [[nodiscard]] bool knows_size() const override {
    return pending_ > 0 || (micro_batches_ == 1 && this->inner_->knows_size());
  }
  void reset() override {
    this->inner_->reset();
    sum_.clear();
    pending_ = 0;
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelAccumulate>(*this);
  }

 private:
  std::uint64_t micro_batches_, pending_ = 0;
  Numbers<Scalar> sum_;
};

template <class Scalar>
class ModelLookahead : public ModelWrapper<Scalar> {
 public:
  using Number = Bounded<Scalar>;
  ModelLookahead(std::unique_ptr<ModelOptimizer<Scalar>> inner, std::uint64_t every, double alpha)
      : ModelWrapper<Scalar>(std::move(inner)), every_(every), alpha_(alpha) {}

  bool step(Numbers<Scalar>& weights, const Numbers<Scalar>& gradient) override {
    if (steps_ == 0) slow_ = weights;
    if (!this->inner_->step(weights, gradient)) return false;
    ++steps_;
    if (!synced()) return true;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = slow_[i] + Number::rounded(alpha_) * (weights[i] - slow_[i]);
    }
    return true;
  }
  void observe(const Numbers<Scalar>& weights) override {
    this->inner_->observe(weights);
    if (steps_ > 0 && synced()) slow_ = weights;
  }
  [[nodiscard]] bool knows_size() const override { return steps_ > 0 || this->inner_->knows_size(); }
  void reset() override {
    this->inner_->reset();
    steps_ = 0;
  }
  [[nodiscard]] std::unique_ptr<ModelOptimizer<Scalar>> clone() const override {
    return std::make_unique<ModelLookahead>(*this);
  }

 private:
  [[nodiscard]] bool synced() const { return steps_ % every_ == 0; }

  std::uint64_t every_, steps_ = 0;
  double alpha_;
  Numbers<Scalar> slow_;
};

enum class AverageKind { uniform, ema, uncorrected_ema, polynomial, power, anytime, latest };

struct AverageModelOptions {
  AverageKind kind = AverageKind::uniform;
  Rate decay;            // of the EMAs
  double parameter = 0;  // η, γ, the fraction
  std::uint64_t window = 1, start = 0, every = 1;
};

/// An average kept in Shadow of what it is shown.
template <class Shadow>
class ModelAverage {
 public:
  using Number = Bounded<Shadow>;
  using Iterate = std::vector<long double>;

  explicit ModelAverage(AverageModelOptions options) : options_(options) {}

  /// Whether step t = steps + ahead folds.
  [[nodiscard]] bool due(std::uint64_t ahead = 1) const {
    const std::uint64_t t = steps_ + ahead;
    return t >= std::max<std::uint64_t>(options_.start, 1) && (t - options_.start) % options_.every == 0;
  }
  [[nodiscard]] bool scheduled() const { return options_.decay.scheduled; }
  [[nodiscard]] bool needs_start() const { return options_.kind == AverageKind::uncorrected_ema && first_gain() < 1; }
  /// From the first fold on, or from a start on, which is the average until then.
  [[nodiscard]] bool has_average() const { return start_.has_value(); }
  void start_from(const Iterate& weights) { begin(weights); }

  /// The weights after step t. A start that was not given is the weights before the first fold.
  void fold(const Iterate& before, const Iterate& weights) {
    const bool folds = due();
    ++steps_;
    if (!folds) return;
    if (!has_average()) begin(before);
    const long double k = static_cast<long double>(iterates_.size() + 1);
    const Bounded<double> a = gain(k);
    const std::vector<Number> old = average_;
    shares_.front() *= 1 - a.value;
    for (long double& w : shares_of_iterates_) w *= 1 - a.value;
    shares_of_iterates_.push_back(a.value);
    iterates_.push_back(weights);
    for (std::size_t i = 0; i < weights.size(); ++i) average_[i] = next(i, old[i], a);
  }

  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t count() const { return iterates_.size(); }
  [[nodiscard]] std::size_t size() const { return average_.size(); }
  [[nodiscard]] const std::vector<Number>& average() const { return average_; }
  /// A coordinate that took in NaN or an infinity stays so.
  [[nodiscard]] bool spoilt(std::size_t i) const { return spoilt_[i]; }

  [[nodiscard]] long double effective_sample_size() const {
    if (!has_average()) return 0;
    if (latest()) return static_cast<long double>(std::min<std::size_t>(options_.window, iterates_.size()));
    return 1 / squares();
  }
  [[nodiscard]] long double mean_age() const {
    if (iterates_.empty()) return 0;
    if (latest()) return (effective_sample_size() - 1) / 2;
    long double age = shares_.front() * static_cast<long double>(iterates_.size());
    for (std::size_t i = 0; i < iterates_.size(); ++i) {
      age += shares_of_iterates_[i] * static_cast<long double>(iterates_.size() - 1 - i);
    }
    return age;
  }
  [[nodiscard]] long double start_mass() const {
    if (iterates_.empty()) return 1;
    return latest() ? 0 : shares_.front();
  }
  /// Of these figures, relative. The gain of an anytime average may hang on the root of a difference near zero.
  [[nodiscard]] long double tolerance() const {
    return options_.kind == AverageKind::anytime ? 1e-5L : 1e-14L * static_cast<long double>(16 + iterates_.size());
  }
  void reset() { *this = ModelAverage(options_); }

 private:
  [[nodiscard]] bool latest() const { return options_.kind == AverageKind::latest; }
  [[nodiscard]] long double first_gain() const { return 1 - options_.decay.at(0); }
  [[nodiscard]] long double squares() const {
    long double sum = shares_.front() * shares_.front();
    for (const long double w : shares_of_iterates_) sum += w * w;
    return sum;
  }

  void begin(const Iterate& start) {
    start_ = start;
    shares_ = {1};
    average_.clear();
    spoilt_.assign(start.size(), false);
    for (std::size_t i = 0; i < start.size(); ++i) {
      take_in(i, start[i]);
      average_.push_back(Number::within(start[i], Number::tiny));
    }
  }
  void take_in(std::size_t i, long double x) {
    if (!std::isfinite(x)) spoilt_[i] = true;
  }

  Bounded<double> gain(long double k) {
    using B = Bounded<double>;
    const long double parameter = options_.parameter;
    const auto folds = static_cast<std::uint64_t>(k) - 1;
    switch (options_.kind) {
      case AverageKind::uniform:
      case AverageKind::latest:
        return B::rounded(1 / k);
      case AverageKind::ema: {
        const long double beta = options_.decay.at(folds);
        weight_ = beta * weight_ + (1 - beta);
        return k == 1 ? B::exactly(1) : B::rounded((1 - beta) / weight_);
      }
      case AverageKind::uncorrected_ema:
        return B::rounded(1 - options_.decay.at(folds));
      case AverageKind::polynomial:
        return k == 1 ? B::exactly(1) : B::rounded((parameter + 1) / (k + parameter));
      case AverageKind::power:
        return k == 1 ? B::exactly(1) : B::rounded(1 - std::pow(1 - 1 / k, parameter + 1));
      case AverageKind::anytime: {
        const long double target = 1 / (parameter * k);
        if (k == 1 || target >= 1) return B::exactly(1);
        const long double q = squares(), difference = target * (1 + q) - q;
        const B discriminant{std::max(0.0L, difference), 1e-13L + std::max(0.0L, -difference)};
        const B a = (B::rounded(q) + root(discriminant)) / B::rounded(1 + q);
        return {std::min(1.0L, a.value), a.error};
      }
    }
    return {};
  }

  /// Each fold rounds what is there and what comes in, and takes its share of the error so far.
  Number next(std::size_t i, const Number& old, const Bounded<double>& a) {
    const long double theta = iterates_.back()[i];
    if (latest()) return mean_of_latest(i);
    if (a.value == 1) spoilt_[i] = false;
    const bool assigns_or_not = a.value < 1 && a.value > 1 - 1e-6L;
    const bool was_spoilt = spoilt_[i];
    take_in(i, theta);
    if (a.value == 1 && !spoilt_[i]) return Number::within(theta, Number::tiny);
    if (assigns_or_not && was_spoilt) {
      spoilt_[i] = false;
      return Number::unknown();
    }
    if (spoilt_[i] || old.is_unknown()) return Number::unknown();
    long double sum = shares_.front() == 0 ? 0 : shares_.front() * (*start_)[i];
    long double size = std::abs(theta) + std::abs(iterates_.size() > 1 ? old.value : (*start_)[i]);
    for (std::size_t j = 0; j < iterates_.size(); ++j) {
      if (shares_of_iterates_[j] != 0) sum += shares_of_iterates_[j] * iterates_[j][i];
    }
    if (size > Number::most) return Number::unknown();
    return Number::within(
        sum, (1 - a.value) * old.error + Number::unit * size + (a.error + Number::unit) * size + Number::tiny);
  }
  Number mean_of_latest(std::size_t i) {
    spoilt_[i] = false;
    const std::size_t n = std::min<std::size_t>(options_.window, iterates_.size());
    long double sum = 0, size = 0;
    for (std::size_t j = iterates_.size() - n; j < iterates_.size(); ++j) {
      const long double theta = iterates_[j][i];
      take_in(i, theta);
      sum += theta;
      size = std::max(size, std::abs(theta));
    }
    if (spoilt_[i] || size > Number::most) return Number::unknown();
    const auto count = static_cast<long double>(n);
    return Number::within(sum / count, count * (2 * Number::unit * size + Number::tiny));
  }

  AverageModelOptions options_;
  std::uint64_t steps_ = 0;
  std::optional<Iterate> start_;
  std::vector<Iterate> iterates_;
  std::vector<long double> shares_;  // of the start
  std::vector<long double> shares_of_iterates_;
  std::vector<Number> average_;
  std::vector<bool> spoilt_;
  long double weight_ = 0;  // of a zero start, what the EMA's inputs have
};

}  // namespace fuzz
