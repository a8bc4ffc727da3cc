#pragma once

#include <Eigen/Core>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

/// The limit of a step: its arithmetic alone, by hand, in packets of Eigen's, which are as wide as the processor's
/// registers. The factors are given, nothing is checked or counted, and n must be a multiple of 64.
namespace packets {

using namespace Eigen::internal;
using Eigen::Index;

template <class T>
using Packet = typename packet_traits<T>::type;
template <class T>
inline constexpr Index width = packet_traits<T>::size;

template <class T>
Packet<T> all(T x) {
  return pset1<Packet<T>>(x);
}
template <class T>
Packet<T> load(const T* from) {
  return ploadu<Packet<T>>(from);
}
template <class T>
Packet<T> store(T* to, Packet<T> x) {
  pstoreu(to, x);
  return x;
}

/// Vectors of the compiler's, for the conversions that Eigen 3.4 does not have.
template <class T, Index N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class To, Index N, class From>
auto convert(const From& from) {
  return __builtin_convertvector(from, typename VectorOf<To, N>::type);
}
/// A packet of floats or residues, in another scalar.
template <class To, class From>
Packet<To> load_as(const From* from) {
  constexpr Index n = width<To>;
  constexpr bool is_float = std::is_same_v<From, float>;
  typename VectorOf<From, n>::type x;
  std::memcpy(&x, from, sizeof x);
#ifdef __AVX512F__  // GCC 12 makes five instructions of one
  if constexpr (is_float) return _mm512_cvtps_pd(std::bit_cast<__m256>(x));
  if constexpr (n == 16) return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(std::bit_cast<__m256i>(x)));
#endif
  if constexpr (is_float) {
    return std::bit_cast<Packet<To>>(convert<To, n>(x));
  } else {
    return std::bit_cast<Packet<To>>(convert<To, n>(convert<std::int32_t, n>(x)));
  }
}

/// Rounded correctly, as polyak's. psqrt of floats, and with AVX-512 of doubles, is an estimate that is improved: off
/// in the last bits, and twice as fast.
template <class T>
Packet<T> square_root(const Packet<T>& x) {
#if defined(__AVX512F__)
  if constexpr (width<T> == 16) return _mm512_sqrt_ps(x);
  if constexpr (width<T> == 8) return _mm512_sqrt_pd(x);
#elif defined(__AVX__)
  if constexpr (width<T> == 8) return _mm256_sqrt_ps(x);
#elif defined(__SSE2__)
  if constexpr (width<T> == 4) return _mm_sqrt_ps(x);
#endif
  return psqrt(x);
}

/// θ ← θ − η g
template <class T>
struct Sgd {
  T* weights;
  const T* gradient;
  T rate;

  Packet<T> operator()(Index i) const {
    return store(weights + i, pmadd(all(-rate), load(gradient + i), load(weights + i)));
  }
};

/// v ← μ v + g, θ ← θ − η v
template <class T>
struct Momentum {
  T* weights;
  const T* gradient;
  T* velocity;
  T rate, momentum;

  Packet<T> operator()(Index i) const {
    const auto v = store(velocity + i, pmadd(all(momentum), load(velocity + i), load(gradient + i)));
    return store(weights + i, pmadd(all(-rate), v, load(weights + i)));
  }
};

/// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← (1 − ηλ) θ − η m̂ / (√v̂ + ε), where m̂ = m/(1 − β₁^t) and
/// v̂ = v/(1 − β₂^t)
template <class T>
struct AdamW {
  T* weights;
  const T* gradient;
  T *moment, *square;
  T rate, keep;                      // ηρ/(1 − β₁^t), where ρ = √(1 − β₂^t); 1 − ηλ
  T beta1, beta2, intake1, intake2;  // 1 − β
  T epsilon;                         // ρε

  Packet<T> operator()(Index i) const {
    const auto g = load(gradient + i);
    const auto m = store(moment + i, pmadd(all(beta1), load(moment + i), pmul(all(intake1), g)));
    const auto v = store(square + i, pmadd(all(beta2), load(square + i), pmul(all(intake2), pmul(g, g))));
    const auto step = pdiv(m, padd(square_root<T>(v), all(epsilon)));
    return store(weights + i, pmadd(all(-rate), step, pmul(all(keep), load(weights + i))));
  }
};

/// s ← s + a (θ − s)
template <class T>
struct Ema {
  T* shadow;
  T gain;

  void operator()(Index i, Packet<T> w) const {
    const auto s = load(shadow + i);
    store(shadow + i, pmadd(all(gain), psub(w, s), s));
  }
};

/// The same in a scalar that may be wider, of the weights as they have just been stored.
template <class T, class Wide>
struct WideEma {
  const T* weights;
  Wide* shadow;
  Wide gain;

  void operator()(Index i, [[maybe_unused]] Packet<T> w) const {
    if constexpr (std::is_same_v<T, Wide>) {
      Ema<Wide>{shadow, gain}(i, w);
    } else {
      for (Index j = i; j < i + width<T>; j += width<Wide>) Ema<Wide>{shadow, gain}(j, load_as<Wide>(weights + j));
    }
  }
};

/// The same, and what rounding drops is kept beside it, in quanta of 2⁻¹⁵ ulp, and folded in by the next step.
template <class T>
struct CompensatedEma {
  T* shadow;
  std::int16_t* residue;
  T gain;

  void operator()(Index i, Packet<T> w) const {
    const auto s = load(shadow + i), rest = pmul(load_as<T>(residue + i), pmul(power(s), all(quantum)));
    const auto move = pmadd(all(gain), psub(psub(w, s), rest), rest);
    const auto sum = store(shadow + i, padd(s, move)), moved = psub(sum, s);
    const auto dropped = padd(psub(s, psub(sum, moved)), psub(move, moved));  // Knuth
    // x ^ ∞ is 2/x for a power of two. Added to 1.5 · 2^p, quanta are the last bits of the mantissa.
    const auto quanta = pmul(pxor(power(sum), all(infinity)), all(1 / quantum / 2));
    const auto bits = std::bit_cast<typename VectorOf<Bits, width<T>>::type>(pmadd(dropped, quanta, all(anchor)));
    const auto kept = convert<std::int16_t, width<T>>(convert<std::int32_t, width<T>>(bits));
    std::memcpy(residue + i, &kept, sizeof kept);
  }

 private:
  using Limits = std::numeric_limits<T>;
  using Bits = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  static constexpr T quantum = Limits::epsilon() / (1 << 15), infinity = Limits::infinity();
  static constexpr T anchor = T(1.5) / Limits::epsilon();
  /// The largest power of two that is not above |x|, and not so small that its quantum would be subnormal.
  static Packet<T> power(Packet<T> x) { return pmax(pand(x, all(infinity)), all(Limits::min() / quantum)); }
};

/// Moves n weights and folds them into averages, in one pass. In line, since factors that are handed over in memory
/// cost a small step 15 ns.
template <class Move, class... Fold>
[[gnu::always_inline]] inline void step(Index n, Move move, Fold... fold) {
  for (Index i = 0; i < n; i += width<std::remove_pointer_t<decltype(move.weights)>>) {
    const auto w = move(i);
    (fold(i, w), ...);
  }
}

}  // namespace packets
