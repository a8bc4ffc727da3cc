#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"

#if defined(_OPENMP) && (!defined(POLYAK_USE_OPENMP) || POLYAK_USE_OPENMP)
#include <omp.h>

#include <cfenv>
#include <set>
#include <span>
#endif

// Prints a hash of weights and averages after some steps, a line a case. step_hashes.cmake compares what it prints when
// built without OpenMP with what it prints when built with it, for several numbers of threads.

namespace {

using namespace polyak;

/// FNV-1a over words of the coordinates, without the padding of a long double.
class Hash {
 public:
  template <ReadableParameters P>
  void add(const P& params) {
    detail::for_each_block(params, "Hash", [this](std::size_t, auto block) {
      for (const auto& x : block) {
        std::array<std::uint64_t, 2> words{};
        std::memcpy(words.data(), &x, std::min<std::size_t>(sizeof x, 10));
        for (const std::uint64_t word : words) value_ = std::rotl((value_ ^ word) * 0x100'0000'01B3, 29);
      }
    });
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF2'9CE4'8422'2325;
};

template <class Scalar>
std::vector<Scalar> numbers(std::size_t n, std::uint32_t seed) {
  std::vector<Scalar> result(n);
  for (Scalar& each : result) {
    seed = seed * 1'664'525 + 1'013'904'223;
    each = static_cast<Scalar>(static_cast<float>(seed) * 0x1p-31f - 1);
  }
  return result;
}

/// The averages of an optimizer, which may stand under wrappers, or may not be there.
template <class Optimizer>
void add_averages(Hash& hash, const Optimizer& optimizer) {
  if constexpr (requires { optimizer.optimizer(); }) add_averages(hash, optimizer.optimizer());
}
template <class Optimizer, class... Averagers>
void add_averages(Hash& hash, const Averaged<Optimizer, Averagers...>& optimizer) {
  add_averages(hash, optimizer.optimizer());
  [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    ((optimizer.template has_average<Is>() ? hash.add(optimizer.template average<Is>()) : void()), ...);
  }(std::index_sequence_for<Averagers...>());
}

using Sizes = std::vector<std::size_t>;

// Past 2^18, from where two threads share; and, for a few cases, what seven share.
const std::vector<Sizes> layouts{{1}, {(1 << 18) + 1}, {0, 1, 262'143, 0, 511, 513, 5, 0}};
const std::vector<Sizes> large_layouts{{917'509}, {100'003, 3, 100'019, 64, 0, 800'001, 7, 1025}};

/// Prints a line, "<name>, <blocks>: <hash>".
template <class Scalar, class Optimizer>
void run(std::string_view name, const Optimizer& fresh, const std::vector<Sizes>& all = layouts) {
  for (const Sizes& sizes : all) {
    Optimizer optimizer = fresh;
    std::vector<std::vector<Scalar>> weights, gradient;
    for (const std::size_t n : sizes) {
      weights.push_back(numbers<Scalar>(n, 1));
      gradient.push_back(numbers<Scalar>(n, 2));
    }
    Hash hash;
    for (int t = 0; t < 4; ++t) {
      if (sizes.size() == 1) {
        optimizer.step(weights[0], gradient[0]);
      } else {
        optimizer.step(weights, gradient);
      }
      for (auto& block : gradient) {
        if (!block.empty()) std::swap(block.front(), block.back());
      }
    }
    hash.add(weights);
    add_averages(hash, optimizer);
    std::cout << name << ", " << sizes.size() << " blocks from " << sizes[0] << ": " << std::hex << hash.value()
              << std::dec << '\n';
  }
}

template <class Optimizer>
[[maybe_unused]] void run_averaged(const std::string& name, const Optimizer& optimizer) {
  run<double>(name, optimizer);
  run<double>(name + " with averages",
              Averaged{optimizer, Ema{{.decay = 0.5}}, Ema{{.decay = 0.75, .bias_correction = false}},
                       Swa{{.start = 2, .period = 2}}});
}

template <class Averager>
[[maybe_unused]] void run_averager(std::string_view name, const Averager& averager) {
  run<double>(name, Averaged{Sgd{{.learning_rate = 0.125}}, averager});
  // An optimizer that steps whole, an averager alone, and a copy of it.
  const auto whole = [](auto& params, const auto& grad) { Sgd<>{{.learning_rate = 0.125}}.step(params, grad); };
  run<double>(std::string(name) + ", step whole", Averaged{whole, averager});
  for (const Sizes& sizes : layouts) {
    Averager alone = averager;
    std::vector<std::vector<double>> weights;
    for (const std::size_t n : sizes) weights.push_back(numbers<double>(n, 1));
    alone.update(weights);
    for (auto& block : weights) {
      for (double& x : block) x = 1 - x;
    }
    alone.update(weights);
    Hash hash;
    hash.add(alone.average());
    std::vector<std::vector<float>> copy;
    for (const std::size_t n : sizes) copy.emplace_back(n);
    alone.copy_average_to(copy);
    hash.add(copy);
    std::cout << name << ", alone, from " << sizes[0] << ": " << std::hex << hash.value() << std::dec << '\n';
  }
}

template <class Optimizer>
void run_wrapped(const std::string& name, const Optimizer& optimizer) {
  parts::for_each_wrapper(
      Averaged{optimizer, Ema{{.decay = 0.5}}, Lawa{{.window = 2}}},
      [&](const std::string& wrapper, const auto& wrapped) { run<double>(wrapper + " around " + name, wrapped); });
  run<double>("Averaged, Accumulate, ClipNorm and Lookahead around " + name,
              Averaged{Accumulate{ClipNorm{Lookahead{optimizer, {.every = 2}}}}, TailAverage{}});
}

/// Folds that look at all weights first, averages that wait for them, and which number they name of several bad ones.
void run_guarded() {
  const Sgd sgd{{.learning_rate = 0.125}};
  const Ema ema{{.decay = 0.5}};
  run_averager("Guarded Ema", Guarded{ema});
  run<double>("Averaged around Lookahead around guarded averages",
              Averaged{Lookahead{Averaged{sgd, Guarded{ema}, Guarded{Lawa{{.window = 2}}}, ema}, {.every = 2}},
                       Guarded{TailAverage{}}, ema},
              large_layouts);
  std::vector<double> weights = numbers<double>(917'509, 1);
  const std::vector<double> gradient = numbers<double>(917'509, 2);
  Averaged raises{sgd, Guarded{ema, {.non_finite = NonFinite::raise}}};
  raises.step(weights, gradient);
  for (const std::size_t bad : {900'001, 300'007, 300'006, 600'000}) weights[bad] = 1 / weights[bad] * 1e308 * 1e308;
  try {
    raises.step(weights, gradient);
    std::cout << "nothing was raised\n";
  } catch (const std::runtime_error& error) {
    std::cout << error.what() << '\n';
  }
}

template <class Scalar>
void run_scalar(std::string_view name) {
  run<Scalar>(name, Averaged{Sgd<Scalar>{{.learning_rate = 0.125, .momentum = 0.5}}, Ema<wide_t<Scalar>>{}});
  run<Scalar>(name, Averaged{AdamW<Scalar>{}, Ema<Scalar>{}});
}

#if defined(_OPENMP) && (!defined(POLYAK_USE_OPENMP) || POLYAK_USE_OPENMP)

/// Which threads came by.
class Threads {
 public:
  void note() noexcept {
    const int thread = omp_get_thread_num();
#pragma omp critical
    seen_.insert(thread);
  }
  [[nodiscard]] std::size_t count() const { return seen_.size(); }

 private:
  std::set<int> seen_;
};

/// A layer that notes which threads moved what.
class Witness : public OptimizerLayer<Witness> {
 public:
  using scalar_type = double;
  static constexpr std::string_view name = "Witness";

  template <class Step, class... Folds>
  Outcome advance(const Step& step, const Folds&... folds) {
    const auto with_kernel = [this](const auto& slice, const auto& f) {
      threads.note();
      f([weights = slice.params.data()](std::size_t i) noexcept { return weights[i] = 1 / weights[i]; });
    };
    return move_and_fold(step, with_kernel, folds...);
  }

  Threads threads;
};

/// An average of nothing that notes which threads folded what.
class WitnessAverage {
 public:
  struct Fold {
    Threads* threads;
    void before(std::size_t, std::span<const double>) const noexcept {}
    void after(std::size_t, std::span<const double>) const noexcept { threads->note(); }
    void commit(Outcome&) const noexcept {}
  };
  Fold begin_fold(const Layout&) { return {&threads}; }
  [[nodiscard]] bool has_average() const { return true; }
  [[nodiscard]] double average() const { return 0; }

  Threads threads;
};

std::size_t threads_of_step(std::size_t n) {
  Witness witness;
  std::vector<double> weights(n, 1);
  witness.step(weights, weights);
  return witness.threads.count();
}

bool check(bool holds, std::string_view what) {
  if (!holds) std::cerr << "wrong: " << what << " with " << omp_get_max_threads() << " threads\n";
  return holds;
}

/// That there are as many threads as there should be.
bool check_threads() {
  const auto most = static_cast<std::size_t>(omp_get_max_threads());
  const std::size_t large = 16 * detail::grain;
  bool good = check(threads_of_step(large) == most, "a large step is taken by all threads");
  good = check(threads_of_step(2 * detail::grain - 1) == 1, "a small step is taken by one thread") && good;
  bool alone = true;
#pragma omp parallel reduction(&& : alone)
  alone = omp_get_num_threads() == 1 || threads_of_step(large) == 1;
  good = check(alone, "inside a team a step is taken by one thread") && good;

  // A guard has all weights looked at before it folds, and what is around it wait: both by all threads.
  const auto weights_and_step = [&](auto opt) {
    std::vector<double> weights(large, 1);
    for (int t = 0; t < 2; ++t) opt.step(weights, weights);
    return opt;
  };
  const auto guarded = weights_and_step(Averaged{Witness(), Guarded{Ema{}}, WitnessAverage()});
  good = check(guarded.optimizer().threads.count() == most && guarded.averager<1>().threads.count() == most,
               "a step with a guarded average is taken by all threads") &&
         good;
  const auto around = weights_and_step(Averaged{Averaged{Witness(), Guarded{Ema{}}}, WitnessAverage()});
  good = check(around.averager().threads.count() == most, "what waits for a guard is folded by all threads") && good;

  // Modes of the calling thread hold in all, and what is raised in any is told.
  const auto sum_rounded = [&](int mode) {
    std::fesetround(mode);
    std::vector<double> weights(large, 3);
    Witness().step(weights, weights);
    std::fesetround(FE_TONEAREST);
    bool same = true;
    for (const double x : weights) same = same && x == weights[0];
    return same ? weights[0] : 0;
  };
  good = check(sum_rounded(FE_UPWARD) > sum_rounded(FE_DOWNWARD) && sum_rounded(FE_DOWNWARD) > 0,
               "threads round as the calling one") &&
         good;
  std::vector<double> weights(large, 1);
  weights.back() = 0;
  std::feclearexcept(FE_ALL_EXCEPT);
  Witness().step(weights, weights);
  good = check(std::fetestexcept(FE_DIVBYZERO) != 0, "floating-point exceptions are told") && good;
  return good;
}

#else

bool check_threads() { return true; }

#endif

}  // namespace

int main() {
#if defined(POLYAK_TEST_ALL)
  parts::for_each_optimizer<double>([](const char* name, const auto& optimizer) { run_averaged(name, optimizer); });
  // The first variant folds every step.
  parts::for_each(parts::averagers, [](auto row) {
    run_averager(row.name, typename decltype(row)::template type<default_shadow>(row.variants()[0]));
  });
  run_wrapped("AdamW", AdamW{});
  run_scalar<long double>("long double");
  run_scalar<Eigen::bfloat16>("bfloat16");
#endif
  run<double>("large", Averaged{AdamW{}, Ema{{.decay = 0.5}}, Lawa{{.window = 2}}}, large_layouts);
  run<float>("large", Sgd<float>{{.learning_rate = 0.125, .momentum = 0.5}}, large_layouts);
  run_wrapped("Sgd", Sgd{{.learning_rate = 0.125, .momentum = 0.5}});
  run_guarded();
  run_scalar<float>("float");
  run_scalar<Eigen::half>("half");
  return check_threads() ? 0 : 1;
}
