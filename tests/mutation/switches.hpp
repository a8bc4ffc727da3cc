#pragma once

// What mutate.py puts into the headers. Every mutant is compiled in and one of them is switched on from outside:
//
//     a < b      becomes  a < Less{7} < b        the operator of the same rank keeps precedence and order
//     a && b     becomes  a && And{9, [&] { return b; }}
//     !a         becomes  Not{11} ->* !a         ->* binds tighter than any operator that may follow
//     1          becomes  literal(12, 1, 2)
//     f(x);      becomes  { if (stays(14)) f(x); }
//
// Where the compiler evaluates, or where the mutant would have another type, the code is the original.

#include <cstdlib>
#include <type_traits>
#include <utility>

namespace polyak_mutation {

inline const int active = [] {
  const char* text = std::getenv("POLYAK_MUTANT");
  return text ? std::atoi(text) : -1;
}();
inline unsigned char reached[1 << 16];

constexpr bool on(int id) noexcept {
  if (std::is_constant_evaluated()) return false;
  reached[id] = 1;
  return active == id;
}
constexpr bool stays(int id) noexcept { return !on(id); }

template <class T>
constexpr T literal(int id, T original, T mutant) noexcept {
  return on(id) ? mutant : original;
}

template <class Mark, class A>
struct Half {
  A&& a;
  int id;
};

#define POLYAK_MUTATION_BINARY(Mark, op, mutant)                                                             \
  struct Mark {                                                                                              \
    int id;                                                                                                  \
  };                                                                                                         \
  template <class A>                                                                                         \
  constexpr Half<Mark, A> operator op(A&& a, Mark mark) noexcept {                                           \
    return {std::forward<A>(a), mark.id};                                                                    \
  }                                                                                                          \
  template <class A, class B>                                                                                \
  constexpr auto operator op(Half<Mark, A> half, const B& b) {                                               \
    if constexpr (requires { requires std::is_same_v<decltype(half.a op b), decltype(half.a mutant b)>; }) { \
      if (on(half.id)) return half.a mutant b;                                                               \
    }                                                                                                        \
    return half.a op b;                                                                                      \
  }
#define POLYAK_MUTATION_COMPARISON(Mark, op, mutant, opposite)     \
  struct Mark {                                                    \
    int id;                                                        \
  };                                                               \
  template <class A>                                               \
  constexpr Half<Mark, A> operator op(A&& a, Mark mark) noexcept { \
    return {std::forward<A>(a), mark.id};                          \
  }                                                                \
  template <class A, class B>                                      \
  constexpr auto operator op(Half<Mark, A> half, const B& b) {     \
    if constexpr (requires { half.a mutant b; }) {                 \
      if (on(half.id)) return half.a mutant b;                     \
    }                                                              \
    if constexpr (requires { half.a opposite b; }) {               \
      if (on(half.id + 1)) return half.a opposite b;               \
    }                                                              \
    return half.a op b;                                            \
  }
#define POLYAK_MUTATION_ASSIGNMENT(Mark, op, mutant)                \
  struct Mark {                                                     \
    int id;                                                         \
  };                                                                \
  template <class B>                                                \
  constexpr Half<Mark, B> operator op(Mark mark, B&& b) noexcept {  \
    return {std::forward<B>(b), mark.id};                           \
  }                                                                 \
  template <class A, class B>                                       \
  constexpr decltype(auto) operator op(A&& a, Half<Mark, B> half) { \
    if constexpr (requires { a mutant half.a; }) {                  \
      if (on(half.id)) return a mutant half.a;                      \
    }                                                               \
    return a op half.a;                                             \
  }
#define POLYAK_MUTATION_LOGIC(Mark, op, mutant)                                             \
  template <class F>                                                                        \
  struct Mark {                                                                             \
    int id;                                                                                 \
    F right;                                                                                \
  };                                                                                        \
  template <class F>                                                                        \
  Mark(int, F) -> Mark<F>;                                                                  \
  template <class A, class F>                                                               \
  constexpr bool operator op(const A& a, const Mark<F>& mark) {                             \
    return on(mark.id) ? bool(a) mutant bool(mark.right()) : bool(a) op bool(mark.right()); \
  }

POLYAK_MUTATION_BINARY(Plus, +, -)
POLYAK_MUTATION_BINARY(Minus, -, +)
POLYAK_MUTATION_BINARY(Times, *, /)
POLYAK_MUTATION_BINARY(Over, /, *)
POLYAK_MUTATION_BINARY(Modulo, %, /)
POLYAK_MUTATION_BINARY(ShiftLeft, <<, >>)
POLYAK_MUTATION_BINARY(ShiftRight, >>, <<)
POLYAK_MUTATION_BINARY(BitAnd, &, |)
POLYAK_MUTATION_BINARY(BitOr, |, &)
POLYAK_MUTATION_BINARY(BitXor, ^, &)
POLYAK_MUTATION_COMPARISON(Less, <, <=, >=)
POLYAK_MUTATION_COMPARISON(LessOrEqual, <=, <, >)
POLYAK_MUTATION_COMPARISON(Greater, >, >=, <=)
POLYAK_MUTATION_COMPARISON(GreaterOrEqual, >=, >, <)
POLYAK_MUTATION_BINARY(Equal, ==, !=)
POLYAK_MUTATION_BINARY(NotEqual, !=, ==)
POLYAK_MUTATION_ASSIGNMENT(AddTo, +=, -=)
POLYAK_MUTATION_ASSIGNMENT(TakeFrom, -=, +=)
POLYAK_MUTATION_ASSIGNMENT(MultiplyBy, *=, /=)
POLYAK_MUTATION_ASSIGNMENT(DivideBy, /=, *=)
POLYAK_MUTATION_ASSIGNMENT(XorWith, ^=, |=)
POLYAK_MUTATION_LOGIC(And, &&, ||)
POLYAK_MUTATION_LOGIC(Or, ||, &&)

struct Not {
  int id;
};
template <class A>
constexpr bool operator->*(Not mark, const A& a) {
  return on(mark.id) ? !bool(a) : bool(a);
}

struct Min {
  int id;
  template <class T>
  constexpr const T& operator()(const T& a, const T& b) const {
    return on(id) ? (a < b ? b : a) : (b < a ? b : a);
  }
};
struct Max {
  int id;
  template <class T>
  constexpr const T& operator()(const T& a, const T& b) const {
    return on(id) ? (b < a ? b : a) : (a < b ? b : a);
  }
};

}  // namespace polyak_mutation
