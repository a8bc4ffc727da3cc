#include <polyak/polyak.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fuzz.hpp"
#include "input.hpp"
#include "model.hpp"
#include "serialize/archive.hpp"

// The bytes are a sequence of operations on a few objects: optimizers with averages, behind wrappers, and averages on
// their own. After every one the weights and the averages are compared with a model in long double, within the rounding
// errors that can have been made. And bit for bit: training goes as it does without averages; what is refused has
// changed nothing; a swap gives the weights back.

namespace {

using fuzz::Input;
using fuzz::require;
using namespace polyak;

// What goes wrong on purpose.

struct Injected : std::runtime_error {
  Injected() : std::runtime_error("a schedule that fails") {}
};
enum class Fault { none, throws, not_a_number };
Fault fault = Fault::none;

/// first / (1 + t), unless it is to fail.
struct Falling {
  double first;
  double operator()(std::uint64_t t) const {
    if (fault == Fault::throws) throw Injected();
    if (fault == Fault::not_a_number) return std::numeric_limits<double>::quiet_NaN();
    return first / static_cast<double>(1 + t);
  }
};

enum class Result { taken, not_taken, bad_argument, bad_order, injected, truncated };

template <class F>
Result attempt(F f) {
  try {
    return f() ? Result::taken : Result::not_taken;
  } catch (const Injected&) {
    return Result::injected;
  } catch (const serialize::Truncated&) {
    return Result::truncated;
  } catch (const std::invalid_argument&) {
    return Result::bad_argument;
  } catch (const std::logic_error&) {
    return Result::bad_order;
  }
}

template <class F>
void require_refusal(Result expected, const char* what, F f) {
  const Result outcome = attempt([&] {
    f();
    return true;
  });
  require(outcome == expected, what);
}

// All that an object is, and back.

template <class Object>
serialize::Bytes saved(const Object& object) {
  serialize::Output archive;
  const_cast<Object&>(object).serialize(archive, 0u);  // which only reads while it saves
  return archive.bytes;
}
template <class Object>
Result load(Object& object, const serialize::Bytes& bytes) {
  return attempt([&] {
    serialize::Input archive(bytes);
    object.serialize(archive, 0u);
    require(archive.at_end(), "all that was saved is loaded");
    return true;
  });
}

/// Some bytes changed, or the last of them lost. What comes of it is refused, or an object as good as any other.
serialize::Bytes damaged(Input& input, serialize::Bytes bytes) {
  if (input.flag()) {
    bytes.resize(bytes.size() - std::min<std::size_t>(bytes.size(), 1 + input.below(64)));
  } else {
    for (std::size_t n = 1 + input.below(3); n > 0; --n) {
      const std::size_t at = (256 * input.below(256) + input.below(256)) % bytes.size();
      bytes[at] = input.byte();
    }
  }
  return bytes;
}

// Weights and gradients: one vector, or a set of matrices.

struct Shape {
  bool set = false;
  std::vector<std::pair<Eigen::Index, Eigen::Index>> blocks;

  [[nodiscard]] std::size_t size() const {
    std::size_t n = 0;
    for (const auto& [rows, cols] : blocks) n += static_cast<std::size_t>(rows * cols);
    return n;
  }
  bool operator==(const Shape&) const = default;
};

Shape shape_from(Input& input) {
  constexpr Eigen::Index lengths[] = {3, 1, 2, 0, 5, 8, 31, 32, 33, 70, 515};
  constexpr std::pair<Eigen::Index, Eigen::Index> matrices[] = {{2, 3}, {1, 1}, {4, 1}, {1, 5},
                                                                {0, 3}, {5, 7}, {33, 1}};
  Shape shape;
  shape.set = input.flag();
  if (!shape.set) {
    shape.blocks = {{input.one_of(lengths), 1}};
  } else {
    for (std::size_t n = input.below(4); n > 0; --n) shape.blocks.push_back(input.one_of(matrices));
  }
  return shape;
}

template <class Scalar>
class Values {
 public:
  Values() = default;
  Values(Shape shape, const std::vector<Scalar>& flat) : shape_(std::move(shape)) {
    if (!shape_.set) {
      one_ = Eigen::Map<const Vector>(flat.data(), static_cast<Eigen::Index>(flat.size()));
      return;
    }
    const Scalar* from = flat.data();
    for (const auto& [rows, cols] : shape_.blocks) {
      blocks_.push_back(Eigen::Map<const Matrix>(from, rows, cols));
      from += rows * cols;
    }
  }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::size_t size() const { return shape_.size(); }
  [[nodiscard]] std::vector<Scalar> flat() const {
    std::vector<Scalar> all(one_.data(), one_.data() + one_.size());
    for (const Matrix& block : blocks_) all.insert(all.end(), block.data(), block.data() + block.size());
    return all;
  }
  [[nodiscard]] bool same_bits(const Values& other) const { return bytes() == other.bytes(); }
  [[nodiscard]] std::string bytes() const {
    const std::vector<Scalar> all = flat();
    return {reinterpret_cast<const char*>(all.data()), all.size() * sizeof(Scalar)};
  }

  template <class F>
  decltype(auto) visit(F f) {
    return shape_.set ? f(blocks_) : f(one_);
  }
  template <class F>
  decltype(auto) visit(const Values& gradient, F f) {
    return shape_.set ? f(blocks_, gradient.blocks_) : f(one_, gradient.one_);
  }

 private:
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

  Shape shape_;
  Vector one_;
  std::vector<Matrix> blocks_;
};

template <class Scalar>
Values<Scalar> values_from(Input& input, const Shape& shape) {
  return {shape, fuzz::numbers<Scalar>(input, shape.size())};
}

/// A shape of which another size must be refused: one more coordinate, or a block less.
Shape other_than(const Shape& shape) {
  Shape other = shape;
  if (!shape.set) {
    ++other.blocks[0].first;
  } else if (shape.blocks.empty()) {
    other.blocks.emplace_back(1, 2);
  } else {
    other.blocks.pop_back();
  }
  return other;
}

template <class Scalar>
fuzz::Numbers<Scalar> exact(const Values<Scalar>& values) {
  fuzz::Numbers<Scalar> result;
  for (const Scalar x : values.flat()) result.push_back(fuzz::Bounded<Scalar>::exactly(x));
  return result;
}
template <class Scalar>
std::vector<long double> wide(const Values<Scalar>& values) {
  const std::vector<Scalar> flat = values.flat();
  return {flat.begin(), flat.end()};
}

// Options out of bytes, for the library and for the model.

struct Plan {
  Shape shape;
  fuzz::Blocks blocks;
  std::vector<BlockOptions> block_options;
};

Plan plan_from(Input& input) {
  constexpr double factors[] = {1, 0, 0.5, 2};
  Plan plan;
  plan.shape = shape_from(input);
  const bool by_block = input.flag() && !plan.shape.blocks.empty();
  for (std::size_t b = 0; b < plan.shape.blocks.size(); ++b) {
    const auto [rows, cols] = plan.shape.blocks[b];
    plan.blocks.of_coordinate.insert(plan.blocks.of_coordinate.end(), static_cast<std::size_t>(rows * cols), b);
    if (!by_block) continue;
    const double rate = input.one_of(factors), decay = input.one_of(factors);
    plan.blocks.factors.push_back({rate, decay});
    plan.block_options.push_back({.learning_rate_factor = rate, .weight_decay_factor = decay});
  }
  return plan;
}

fuzz::Rate rate_from(Input& input) {
  constexpr double rates[] = {0.1, 0.01, 1, 0, 0.5, 3};
  const double first = input.one_of(rates);
  return {first, input.flag()};
}
template <class Quantity>
Quantity quantity(const fuzz::Rate& rate) {
  if (rate.scheduled) return Falling{rate.first};
  return rate.first;
}

template <class T>
struct Tag {};

template <class Optimizer>
using ScalarOf = typename Optimizer::scalar_type;
template <class Scalar>
using Model = std::unique_ptr<fuzz::ModelOptimizer<Scalar>>;
template <class Optimizer>
using Made = std::pair<Optimizer, Model<ScalarOf<Optimizer>>>;

/// An optimizer of which nothing is known but that it can step.
template <class Scalar>
class Opaque {
 public:
  using scalar_type = Scalar;
  explicit Opaque(Sgd<Scalar> sgd) : sgd_(std::move(sgd)) {}
  template <class P, class G>
  void step(P& params, const G& grad) {
    sgd_.step(params, grad);
  }
  void reset() { sgd_.reset(); }
  Sgd<Scalar>& optimizer() { return sgd_; }
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    archive& sgd_;
  }

 private:
  Sgd<Scalar> sgd_;
};

template <class Scalar>
Made<Sgd<Scalar>> make(Tag<Sgd<Scalar>>, Input& input, const Plan& plan) {
  constexpr double momenta[] = {0, 0.9, 0.5, 1.25}, dampenings[] = {0, 0.5, 1, -1}, decays[] = {0, 0.01, 0.5, 3};
  fuzz::SgdModelOptions o;
  o.rate = rate_from(input);
  o.momentum = input.one_of(momenta);
  o.nesterov = o.momentum > 0 && input.flag();
  o.dampening = o.nesterov ? 0 : input.one_of(dampenings);
  o.weight_decay = {input.one_of(decays), o.rate.scheduled};
  o.decoupled = input.flag();
  o.blocks = plan.blocks;
  return {Sgd<Scalar>{{.learning_rate = quantity<Hyperparameter>(o.rate),
                       .momentum = o.momentum,
                       .dampening = o.dampening,
                       .nesterov = o.nesterov,
                       .weight_decay = quantity<Hyperparameter>(o.weight_decay),
                       .decoupled_weight_decay = o.decoupled,
                       .blocks = plan.block_options}},
          std::make_unique<fuzz::ModelSgd<Scalar>>(o)};
}

fuzz::AdamModelOptions adam_options(Input& input, const Plan& plan) {
  constexpr double betas1[] = {0.9, 0, 0.5}, betas2[] = {0.999, 0, 0.5, 0.9}, epsilons[] = {1e-8, 0, 1e-3, 1},
                   decays[] = {0, 0.01, 0.5};
  fuzz::AdamModelOptions o;
  o.rate = rate_from(input);
  o.beta1 = input.one_of(betas1);
  o.beta2 = input.one_of(betas2);
  o.epsilon = input.one_of(epsilons);
  o.weight_decay = {input.one_of(decays), o.rate.scheduled};
  o.amsgrad = input.flag();
  o.blocks = plan.blocks;
  return o;
}
template <class Options>
Options library_options(const fuzz::AdamModelOptions& o, const Plan& plan) {
  return {.learning_rate = quantity<Hyperparameter>(o.rate),
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .epsilon = o.epsilon,
          .weight_decay = quantity<Hyperparameter>(o.weight_decay),
          .amsgrad = o.amsgrad,
          .blocks = plan.block_options};
}
template <class Scalar>
Made<Adam<Scalar>> make(Tag<Adam<Scalar>>, Input& input, const Plan& plan) {
  const auto o = adam_options(input, plan);
  return {Adam<Scalar>(library_options<AdamOptions>(o, plan)), std::make_unique<fuzz::ModelAdam<Scalar>>(o)};
}
template <class Scalar>
Made<AdamW<Scalar>> make(Tag<AdamW<Scalar>>, Input& input, const Plan& plan) {
  auto o = adam_options(input, plan);
  o.decoupled = true;
  return {AdamW<Scalar>(library_options<AdamWOptions>(o, plan)), std::make_unique<fuzz::ModelAdam<Scalar>>(o)};
}
template <class Scalar>
Made<Opaque<Scalar>> make(Tag<Opaque<Scalar>>, Input& input, const Plan& plan) {
  auto [sgd, model] = make(Tag<Sgd<Scalar>>{}, input, plan);
  return {Opaque<Scalar>(std::move(sgd)), std::move(model)};
}
template <class Inner>
Made<ClipValue<Inner>> make(Tag<ClipValue<Inner>>, Input& input, const Plan& plan) {
  constexpr double limits[] = {1, 0.1, 1e-10, 1e10};
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  const double limit = input.one_of(limits);
  return {ClipValue<Inner>(std::move(inner), {.max_value = limit}),
          std::make_unique<fuzz::ModelClipValue<ScalarOf<Inner>>>(std::move(model), limit)};
}
template <class Inner>
Made<ClipNorm<Inner>> make(Tag<ClipNorm<Inner>>, Input& input, const Plan& plan) {
  constexpr double limits[] = {1, 0.1, 1e10};
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  const double limit = input.one_of(limits);
  return {ClipNorm<Inner>(std::move(inner), {.max_norm = limit}),
          std::make_unique<fuzz::ModelClipNorm<ScalarOf<Inner>>>(std::move(model), limit)};
}
/// Of the average inside it is only seen that it is the same in both.
template <class Inner>
Made<Averaged<Inner, TailAverage<>>> make(Tag<Averaged<Inner, TailAverage<>>>, Input& input, const Plan& plan) {
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  return {Averaged<Inner, TailAverage<>>(std::move(inner), TailAverage<>{{.every = 1 + input.below(3)}}),
          std::move(model)};
}
template <class Inner>
Made<SkipNonFinite<Inner>> make(Tag<SkipNonFinite<Inner>>, Input& input, const Plan& plan) {
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  return {SkipNonFinite<Inner>(std::move(inner)),
          std::make_unique<fuzz::ModelSkipNonFinite<ScalarOf<Inner>>>(std::move(model))};
}
template <class Inner, class Scalar>
Made<Accumulate<Inner, Scalar>> make(Tag<Accumulate<Inner, Scalar>>, Input& input, const Plan& plan) {
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  const std::uint64_t k = 1 + input.below(4);
  return {Accumulate<Inner, Scalar>(std::move(inner), {.micro_batches = k}),
          std::make_unique<fuzz::ModelAccumulate<Scalar>>(std::move(model), k)};
}
template <class Inner, class Scalar>
Made<Lookahead<Inner, Scalar>> make(Tag<Lookahead<Inner, Scalar>>, Input& input, const Plan& plan) {
  constexpr double alphas[] = {0.5, 1, 0.1};
  auto [inner, model] = make(Tag<Inner>{}, input, plan);
  const std::uint64_t every = 1 + input.below(4);
  const double alpha = input.one_of(alphas);
  return {Lookahead<Inner, Scalar>(std::move(inner), {.every = every, .alpha = alpha}),
          std::make_unique<fuzz::ModelLookahead<Scalar>>(std::move(model), every, alpha)};
}

using Averaging = fuzz::AverageModelOptions;

Averaging cadence_from(Input& input) {
  constexpr std::uint64_t starts[] = {0, 1, 2, 3, 7, std::numeric_limits<std::uint64_t>::max()};
  Averaging o;
  o.start = input.one_of(starts);
  o.every = 1 + input.below(4);
  return o;
}

template <class Shadow>
std::pair<Ema<Shadow>, Averaging> make(Tag<Ema<Shadow>>, Input& input) {
  constexpr double decays[] = {0.9, 0, 0.5, 0.999, 0.999999};
  Averaging o = cadence_from(input);
  o.decay = {input.one_of(decays), input.flag()};
  o.kind = input.flag() ? fuzz::AverageKind::uncorrected_ema : fuzz::AverageKind::ema;
  return {Ema<Shadow>{{.decay = quantity<Decay>(o.decay),
                       .bias_correction = o.kind == fuzz::AverageKind::ema,
                       .start = o.start,
                       .every = o.every}},
          o};
}
template <class Shadow>
std::pair<TailAverage<Shadow>, Averaging> make(Tag<TailAverage<Shadow>>, Input& input) {
  const Averaging o = cadence_from(input);
  return {TailAverage<Shadow>{{.start = o.start, .every = o.every}}, o};
}
template <class Shadow>
std::pair<Swa<Shadow>, Averaging> make(Tag<Swa<Shadow>>, Input& input) {
  const Averaging o = cadence_from(input);
  return {Swa<Shadow>{{.start = o.start, .period = o.every}}, o};
}
template <class Shadow>
std::pair<PolynomialAverage<Shadow>, Averaging> make(Tag<PolynomialAverage<Shadow>>, Input& input) {
  constexpr double etas[] = {3, 0, 1, 0.5, 16};
  Averaging o = cadence_from(input);
  o.kind = fuzz::AverageKind::polynomial;
  o.parameter = input.one_of(etas);
  return {PolynomialAverage<Shadow>{{.eta = o.parameter, .start = o.start, .every = o.every}}, o};
}
template <class Shadow>
std::pair<PowerEma<Shadow>, Averaging> make(Tag<PowerEma<Shadow>>, Input& input) {
  constexpr double gammas[] = {6.94, 0, 1, 16};
  Averaging o = cadence_from(input);
  o.kind = fuzz::AverageKind::power;
  o.parameter = input.one_of(gammas);
  return {PowerEma<Shadow>{{.gamma = o.parameter, .start = o.start, .every = o.every}}, o};
}
template <class Shadow>
std::pair<AnytimeTailAverage<Shadow>, Averaging> make(Tag<AnytimeTailAverage<Shadow>>, Input& input) {
  constexpr double fractions[] = {0.5, 1, 0.25, 0.1, 0.75};
  Averaging o = cadence_from(input);
  o.kind = fuzz::AverageKind::anytime;
  o.parameter = input.one_of(fractions);
  return {AnytimeTailAverage<Shadow>{{.fraction = o.parameter, .start = o.start, .every = o.every}}, o};
}
template <class Shadow>
std::pair<Lawa<Shadow>, Averaging> make(Tag<Lawa<Shadow>>, Input& input) {
  Averaging o = cadence_from(input);
  o.kind = fuzz::AverageKind::latest;
  o.window = 1 + input.below(5);
  return {Lawa<Shadow>{{.window = o.window, .start = o.start, .every = o.every}}, o};
}

// The objects, behind one face.

class Subject {
 public:
  virtual ~Subject() = default;
  virtual void act(Input& input) = 0;
  [[nodiscard]] virtual std::unique_ptr<Subject> copy() const = 0;
  /// This, moved; what is left behind is assigned a copy of it and goes on as that.
  [[nodiscard]] virtual std::unique_ptr<Subject> move_and_copy_back() = 0;
  /// Copies another of the same type onto this one, or does nothing.
  virtual void assign(const Subject& other) = 0;
};

template <class Number>
std::string bytes_of(const Eigen::Matrix<Number, Eigen::Dynamic, 1>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), static_cast<std::size_t>(vector.size()) * sizeof(Number)};
}

template <class Average, class Shadow>
void require_as_modelled(const Average& average, const fuzz::ModelAverage<Shadow>& model, const Shape& shape) {
  require(average.steps() == model.steps(), "an average has seen every step");
  require(average.count() == model.count(), "an average has folded what was due");
  require(average.has_average() == model.has_average(), "there is an average from the first fold or a start on");
  const auto close = [&](double actual, long double expected, const char* what) {
    const long double distance = std::abs(static_cast<long double>(actual) - expected);
    require(distance <= model.tolerance() * std::abs(expected) + 1e-300L + (expected < 1e-6L ? 1e-12L : 0),
            [&] { return std::string(what) + " is " + std::to_string(expected) + ", got " + std::to_string(actual); });
  };
  close(average.effective_sample_size(), model.effective_sample_size(), "the effective sample size");
  close(average.mean_age(), model.mean_age(), "the mean age");
  close(average.start_mass(), model.start_mass(), "the mass of the start");
  if (!average.has_average()) {
    require_refusal(Result::bad_order, "there is nothing to read before the first fold",
                    [&] { static_cast<void>(average.average()); });
    return;
  }
  const auto& s = average.average();
  require(static_cast<std::size_t>(s.size()) == model.size(), "an average has the size of the weights");
  for (std::size_t i = 0; i < model.size(); ++i) {
    const Shadow x = s[static_cast<Eigen::Index>(i)];
    if (model.spoilt(i)) {
      require(!std::isfinite(x), "an average that took in NaN or an infinity shows it");
      continue;
    }
    require(model.average()[i].admits(x), [&] {
      return "coordinate " + std::to_string(i) + " of the average is " + std::to_string(model.average()[i].value) +
             " up to " + std::to_string(model.average()[i].error) + ", got " + std::to_string(x);
    });
  }
  if (!shape.set || shape.size() != model.size()) return;
  const Shadow* at = s.data();
  for (std::size_t b = 0; b < shape.blocks.size(); ++b) {
    const auto block = average.average_block(b);
    require(block.rows() == shape.blocks[b].first && block.cols() == shape.blocks[b].second && block.data() == at,
            "a block of the average has the shape of its block of weights");
    at += block.size();
  }
  require_refusal(Result::bad_argument, "there is no further block",
                  [&] { static_cast<void>(average.average_block(shape.blocks.size())); });
}

/// Whether the weights are the average, rounded once.
template <class Average, class Scalar>
bool shows(const Average& average, const Values<Scalar>& weights) {
  std::vector<Scalar> rounded;
  for (const auto x : average.average()) rounded.push_back(static_cast<Scalar>(x));
  return Values<Scalar>(weights.shape(), rounded).same_bits(weights);
}

/// What must hold of copying an average out of one.
template <class Average, class Scalar>
void check_reading(const Average& average, Values<Scalar> weights) {
  const Values<Scalar> before = weights;
  if (average.has_average()) {
    weights.visit([&](auto& w) { average.copy_average_to(w); });
    require(shows(average, weights), "copy_average_to rounds the average");
    auto other = Values<float>(other_than(before.shape()), std::vector<float>(other_than(before.shape()).size()));
    const auto untouched = other;
    if (other.size() != before.size()) {
      require_refusal(Result::bad_argument, "an average fits parameters of its size alone",
                      [&] { other.visit([&](auto& w) { average.copy_average_to(w); }); });
      require(other.same_bits(untouched), "parameters of another size are left alone");
    }
    weights = before;
    const auto either = weights.visit([&](auto& w) { return average.average_or(w); });
    require(bytes_of(either) == bytes_of(average.average()), "average_or is the average");
  } else {
    const auto either = weights.visit([&](auto& w) { return average.average_or(w); });
    const auto flat = before.flat();
    for (std::size_t i = 0; i < flat.size(); ++i) {
      const auto x = either[static_cast<Eigen::Index>(i)];
      require(x == static_cast<decltype(x + 0)>(flat[i]) || std::isnan(flat[i]), "average_or is the weights");
    }
    require_refusal(Result::bad_order, "there is nothing to copy before the first fold",
                    [&] { weights.visit([&](auto& w) { average.copy_average_to(w); }); });
  }
  require(weights.same_bits(before), "reading leaves the weights alone");
}

template <class Optimizer>
inline constexpr bool has_averages = false;
template <class Optimizer, class... Averagers>
inline constexpr bool has_averages<Averaged<Optimizer, Averagers...>> = true;

/// Calls f with each Averaged in an optimizer.
template <class Optimizer, class F>
void for_each_averaged(Optimizer& optimizer, F f) {
  if constexpr (has_averages<std::remove_const_t<Optimizer>>) f(optimizer);
  if constexpr (requires { optimizer.optimizer(); }) for_each_averaged(optimizer.optimizer(), f);
}

template <class Optimizer>
auto& innermost(Optimizer& optimizer) {
  if constexpr (requires { optimizer.set_learning_rate(0); }) {
    return optimizer;
  } else {
    return innermost(optimizer.optimizer());
  }
}

template <class Optimizer, class... Averagers>
class Trainer : public Subject {
  using Scalar = ScalarOf<Optimizer>;
  using Object = Averaged<Optimizer, Averagers...>;
  using Each = std::index_sequence_for<Averagers...>;

 public:
  explicit Trainer(Input& input) : Trainer(input, plan_from(input)) {}
  Trainer(const Trainer& other)
      : plan_(other.plan_),
        object_(other.object_),
        twin_(other.twin_),
        model_(other.model_->clone()),
        averages_(other.averages_),
        weights_(std::make_unique<Values<Scalar>>(other.trained_)),
        trained_(other.trained_) {}  // its guard and its snapshot stay with it
  Trainer(Trainer&&) = default;

  [[nodiscard]] std::unique_ptr<Subject> copy() const override { return std::make_unique<Trainer>(*this); }
  [[nodiscard]] std::unique_ptr<Subject> move_and_copy_back() override {
    auto moved = std::make_unique<Trainer>(std::move(*this));
    guard_.reset();
    snapshot_.reset();
    object_ = moved->object_;
    model_ = moved->model_->clone();
    twin_ = moved->twin_;
    averages_ = moved->averages_;
    plan_ = moved->plan_;
    weights_ = std::make_unique<Values<Scalar>>(trained_ = moved->trained_);
    return moved;
  }
  void assign(const Subject& subject) override {
    const auto* const other = dynamic_cast<const Trainer*>(&subject);
    if (!other || (guard_ && other->plan_.shape != plan_.shape)) return;
    object_ = other->object_;
    twin_ = other->twin_;
    model_ = other->model_->clone();
    averages_ = other->averages_;
    plan_ = other->plan_;
    if (!guard_) *weights_ = trained_ = other->trained_;
    snapshot_.reset();
    check();
  }

  void act(Input& input) override {
    switch (input.below(20)) {
      case 0:
        step_with_gradient_of_other_size(input);
        break;
      case 1:
        step_other_weights(input);
        break;
      case 2:
        step_with_fault(input, Fault::throws);
        break;
      case 3:
        step_with_fault(input, Fault::not_a_number);
        break;
      case 4:
        with_average(input, [&](const auto& average) { check_reading(average, trained_); });
        break;
      case 5:
        swap_for_a_scope(input);
        break;
      case 6:
        swap_to_stay(input);
        break;
      case 7:
        restore();
        break;
      case 8:
        reset();
        break;
      case 9:
        set_rate_or_decay(input);
        break;
      case 10:
        rewrite_weights(input);
        break;
      case 11:
        save();
        break;
      case 12:
        load_saved();
        break;
      case 13:
        load_into_other(input);
        break;
      case 14:
        load_damaged(input);
        break;
      case 15:
        step_with_inner_average_swapped_in(input);
        break;
      default:
        step(input);
    }
    check();
  }

 private:
  Trainer(Input& input, const Plan& plan) : Trainer(input, plan, make(Tag<Optimizer>{}, input, plan)) {}
  Trainer(Input& input, const Plan& plan, Made<Optimizer> made)
      : Trainer(input, plan, std::move(made),
                std::tuple<decltype(make(Tag<Averagers>{}, input))...>{make(Tag<Averagers>{}, input)...}) {}
  template <class MadeAveragers>
  Trainer(Input& input, const Plan& plan, Made<Optimizer> made, const MadeAveragers& averagers)
      : plan_(plan),
        object_(std::apply([&](const auto&... each) { return Object(made.first, each.first...); }, averagers)),
        twin_(std::move(made.first)),
        model_(std::move(made.second)),
        averages_(std::apply([&](const auto&... each) { return Averages(ModelOf<decltype(each)>(each.second)...); },
                             averagers)),
        weights_(std::make_unique<Values<Scalar>>(values_from<Scalar>(input, plan.shape))),
        trained_(*weights_) {}

  template <class Pair>
  using ModelOf = fuzz::ModelAverage<typename std::remove_cvref_t<Pair>::first_type::shadow_type>;
  using Averages = std::tuple<fuzz::ModelAverage<typename Averagers::shadow_type>...>;

  template <std::size_t I, class F>
  void with_index(std::size_t i, F f) {
    if (i == I) return f(std::integral_constant<std::size_t, I>{});
    if constexpr (I + 1 < sizeof...(Averagers)) with_index<I + 1>(i, f);
  }
  template <class F>
  void with_average(Input& input, F f) {
    with_index<0>(input.below(sizeof...(Averagers)),
                  [&](auto i) { f(object_.template averager<decltype(i)::value>()); });
  }
  template <class F, std::size_t... Is>
  void for_each_average(F f, std::index_sequence<Is...>) const {
    (f(object_.template averager<Is>(), std::get<Is>(averages_)), ...);
  }
  template <class F>
  void for_each_average(F f) const {
    for_each_average(f, Each{});
  }

  [[nodiscard]] std::string state() const {
    const serialize::Bytes bytes = saved(object_);
    return weights_->bytes() + std::string(bytes.begin(), bytes.end());
  }

  /// Nothing but what the caller says may have changed.
  void check() {
    require(weights_->same_bits(trained_) || guard_, "weights are those trained without averages");
    require(innermost(object_).steps() == innermost(twin_).steps(), "steps are those taken without averages");
    require(saved(object_.optimizer()) == saved(twin_), "the optimizer is as it is without averages");
    for_each_average([&](const auto& average, const auto& model) { require_as_modelled(average, model, plan_.shape); });
  }

  static bool take_step(auto& optimizer, Values<Scalar>& weights, const Values<Scalar>& gradient) {
    return weights.visit(gradient, [&](auto& w, const auto& g) {
      if constexpr (std::is_void_v<decltype(optimizer.step(w, g))>) {
        optimizer.step(w, g);
        return true;
      } else {
        return optimizer.step(w, g);
      }
    });
  }

  template <class F>
  void require_refused_step(Result expected, const char* what, F f) {
    const std::string before = state();
    const Result outcome = attempt(f);
    require(outcome == expected || (guard_ && outcome == Result::bad_order), what);
    require(state() == before, "a step that is refused changes nothing");
  }

  void step(Input& input) { step_along(values_from<Scalar>(input, plan_.shape)); }

  void step_along(const Values<Scalar>& gradient) {
    if (guard_) {
      return require_refused_step(Result::bad_order, "no step while an average is swapped in",
                                  [&] { return take_step(object_, *weights_, gradient); });
    }
    const auto before = wide(*weights_);
    fuzz::Numbers<Scalar> expected = exact(*weights_);
    const bool taken = take_step(object_, *weights_, gradient);
    require(take_step(twin_, trained_, gradient) == taken, "a step is taken with averages as without");
    require(model_->step(expected, exact(gradient)) == taken, "a step is taken as its source says");
    const auto after = weights_->flat();
    for (std::size_t i = 0; i < after.size(); ++i) {
      require(expected[i].admits(after[i]), [&] {
        return "weight " + std::to_string(i) + " is " + std::to_string(expected[i].value) + " up to " +
               std::to_string(expected[i].error) + ", got " + std::to_string(after[i]);
      });
    }
    model_->observe(exact(*weights_));
    if (taken) std::apply([&](auto&... each) { (each.fold(before, wide(*weights_)), ...); }, averages_);
  }

  void step_with_gradient_of_other_size(Input& input) {
    const auto gradient = values_from<Scalar>(input, other_than(plan_.shape));
    const std::string before = state();
    const Result outcome = attempt([&] { return take_step(object_, *weights_, gradient); });
    require(outcome == Result::bad_argument || (guard_ && outcome == Result::bad_order),
            "a gradient has the size of the weights");
    require(state() == before, "a step that is refused changes nothing");
  }

  void step_other_weights(Input& input) {
    bool known = model_->knows_size();
    for_each_average([&](const auto&, const auto& model) { known = known || model.count() > 0; });
    if (!known) return;
    const Shape shape = other_than(plan_.shape);
    auto weights = values_from<Scalar>(input, shape);
    const auto untouched = weights;
    const Values<Scalar> gradient(shape, std::vector<Scalar>(shape.size(), Scalar(1)));
    require_refused_step(Result::bad_argument, "weights keep their size",
                         [&] { return take_step(object_, weights, gradient); });
    require(weights.same_bits(untouched), "a step that is refused moves nothing");
  }

  void step_with_fault(Input& input, Fault what) {
    const auto gradient = values_from<Scalar>(input, plan_.shape);
    bool asks = model_->scheduled() && model_->asks(exact(gradient));
    for_each_average([&](const auto&, const auto& model) { asks = asks || (model.scheduled() && model.due()); });
    if (!asks && !guard_) return step_along(gradient);
    const std::string before = state();
    fault = what;
    const Result outcome = attempt([&] { return take_step(object_, *weights_, gradient); });
    fault = Fault::none;
    const Result expected = what == Fault::throws ? Result::injected : Result::bad_argument;
    require(outcome == expected || (guard_ && outcome == Result::bad_order), "a schedule that fails fails the step");
    require(state() == before, "a step that is refused changes nothing");
  }

  /// The guard goes with an exception.
  void swap_for_a_scope(Input& input) {
    with_index<0>(input.below(sizeof...(Averagers)), [&](auto i) {
      constexpr std::size_t at = decltype(i)::value;
      const auto& average = object_.template averager<at>();
      const std::string before = state();
      const Result outcome = attempt([&] {
        const auto guard = weights_->visit([&](auto& w) { return object_.template swap_in<at>(w); });
        require(shows(average, *weights_), "the average stands in the place of the weights");
        throw Injected();
        return true;
      });
      const bool possible = average.has_average() && !guard_;
      require(outcome == (possible ? Result::injected : Result::bad_order),
              "an average is swapped in once it is there");
      require(state() == before, "what was swapped in is swapped out again");
    });
  }

  void step_with_inner_average_swapped_in(Input& input) {
    const auto gradient = values_from<Scalar>(input, plan_.shape);
    if (guard_) return;
    for_each_averaged(object_.optimizer(), [&](auto& averaged) {
      if (!averaged.has_average()) return;
      const std::string before = state();
      {
        const auto guard = weights_->visit([&](auto& w) { return averaged.swap_in(w); });
        const std::string within = state();
        require(shows(averaged.averager(), *weights_), "the average stands in the place of the weights");
        const Result outcome = attempt([&] { return take_step(object_, *weights_, gradient); });
        require(outcome == Result::bad_order, "no step while an average inside is swapped in");
        require(state() == within, "a step that is refused changes nothing");
      }
      require(state() == before, "what was swapped in is swapped out again");
    });
  }

  void swap_to_stay(Input& input) {
    with_index<0>(input.below(sizeof...(Averagers)), [&](auto i) {
      constexpr std::size_t at = decltype(i)::value;
      const auto& average = object_.template averager<at>();
      const bool possible = average.has_average() && !guard_;
      const Result outcome = attempt([&] {
        auto guard = weights_->visit([&](auto& w) { return object_.template swap_in<at>(w); });
        guard_.emplace(std::move(guard));
        return true;
      });
      require(outcome == (possible ? Result::taken : Result::bad_order), "an average is swapped in once it is there");
      if (possible) require(shows(average, *weights_), "the average stands in the place of the weights");
    });
  }

  void restore() {
    if (guard_) guard_->restore();
    guard_.reset();
    require(weights_->same_bits(trained_), "the trained weights come back");
  }

  void reset() {
    object_.reset();
    twin_.reset();
    model_->reset();
    std::apply([](auto&... each) { (each.reset(), ...); }, averages_);
  }

  void set_rate_or_decay(Input& input) {
    constexpr double numbers[] = {0.1, 0, 2, -1, std::numeric_limits<double>::quiet_NaN()};
    const std::size_t which = input.below(2 * std::size(numbers));
    const double number = numbers[which % std::size(numbers)];
    const bool is_rate = which < std::size(numbers);
    const auto set = [&](auto& optimizer) {
      is_rate ? optimizer.set_learning_rate(number) : optimizer.set_weight_decay(number);
    };
    const std::string before = state();
    const Result outcome = attempt([&] {
      set(innermost(object_));
      return true;
    });
    if (!(number >= 0)) {
      require(outcome == Result::bad_argument && state() == before, "a learning rate or weight decay is at least 0");
      return;
    }
    require(outcome == Result::taken, "a learning rate or weight decay may be set");
    ++times_set_;
    set(innermost(twin_));
    is_rate ? model_->set_rate(number) : model_->set_weight_decay(number);
  }

  /// As a user may who starts from other weights.
  void rewrite_weights(Input& input) {
    if (!guard_) *weights_ = trained_ = values_from<Scalar>(input, plan_.shape);
  }

  void save() { snapshot_.emplace(Snapshot{saved(object_), twin_, model_->clone(), averages_, trained_, times_set_}); }

  void load_saved() {
    if (!snapshot_) return;
    const std::string before = state();
    const Result outcome = load(object_, snapshot_->bytes);
    if (outcome != Result::taken) {
      const bool was_set = snapshot_->times_set != times_set_;
      require(guard_ ? outcome == Result::bad_order : outcome == Result::bad_argument && was_set,
              "what was saved is loaded, but by other options or while an average is swapped in");
      require(state() == before, "what is refused changes nothing");
      return;
    }
    require(!guard_, "nothing is loaded while an average is swapped in");
    require(saved(object_) == snapshot_->bytes, "what was loaded is what was saved");
    twin_ = snapshot_->twin;
    model_ = snapshot_->model->clone();
    averages_ = snapshot_->averages;
    *weights_ = trained_ = snapshot_->trained;
  }

  /// Made anew, by options that may differ.
  void load_into_other(Input& input) {
    Made<Optimizer> made = make(Tag<Optimizer>{}, input, plan_);
    const std::tuple<decltype(make(Tag<Averagers>{}, input))...> averagers{make(Tag<Averagers>{}, input)...};
    Object other = std::apply([&](const auto&... each) { return Object(made.first, each.first...); }, averagers);
    const serialize::Bytes bytes = saved(object_);
    const Result outcome = load(other, bytes);
    require(outcome == Result::taken || outcome == Result::bad_argument, "other options are refused");
    require(outcome != Result::taken || saved(other) == bytes, "what was loaded is what was saved");
  }

  void load_damaged(Input& input) {
    Object other = object_;
    const Result outcome = load(other, damaged(input, saved(object_)));
    require(outcome == Result::taken || outcome == Result::bad_argument || outcome == Result::truncated,
            "damage is refused, or not seen");
    auto weights = trained_;
    const auto gradient = values_from<Scalar>(input, plan_.shape);
    for (int t = 0; t < 3; ++t) {
      const Result step = attempt([&] { return take_step(other, weights, gradient); });
      require(step == Result::taken || step == Result::not_taken || step == Result::bad_argument,
              "what is left can be trained on, or says what does not fit");
    }
  }

  struct Snapshot {
    serialize::Bytes bytes;
    Optimizer twin;
    Model<Scalar> model;
    Averages averages;
    Values<Scalar> trained;
    std::uint64_t times_set;
  };

  Plan plan_;
  Object object_;
  Optimizer twin_;
  Model<Scalar> model_;
  Averages averages_;
  std::optional<Snapshot> snapshot_;
  std::uint64_t times_set_ = 0;
  // With averages and without: the same, but while one is swapped in. A guard asks those with where they are.
  std::unique_ptr<Values<Scalar>> weights_;
  Values<Scalar> trained_;
  std::optional<SwapGuard<Scalar>> guard_;
};

/// An average that is shown weights by hand.
template <class Averager, class Scalar>
class Alone : public Subject {
 public:
  explicit Alone(Input& input) : Alone(input, make(Tag<Averager>{}, input)) {}

  [[nodiscard]] std::unique_ptr<Subject> copy() const override { return std::make_unique<Alone>(*this); }
  [[nodiscard]] std::unique_ptr<Subject> move_and_copy_back() override {
    auto moved = std::make_unique<Alone>(std::move(*this));
    *this = *moved;
    return moved;
  }
  void assign(const Subject& subject) override {
    if (const auto* const other = dynamic_cast<const Alone*>(&subject)) *this = *other;
  }

  void act(Input& input) override {
    switch (input.below(12)) {
      case 0:
        start(input);
        break;
      case 1:
        object_.reset();
        model_.reset();
        break;
      case 2:
        check_reading(object_, last_);
        break;
      case 3:
        update(input, Fault::throws);
        break;
      case 4:
        show_other_size(input);
        break;
      case 5:
        saved_ = Saved{saved(object_), model_, last_};
        break;
      case 6:
        load_saved();
        break;
      case 7:
        load_into_other(input);
        break;
      case 8:
        load_damaged(input);
        break;
      default:
        update(input, Fault::none);
    }
    require_as_modelled(object_, model_, last_.shape());
    require(object_.in_use() == (model_.steps() > 0 || model_.has_average()), "an average is in use once it was used");
  }

 private:
  Alone(Input& input, std::pair<Averager, Averaging> made)
      : object_(std::move(made.first)), model_(made.second), last_(values_from<Scalar>(input, shape_from(input))) {}

  void start(Input& input) {
    if constexpr (requires { object_.start_from(std::vector<Scalar>()); }) {
      auto weights = values_from<Scalar>(input, last_.shape());
      const serialize::Bytes before = saved(object_);
      const Result outcome = attempt([&] {
        weights.visit([&](const auto& w) { object_.start_from(w); });
        return true;
      });
      if (model_.count() > 0) {
        require(outcome == Result::bad_order && saved(object_) == before, "a start comes before the first fold");
      } else {
        require(outcome == Result::taken, "a start may be given");
        model_.start_from(wide(weights));
      }
    }
  }

  void update(Input& input, Fault what) {
    auto weights = values_from<Scalar>(input, last_.shape());
    const bool fresh = !model_.has_average();
    const bool lacks_start = fresh && model_.needs_start();
    const bool is_before_first = fresh && model_.due(2) && !model_.due();
    const bool asks = model_.scheduled() && (model_.due() || is_before_first);
    const serialize::Bytes before = saved(object_);
    fault = what;
    const Result outcome = attempt([&] {
      weights.visit([&](const auto& w) { object_.update(w); });
      return true;
    });
    fault = Fault::none;
    if (asks && what == Fault::throws) {
      require(outcome == Result::injected, "a schedule that fails fails the update");
    } else if (lacks_start && model_.due()) {
      require(outcome == Result::bad_order, "an average that needs a start asks for one");
    } else {
      require(outcome == Result::taken, "an update is taken");
      if (lacks_start && is_before_first) model_.start_from(wide(weights));
      model_.fold(wide(last_), wide(weights));
      last_ = weights;
      return;
    }
    require(saved(object_) == before, "an update that is refused changes nothing");
  }

  void show_other_size(Input& input) {
    if (!model_.has_average()) return;
    auto weights = values_from<Scalar>(input, other_than(last_.shape()));
    const serialize::Bytes before = saved(object_);
    require_refusal(Result::bad_argument, "weights keep their size",
                    [&] { weights.visit([&](const auto& w) { object_.update(w); }); });
    require(saved(object_) == before, "an update that is refused changes nothing");
  }

  void load_saved() {
    if (!saved_) return;
    require(load(object_, saved_->bytes) == Result::taken, "what was saved is loaded");
    require(saved(object_) == saved_->bytes, "what was loaded is what was saved");
    model_ = saved_->model;
    last_ = saved_->last;
  }

  void load_into_other(Input& input) {
    Averager other = make(Tag<Averager>{}, input).first;
    const serialize::Bytes before = saved(other), bytes = saved(object_);
    const Result outcome = load(other, bytes);
    require(outcome == Result::taken || outcome == Result::bad_argument, "other options are refused");
    require(saved(other) == (outcome == Result::taken ? bytes : before), "all is loaded, or nothing");
  }

  void load_damaged(Input& input) {
    Averager other = object_;
    const serialize::Bytes before = saved(other);
    const Result outcome = load(other, damaged(input, before));
    require(outcome == Result::taken || outcome == Result::bad_argument || outcome == Result::truncated,
            "damage is refused, or not seen");
    require(outcome == Result::taken || saved(other) == before, "all is loaded, or nothing");
    auto weights = values_from<Scalar>(input, last_.shape());
    for (int t = 0; t < 3; ++t) {
      const Result update = attempt([&] {
        weights.visit([&](const auto& w) { other.update(w); });
        return true;
      });
      require(update == Result::taken || update == Result::bad_argument || update == Result::bad_order,
              "what is left can be used, or says what does not fit");
    }
  }

  using Modelled = fuzz::ModelAverage<typename Averager::shadow_type>;
  struct Saved {
    serialize::Bytes bytes;
    Modelled model;
    Values<Scalar> last;
  };

  Averager object_;
  Modelled model_;
  Values<Scalar> last_;  // the weights of the latest update
  std::optional<Saved> saved_;
};

using Construct = std::unique_ptr<Subject> (*)(Input&);
template <class T>
std::unique_ptr<Subject> construct(Input& input) {
  return std::make_unique<T>(input);
}
constexpr Construct kinds[] = {
    construct<Trainer<Sgd<double>, Ema<>>>,
    construct<Trainer<Adam<float>, Swa<>, Ema<float>>>,
    construct<Trainer<SkipNonFinite<ClipValue<Sgd<float>>>, TailAverage<>, Lawa<>>>,
    construct<Trainer<Accumulate<ClipNorm<Sgd<double>>>, AnytimeTailAverage<>, Ema<>>>,
    construct<Trainer<Lookahead<AdamW<double>>, PolynomialAverage<>>>,
    construct<Trainer<Opaque<double>, Lawa<float>, PowerEma<>>>,
    construct<Alone<Ema<>, double>>,
    construct<Alone<Lawa<>, float>>,
    construct<Alone<AnytimeTailAverage<float>, double>>,
    construct<Trainer<Accumulate<Averaged<Sgd<float>, TailAverage<>>>, PolynomialAverage<float>>>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t longest = 1024;
  Input input({data, std::min(size, longest)});
  std::array<std::unique_ptr<Subject>, 3> pool;
  while (!input.empty()) {
    const std::uint8_t what = input.byte();
    auto& subject = pool[what % 3];
    auto& other = pool[what / 3 % 3];
    const std::size_t operation = what / 9;
    if (!subject || operation == 0) {
      subject = input.one_of(kinds)(input);
    } else if (operation == 1) {
      other = subject->copy();
    } else if (operation == 2) {
      auto moved = subject->move_and_copy_back();
      if (&other != &subject) other = std::move(subject);
      subject = std::move(moved);
    } else if (operation == 3 && other) {
      subject->assign(*other);
    } else {
      subject->act(input);
    }
  }
  return 0;
}
