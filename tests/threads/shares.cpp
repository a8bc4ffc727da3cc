#include <polyak/polyak.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "parts/optimizers.hpp"
#include "parts/wrappers.hpp"

// Steps shared by threads of the standard library as OpenMP's would share them, which ThreadSanitizer understands,
// where it does not know the locks of OpenMP. Built and run once more under it.

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

template <class Optimizer>
bool step_by_threads(Optimizer& optimizer, std::vector<std::vector<double>>& params,
                     const std::vector<std::vector<double>>& grad, std::size_t count) {
  return detail::with_view(params, grad, "shares", [&](const auto& view) {
    auto update = optimizer.begin_step(view);
    static_assert(Concurrent<decltype(update)>);
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < count; ++i) {
        threads.emplace_back([&update, &view, share = detail::Share{i, count}] {
          detail::for_each_in(share, view, [&](const auto& slice) { update(slice); });
        });
      }
    }
    update.commit();
    return update.taken();
  });
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
      good = good && plain.step(theta, gradient) == step_by_threads(shared, twin, gradient, count);
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

}  // namespace

int main() {
  bool good = true;
  const auto check_each = [&good](std::string_view name, const auto& optimizer) {
    good = check_averaged(name, optimizer) && good;
  };
  parts::for_each_optimizer<double>(check_each);
  parts::for_each_wrapper(AdamW{}, check_each);
  check_each("wrapped", Accumulate{Lookahead{ClipNorm{ClipValue{SkipNonFinite{AdamW{}}}}, {.every = 2}}});
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
