#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/round.hpp"
#include "polyak/detail/square_root.hpp"

namespace polyak::detail {

/// The type a coordinate is computed in: 16-bit scalars are storage only.
template <FloatingPoint Scalar>
using compute_t = std::conditional_t<sizeof(Scalar) == 2, float, Scalar>;

/// a·b + c, rounded once where the hardware can and twice where it cannot, but never left to the compiler: whether it
/// contracts may differ between the body and the tail of one vectorised loop, and then results depend on slice size.
template <class T>
[[nodiscard]] inline T mul_add(T a, T b, T c) noexcept {
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA)
  if constexpr (!std::is_same_v<T, long double>) return std::fma(a, b, c);
#endif
  return a * b + c;
}

// A kernel is what one coordinate needs. It is always inlined: left to its own judgement in a large caller, the
// compiler may call it, and the loop around a call is not vectorised.

/// What compilers vectorise. Clang warns of a promise about other scalars, which it cannot use.
template <class... Scalars>
inline constexpr bool vectorises = ((std::is_same_v<Scalars, float> || std::is_same_v<Scalars, double>)&&...);

/// A kernel that says it computes with such scalars alone.
template <class K>
concept VectorKernel = requires { requires K::vectorised; };

/// Calls kernel(from) … kernel(from + n − 1), which the compiler may do in any order and at once. The pragmas promise
/// just that and no more, so a gradient that is the very memory of the parameters stays correct where __restrict would
/// not be.
template <class Kernel>
[[gnu::always_inline]] inline void unordered(std::size_t from, std::size_t n, const Kernel& kernel) noexcept {
  if constexpr (VectorKernel<Kernel>) {
#if defined(__clang__)
#if !__has_feature(undefined_behavior_sanitizer)  // whose checks it cannot vectorise, and warns
#pragma clang loop vectorize(assume_safety)
#endif
#elif defined(__GNUC__)
#pragma GCC ivdep
#endif
    for (std::size_t j = 0; j < n; ++j) kernel(from + j);
  } else {
    for (std::size_t j = 0; j < n; ++j) kernel(from + j);
  }
}

/// A kernel with a square root in its middle has a first half, radicand(i), and a second, kernel(i, root).
template <class K>
concept RootKernel = requires(const K& kernel, std::size_t i) { kernel.radicand(i); };

/// One that cannot throw.
template <class K>
concept QuietKernel = requires(const K& kernel, std::size_t i) {
  { kernel.radicand(i) } noexcept;
} || requires(const K& kernel, std::size_t i) {
  { kernel(i) } noexcept;
};

template <RootKernel Kernel, class T>
struct FirstHalf {
  static constexpr bool vectorised = VectorKernel<Kernel>;
  const Kernel& kernel;
  T* radicands;
  std::size_t from;
  [[gnu::always_inline]] void operator()(std::size_t i) const noexcept { radicands[i - from] = kernel.radicand(i); }
};
template <RootKernel Kernel, class T>
struct SecondHalf {
  static constexpr bool vectorised = VectorKernel<Kernel>;
  const Kernel& kernel;
  const T* roots;
  std::size_t from;
  [[gnu::always_inline]] void operator()(std::size_t i) const noexcept { kernel(i, roots[i - from]); }
};

inline constexpr std::size_t chunk = 32;

template <class Kernel>
[[gnu::always_inline]] inline void run_chunk(std::size_t from, std::size_t n, const Kernel& kernel) noexcept {
  if constexpr (RootKernel<Kernel>) {
    using T = decltype(kernel.radicand(from));
    alignas(64) T roots[chunk] = {};
    unordered(from, n, FirstHalf<Kernel, T>{kernel, roots, from});
    square_roots(roots);
    unordered(from, n, SecondHalf<Kernel, T>{kernel, roots, from});
  } else {
    unordered(from, n, kernel);
  }
}

/// Calls the kernel for 0 … n−1. At -O2 GCC vectorises only loops whose length it knows, hence the chunks.
template <class Kernel>
inline void for_each_index(std::size_t n, Kernel kernel) noexcept {
  std::size_t i = 0;
  for (; i + chunk <= n; i += chunk) run_chunk(i, chunk, kernel);
  run_chunk(i, n - i, kernel);
}

/// to[i] = from[i], rounded where the scalar is narrower.
template <FloatingPoint To, FloatingPoint From>
struct Assign {
  static constexpr bool vectorised = vectorises<To, From>;
  To* to;
  const From* from;

  [[gnu::always_inline]] void operator()(std::size_t i) const noexcept { to[i] = round_to<To>(from[i]); }
};

template <FloatingPoint To, FloatingPoint From>
void assign(To* to, const From* from, std::size_t n) noexcept {
  for_each_index(n, Assign<To, From>{to, from});
}

/// s += a (θ − s) for a coordinate whose weight θ is at hand.
template <FloatingPoint Shadow>
struct FoldKernel {
  static constexpr bool vectorised = vectorises<Shadow>;
  using T = compute_t<Shadow>;
  Shadow* shadow;
  T gain;

  template <FloatingPoint Weight>
  [[gnu::always_inline]] void operator()(std::size_t i, Weight weight) const noexcept {
    const T s = static_cast<T>(shadow[i]);
    shadow[i] = static_cast<Shadow>(mul_add(gain, static_cast<T>(weight) - s, s));
  }
};

/// One of several, told apart from another of the same type.
template <std::size_t I, class T>
struct Numbered {
  T value;
};

/// A move of the coordinate, or its mere reading, and then folds of where it is now; what a fold returns is where the
/// coordinate goes from there. Each is built where it stays, as nested pairs were not: copied right after it was
/// written member by member, a kernel waits for the store buffer.
template <class Numbers, class Weight, class Move, class... Folds>
struct MoveThenFolds;
template <std::size_t... Is, class Weight, class Move, class... Folds>
struct MoveThenFolds<std::index_sequence<Is...>, Weight, Move, Folds...> : Numbered<Is, Folds>... {
  static constexpr bool vectorised = VectorKernel<Move> && (VectorKernel<Folds> && ...);
  Weight* weights;
  Move move;

  [[gnu::always_inline]] auto radicand(std::size_t i) const noexcept
    requires RootKernel<Move>
  {
    return move.radicand(i);
  }
  template <class... Root>
  [[gnu::always_inline]] Weight operator()(std::size_t i, Root... root) const noexcept {
    Weight weight = move(i, root...);
    (follow(Numbered<Is, Folds>::value, i, weight), ...);
    return weight;
  }

 private:
  template <class Fold>
  [[gnu::always_inline]] void follow(const Fold& fold, std::size_t i, Weight& weight) const noexcept {
    static_assert(noexcept(fold(i, weight)), "polyak: what folds a coordinate, as fold.at(offset) does, is noexcept");
    if constexpr (std::is_void_v<decltype(fold(i, weight))>) {
      fold(i, weight);
    } else {
      static_assert(
          requires { typename Fold::moves_weights; },
          "polyak: what a fold returns is where the weight goes from there; where that is meant, as in a "
          "wrapper, the type that is called says using moves_weights = void");
      weights[i] = weight = fold(i, weight);
    }
  }
};

template <FloatingPoint Weight>
struct Read {
  static constexpr bool vectorised = vectorises<Weight>;
  const Weight* weights;

  [[gnu::always_inline]] Weight operator()(std::size_t i) const noexcept { return weights[i]; }
};

template <class Weight, class Move, class... Folds>
[[gnu::always_inline]] inline auto then(Weight* weights, const Move& move, const Folds&... folds) noexcept {
  return MoveThenFolds<std::index_sequence_for<Folds...>, Weight, Move, Folds...>{{folds}..., weights, move};
}

/// Bytes of parameters in a slice that is passed over more than once: it stays in L1, with its gradient and optimizer
/// state.
inline constexpr std::size_t slice_bytes = 4096;

template <FloatingPoint Scalar, class Grad, class Body>
void for_each_slice(const Slice<Scalar, Grad>& whole, Body body) noexcept {
  constexpr std::size_t length = slice_bytes / sizeof(Scalar);
  for (std::size_t from = 0; from < whole.params.size(); from += length) {
    body(whole.sub(from, std::min(length, whole.params.size() - from)));
  }
}

}  // namespace polyak::detail
