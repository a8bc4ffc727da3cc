#pragma once

#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "parts/options.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

#ifndef POLYAK_TEST_SCALARS
#define POLYAK_TEST_SCALARS float, Eigen::half
#endif

/// What the cases are made of: numbers that are the same everywhere, runs of steps, and a hash of all that can be read
/// on the way. Of polyak they use public names alone, so that what is behind them can be rebuilt.

namespace bits {

template <class Scalar>
using Blocks = std::vector<std::vector<Scalar>>;

/// FNV-1a over words.
class Hash {
 public:
  void add(std::uint64_t word) { value_ = std::rotl((value_ ^ word) * 0x100'0000'01B3, 29); }
  /// The value without the padding of a long double. Every NaN counts as the same: its sign is up to the compiler.
  template <polyak::FloatingPoint T>
  void add(T x) {
    if (x != x) x = std::numeric_limits<T>::quiet_NaN();
    std::array<std::uint64_t, 2> words{};
    std::memcpy(words.data(), &x, std::min<std::size_t>(sizeof x, 10));
    for (const std::uint64_t word : words) add(word);
  }
  template <class Array>
  void add_all(const Array& array) {
    for (const auto& x : std::span(array.data(), static_cast<std::size_t>(array.size()))) add(x);
  }
  template <class T>
  void add_all(const Blocks<T>& blocks) {
    for (const auto& block : blocks) add_all(block);
  }
  void add_text(const std::string& text) {
    for (const char c : text) add(static_cast<std::uint64_t>(c));
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF2'9CE4'8422'2325;
};

/// Numbers in [−1, 1) that a scalar holds exactly: the high bits of a linear congruential generator.
class Numbers {
 public:
  std::uint32_t bits(int count) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> (64 - count));
  }
  template <class Scalar>
  Scalar next(float scale = 1) {
    const int count = sizeof(Scalar) == 2 ? 8 : 24;  // as many as bfloat16 and float have
    const int half = 1 << (count - 1);
    const int integer = static_cast<int>(bits(count)) - half;
    return static_cast<Scalar>(static_cast<float>(integer) / static_cast<float>(half) * scale);
  }
  template <class Scalar>
  void fill(Blocks<Scalar>& blocks, float scale = 1) {
    for (auto& block : blocks) {
      for (Scalar& x : block) x = next<Scalar>(scale);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

template <class Part>
inline constexpr std::size_t averagers_of = 0;
template <class Optimizer, class... Averagers>
inline constexpr std::size_t averagers_of<polyak::Averaged<Optimizer, Averagers...>> = sizeof...(Averagers);

/// Adds all that can be read from a part and from the parts inside.
template <class Part>
void describe(Hash& hash, const Part& part) {
  if constexpr (requires { part.steps(); }) hash.add(part.steps());
  if constexpr (requires { part.count(); }) hash.add(part.count());
  if constexpr (requires { part.effective_sample_size(); }) hash.add(part.effective_sample_size());
  if constexpr (requires { part.mean_age(); }) hash.add(part.mean_age());
  if constexpr (requires { part.start_mass(); }) hash.add(part.start_mass());
  // Of sparse models there were hashes before they counted rows, and here they leave out none.
  constexpr bool counts = requires { part.skipped(); } && !requires { part.intercept(); };
  if constexpr (counts) hash.add(part.skipped());
  if constexpr (requires { part.pending(); }) hash.add(part.pending());
  if constexpr (requires { part.norm(); }) hash.add(part.norm());
  if constexpr (requires { part.clipped(); }) hash.add(part.clipped());
  if constexpr (requires { part.sweeps(); }) hash.add(part.sweeps());
  if constexpr (requires { part.optimizer(); }) describe(hash, part.optimizer());
  if constexpr (averagers_of<Part> > 0) {
    [&]<std::size_t... Is>(std::index_sequence<Is...>) {
      (describe(hash, part.template averager<Is>()), ...);
    }(std::make_index_sequence<averagers_of<Part>>());
  } else if constexpr (requires { part.average(); }) {
    if (part.has_average()) hash.add_all(part.average());
  }
}

template <class Part>
void save_and_load(Part& part, const Part& fresh) {
  Part loaded = fresh;
  serialize::load(serialize::save(part), loaded);
  part = std::move(loaded);
}

template <class Part>
auto& outermost_averaged(Part& part) {
  if constexpr (averagers_of<Part> > 0) {
    return part;
  } else {
    return outermost_averaged(part.optimizer());
  }
}

/// A part that is trained, with its type forgotten, so that a run is compiled once for a scalar.
template <class Scalar>
struct Trainee {
  virtual ~Trainee() = default;
  virtual bool step(Blocks<Scalar>& weights, const Blocks<Scalar>& gradient) = 0;
  virtual void describe_to(Hash& hash) const = 0;
  /// Saves and loads the part, and swaps its average in.
  virtual void detour(Blocks<Scalar>&, const Blocks<Scalar>&, Hash&) {}
};

/// To an averager alone the gradients are the iterates.
template <class Scalar, class Part>
struct Plain : Trainee<Scalar> {
  explicit Plain(const Part& which) : part(which), fresh(which) {}

  bool step(Blocks<Scalar>& weights, const Blocks<Scalar>& gradient) override {
    if constexpr (requires { part.step(weights, gradient); }) {
      return part.step(weights, gradient);
    } else {
      part.update(gradient);
      return true;
    }
  }
  void describe_to(Hash& hash) const override { describe(hash, part); }

  Part part, fresh;
};

/// One that makes detours, and is given a single block without a set. It takes longer to compile.
template <class Scalar, class Part>
struct Thorough : Plain<Scalar, Part> {
  using Plain<Scalar, Part>::Plain;

  bool step(Blocks<Scalar>& weights, const Blocks<Scalar>& gradient) override {
    if (weights.size() == 1) return this->part.step(weights[0], gradient[0]);
    return Plain<Scalar, Part>::step(weights, gradient);
  }
  void detour(Blocks<Scalar>& weights, const Blocks<Scalar>& gradient, Hash& hash) override {
    save_and_load(this->part, this->fresh);
    auto& averaged = outermost_averaged(this->part);
    if (!averaged.template has_average<0>()) return;
    std::vector<double> copy(static_cast<std::size_t>(averaged.template average<0>().size()));
    averaged.template copy_average_to<0>(copy);
    hash.add_all(copy);
    const auto guard = averaged.template swap_in<0>(weights);
    hash.add_all(weights);
    hash.add_text(support::error_of([&] { step(weights, gradient); }));
  }
};

/// What happens in a run.
struct Course {
  std::vector<std::size_t> sizes = {0, 1,    15,   33,
                                    0, 1023, 1025, 4097};  ///< of blocks: about ends of packets and slices
  int steps = 8;
  int spoilt_every = 0;  ///< steps from one gradient with a number that is infinite, huge or NaN to the next
  int detour_every = 0;
};

template <class Scalar>
Hash run(Trainee<Scalar>& trainee, const Course& course) {
  using Limits = std::numeric_limits<Scalar>;
  const std::array spoilers{Limits::infinity(), Limits::max(), Limits::lowest(), Limits::quiet_NaN()};
  const std::array scales{1.0f, 0.125f, 0x1p-6f};  // so that some norms are clipped and some are not
  const auto every = [](int period, int t) { return period > 0 && t % period == 0; };
  Hash hash;
  Numbers numbers;
  Blocks<Scalar> weights;
  for (const std::size_t n : course.sizes) weights.emplace_back(n);
  Blocks<Scalar> gradient = weights;
  numbers.fill(weights);
  for (int t = 1; t <= course.steps; ++t) {
    numbers.fill(gradient, scales[static_cast<std::size_t>(t) % scales.size()]);
    if (every(course.spoilt_every, t + 1)) {
      auto& last = gradient.back();
      last[last.size() / 2] = spoilers[static_cast<std::size_t>(t / course.spoilt_every) % spoilers.size()];
    }
    bool taken = false;
    hash.add_text(support::error_of([&] { taken = trainee.step(weights, gradient); }));
    hash.add(std::uint64_t{taken});
    hash.add_all(weights);
    trainee.describe_to(hash);
    if (every(course.detour_every, t)) trainee.detour(weights, gradient, hash);
    if (every(course.spoilt_every, t)) numbers.fill(weights);  // once a step has begun with what was spoilt
  }
  return hash;
}

/// "<scalar>,<case>" and the hash of each.
class Report : public std::vector<std::pair<std::string, std::uint64_t>> {
 public:
  template <class Scalar>
  void add_hash(const std::string& name, const Hash& hash) {
    const char* scalar = std::is_same_v<Scalar, float>         ? "float,"
                         : std::is_same_v<Scalar, double>      ? "double,"
                         : std::is_same_v<Scalar, long double> ? "long double,"
                         : std::is_same_v<Scalar, Eigen::half> ? "half,"
                                                               : "bfloat16,";
    emplace_back(scalar + name, hash.value());
  }
  template <class Scalar, template <class, class> class Kind = Plain, class Part>
  void add(const std::string& name, const Part& part, const Course& course = {}) {
    Kind<Scalar, Part> trainee(part);
    add_hash<Scalar>(name, run<Scalar>(trainee, course));
  }
};

/// Calls f(row, "<part> <number>", options) with every variant of every row of a list of parts.
template <class Rows, class F>
void for_each_variant(const Rows& rows, const F& f) {
  polyak::parts::for_each(rows, [&](auto row) {
    int i = 0;
    for (const auto& options : row.variants()) f(row, std::string(row.name) + " " + std::to_string(i++), options);
  });
}

template <class F>
void for_each_scalar(const F& f) {
  polyak::parts::for_each(std::tuple<POLYAK_TEST_SCALARS>(), f);
}

/// An optimizer that takes its steps whole: the library knows no more of it.
template <class Scalar>
struct Whole {
  using scalar_type = Scalar;
  polyak::Sgd<Scalar> sgd{{.learning_rate = 0.125, .momentum = 0.5}};

  bool step(auto& params, const auto& gradient) { return sgd.step(params, gradient); }
  void serialize(auto& archive, unsigned int) { sgd.serialize(archive, 0); }
};

void add_optimizers(Report& report);
void add_averagers(Report& report);
void add_wrappers(Report& report);
void add_nestings(Report& report);
void add_sparse(Report& report);

}  // namespace bits
