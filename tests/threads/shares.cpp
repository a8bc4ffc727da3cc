#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// Steps shared by threads of the standard library as OpenMP's would share them, which ThreadSanitizer understands,
// where it does not know the locks of OpenMP. Built and run once more under it. So these take the place of what the
// library has for a compiler without OpenMP; all that includes it comes after.

#define in_parts in_parts_by_one
#define one_at_a_time one_alone
#include <polyak/detail/parallel.hpp>
#undef in_parts
#undef one_at_a_time

namespace polyak::detail {

inline std::size_t number_of_threads = 1;

template <FloatingPoint Scalar, class ForEachBlock, class Body>
void in_parts(std::size_t size, const ForEachBlock& for_each_block, const Body& body) noexcept {
  const auto take = [&](Share share) {
    for_each_block([&](const auto& block) {
      const Part part = part_of<Scalar>(share, size, block.offset, block.params.size());
      if (part.from < part.to) body(block.sub(part.from, part.to - part.from));
    });
  };
  if (number_of_threads == 1) return take({});
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < number_of_threads; ++i) threads.emplace_back(take, Share{i, number_of_threads});
}

template <class F>
void one_at_a_time(const F& f) noexcept {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  f();
}

}  // namespace polyak::detail

#include <polyak/polyak.hpp>

#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"

namespace {

using namespace polyak;

std::vector<std::vector<double>> numbers(const std::vector<std::size_t>& sizes, std::uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<std::vector<double>> set;
  for (const std::size_t n : sizes) {
    for (double& each : set.emplace_back(n)) each = static_cast<double>(engine()) * 0x1p-31 - 1;
  }
  return set;
}

bool same_bits(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].empty() && std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(double)) != 0) return false;
  }
  return true;
}

/// What a step by so many threads says.
template <class Optimizer>
std::string step_by(std::size_t threads, Optimizer& optimizer, std::vector<std::vector<double>>& params,
                    const std::vector<std::vector<double>>& gradient) {
  detail::number_of_threads = threads;
  try {
    const bool taken = optimizer.step(params, gradient);
    detail::number_of_threads = 1;
    return taken ? "taken" : "not taken";
  } catch (const std::runtime_error& error) {
    detail::number_of_threads = 1;
    return error.what();
  }
}

/// Whether steps by 1, 2, 3, 4 and 7 threads are the same to the last bit as steps.
template <class Optimizer>
bool check(std::string_view name, const Optimizer& fresh) {
  const std::vector<std::size_t> sizes{0, 5000, 1, 513, 0, 9000, 64};
  bool good = true;
  for (const std::size_t count : std::array<std::size_t, 5>{1, 2, 3, 4, 7}) {
    Optimizer plain = fresh, shared = fresh;
    auto theta = numbers(sizes, 1);
    auto twin = theta;
    const auto gradient = numbers(sizes, 2);
    for (int t = 0; t < 5; ++t) {
      good = good && step_by(1, plain, theta, gradient) == step_by(count, shared, twin, gradient);
      good = good && same_bits(theta, twin);
    }
    if constexpr (requires { plain.template average<0>(); }) {
      good = good && plain.template average<0>() == shared.template average<0>();
      good = good && plain.template average<1>() == shared.template average<1>();
    }
  }
  if (!good) std::cerr << name << ": threads change the result\n";
  return good;
}

template <class Optimizer>
bool check_averaged(std::string_view name, const Optimizer& optimizer) {
  const Averaged averaged{optimizer, Ema{{.decay = 0.75, .bias_correction = false}}, Lawa{{.window = 2}}};
  return check(name, optimizer) && check(name, averaged);
}

/// Folds that look at all weights first, averages that wait for them, and what they say of several bad numbers.
bool check_guarded() {
  const Sgd sgd{{.learning_rate = 0.5}};
  const Guarded<Ema<>> skips{Ema{{.decay = 0.5}}};
  const Guarded<Ema<>> raises{Ema{{.decay = 0.5}}, {.non_finite = NonFinite::raise}};
  const auto spoil = [](std::vector<std::vector<double>>& theta) {
    for (const std::size_t at : {8999u, 4000u, 4001u}) theta[5][at] = -std::numeric_limits<double>::infinity();
  };
  const Averaged inside{Lookahead{Averaged{sgd, skips, TailAverage{}}, {.every = 2}}, raises, Lawa{{.window = 2}}};
  bool good = check("guarded", Averaged{sgd, skips, raises}) && check("guarded inside and out", inside);
  const std::vector<std::size_t> sizes{0, 5000, 1, 513, 0, 9000, 64};
  for (const std::size_t count : {1u, 2u, 7u}) {
    auto opt = inside;
    auto theta = numbers(sizes, 1);
    const auto gradient = numbers(sizes, 2);
    good = good && step_by(count, opt, theta, gradient) == "taken";
    spoil(theta);
    good = good && step_by(count, opt, theta, gradient) ==
                       "polyak::Ema: weights must be finite to be averaged, got -inf in coordinate 4000 of block 5 at "
                       "step 2";
    good = good && opt.optimizer().optimizer().averager<0>().skipped() == 1 && opt.averager<0>().skipped() == 1;
  }
  if (!good) std::cerr << "a guard is changed by threads\n";
  return good;
}

}  // namespace

int main() {
  bool good = check_guarded();
  const auto check_each = [&good](std::string_view name, const auto& optimizer) {
    good = check_averaged(name, optimizer) && good;
  };
  parts::for_each_optimizer<double>(check_each);
  parts::for_each_wrapper(AdamW{}, check_each);
  check_each("wrapped", Accumulate{Lookahead{ClipNorm{ClipValue{SkipNonFinite{AdamW{}}}}, {.every = 2}}});
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
