#include <polyak/polyak.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
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
void run_averaged(const std::string& name, const Optimizer& optimizer) {
  run<double>(name, optimizer);
  run<double>(name + " with averages",
              Averaged{optimizer, Ema{{.decay = 0.5}}, Ema{{.decay = 0.75, .bias_correction = false}},
                       Swa{{.start = 2, .period = 2}}});
}

template <class Averager>
void run_averager(std::string_view name, const Averager& averager) {
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

template <class Scalar>
void run_scalar(std::string_view name) {
  run<Scalar>(name, Averaged{Sgd<Scalar>{{.learning_rate = 0.125, .momentum = 0.5}}, Ema<wide_t<Scalar>>{}});
  run<Scalar>(name, Averaged{AdamW<Scalar>{}, Ema<Scalar>{}});
}

#if defined(_OPENMP) && (!defined(POLYAK_USE_OPENMP) || POLYAK_USE_OPENMP)

/// Notes which threads moved what; Concurrent, or not.
template <bool IsConcurrent>
class Witness {
 public:
  using scalar_type = double;
  struct Update {
    static constexpr bool concurrent = IsConcurrent;
    Witness* witness;
    void operator()(const Slice<double>& slice) const noexcept {
      const int thread = omp_get_thread_num();
#pragma omp critical
      witness->threads.insert(thread);
      for (double& x : slice.params) x = 1 / x;
    }
    static bool taken() noexcept { return true; }
    static void commit() noexcept {}
  };
  Update begin_step(const StepView<double>&) { return {this}; }

  std::set<int> threads;
};

template <bool IsConcurrent>
std::size_t threads_of_step(std::size_t n, double value) {
  Witness<IsConcurrent> witness;
  std::vector<double> weights(n, value);
  detail::step_in_slices(witness, weights, weights, "Witness");
  return witness.threads.size();
}

bool check(bool holds, std::string_view what) {
  if (!holds) std::cerr << "wrong: " << what << " with " << omp_get_max_threads() << " threads\n";
  return holds;
}

/// That there are as many threads as there should be.
bool check_threads() {
  const auto most = static_cast<std::size_t>(omp_get_max_threads());
  const std::size_t large = 16 * detail::grain;
  bool good = check(threads_of_step<true>(large, 1) == most, "a large step is taken by all threads");
  good = check(threads_of_step<true>(2 * detail::grain - 1, 1) == 1, "a small step is taken by one thread") && good;
  good = check(threads_of_step<false>(large, 1) == 1, "an update must say that it is concurrent") && good;
  bool alone = true;
#pragma omp parallel reduction(&& : alone)
  alone = omp_get_num_threads() == 1 || threads_of_step<true>(large, 1) == 1;
  good = check(alone, "inside a team a step is taken by one thread") && good;

  // Modes of the calling thread hold in all, and what is raised in any is told.
  const auto sum_rounded = [&](int mode) {
    std::fesetround(mode);
    std::vector<double> weights(large, 3);
    Witness<true> witness;
    detail::step_in_slices(witness, weights, weights, "Witness");
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
  Witness<true> witness;
  std::feclearexcept(FE_ALL_EXCEPT);
  detail::step_in_slices(witness, weights, weights, "Witness");
  good = check(std::fetestexcept(FE_DIVBYZERO) != 0, "floating-point exceptions are told") && good;
  return good;
}

#else

bool check_threads() { return true; }

#endif

}  // namespace

int main() {
  parts::for_each_optimizer<double>([](const char* name, const auto& optimizer) { run_averaged(name, optimizer); });
  // The first variant folds every step.
  parts::for_each(parts::averagers, [](auto row) {
    run_averager(row.name, typename decltype(row)::template type<default_shadow>(row.variants()[0]));
  });
  run<double>("large", Averaged{AdamW{}, Ema{{.decay = 0.5}}, Lawa{{.window = 2}}}, large_layouts);
  run<float>("large", Sgd<float>{{.learning_rate = 0.125, .momentum = 0.5}}, large_layouts);
  run_wrapped("Sgd", Sgd{{.learning_rate = 0.125, .momentum = 0.5}});
  run_wrapped("AdamW", AdamW{});
  run_scalar<float>("float");
  run_scalar<long double>("long double");
  run_scalar<Eigen::half>("half");
  run_scalar<Eigen::bfloat16>("bfloat16");
  return check_threads() ? 0 : 1;
}
