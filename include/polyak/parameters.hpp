#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"

/// Flat views over what users hold. Everything in polyak works coordinate by coordinate, so a matrix, a Map or a
/// std::vector is its coordinates in storage order, and a set of them is one after the other; nothing is copied.

namespace polyak {

namespace detail {
template <class D>
void match_dense(const Eigen::DenseBase<D>&);
}

/// An Eigen vector, matrix, array or an expression of them.
template <class T>
concept EigenDense = requires(const std::remove_cvref_t<T>& t) { detail::match_dense(t); };

namespace detail {

/// False where the type itself says that neighbouring coordinates do not touch in memory.
template <class D>
inline constexpr bool may_be_contiguous = [] {
  constexpr int inner = D::InnerStrideAtCompileTime;
  constexpr int outer = D::OuterStrideAtCompileTime;
  constexpr int inner_size = D::InnerSizeAtCompileTime;
  if (inner != 1 && inner != Eigen::Dynamic) return false;
  return D::IsVectorAtCompileTime || outer == Eigen::Dynamic || inner_size == Eigen::Dynamic || outer == inner_size;
}();

template <class T>
concept EigenMemory = EigenDense<T> && ((int(std::remove_cvref_t<T>::Flags) & Eigen::DirectAccessBit) != 0) &&
                      may_be_contiguous<std::remove_cvref_t<T>>;

/// The pointer to the memory of an Eigen object, or of a range. For Eigen's, std::ranges is not asked, which costs
/// compilers hundreds of templates.
template <class T>
struct PointerTo {
  using type = decltype(std::ranges::data(std::declval<T&>()));
};
template <EigenDense T>
struct PointerTo<T> {
  using type = typename T::Scalar*;  // of an expression: Clang asks for it before it has looked at constraints
};
template <EigenMemory T>
struct PointerTo<T> {
  using type = decltype(std::declval<T&>().data());
};
template <class T>
using scalar_there_t = std::remove_pointer_t<typename PointerTo<std::remove_reference_t<T>>::type>;

template <class T>
concept ScalarsInMemory =
    (EigenMemory<T> || (!EigenDense<T> && std::ranges::contiguous_range<T> && std::ranges::sized_range<T>)) &&
    FloatingPoint<std::remove_cv_t<scalar_there_t<T>>>;

/// A type that polyak does not know, and whose as_parameters(x), found in its namespace, says what x is.
template <class T>
concept SaysParameters = !EigenDense<T> && requires(std::remove_cvref_t<T>& x) { as_parameters(x); };
/// Where as_parameters takes no const object, one is read as if it were none.
template <class T>
inline constexpr bool takes_const_away =
    SaysParameters<T> && std::is_const_v<std::remove_reference_t<T>> && !requires(T& x) { as_parameters(x); };

template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;
/// A pointer, smart or not, or a std::reference_wrapper.
template <class T>
concept Refers =
    is_reference_wrapper<std::remove_cvref_t<T>> ||
    (!EigenDense<T> && !std::ranges::range<T> && requires(std::remove_reference_t<T>& x) {
      requires std::is_lvalue_reference_v<decltype(*x)> && !std::is_function_v<std::remove_reference_t<decltype(*x)>>;
    });

/// What x stands for: what as_parameters(x) says it is, what x refers to, or x itself.
template <class T>
[[nodiscard]] constexpr decltype(auto) known(T& x) {
  if constexpr (SaysParameters<T>) {
    using Told = std::conditional_t<takes_const_away<T>, std::remove_const_t<T>, T>;
    return as_parameters(const_cast<Told&>(x));
  } else if constexpr (is_reference_wrapper<std::remove_const_t<T>>) {
    return known(x.get());
  } else if constexpr (Refers<T>) {
    return known(*x);
  } else {
    return (x);
  }
}
template <class T>
using known_t = decltype(known(std::declval<std::remove_reference_t<T>&>()));

/// What lies there; const if it cannot be written to.
template <class T>
using pointee_t = std::conditional_t<takes_const_away<T>, const scalar_there_t<known_t<T>>, scalar_there_t<known_t<T>>>;

/// What outlives the call: no temporary, or one that only refers to its scalars, as a Map, a block, a span or a
/// pointer.
template <class T>
concept OutlivesCall =
    std::is_lvalue_reference_v<T> || (!EigenDense<T> && std::ranges::borrowed_range<T>) ||
    (Refers<T> && std::is_trivially_copyable_v<T>) ||
    (EigenDense<T> && !std::derived_from<std::remove_cv_t<T>, Eigen::PlainObjectBase<std::remove_cv_t<T>>>);

/// One block: scalars in memory, or what stands for them.
template <class T>
concept Scalars = ScalarsInMemory<known_t<T>> && OutlivesCall<known_t<T>>;

inline constexpr std::size_t only_block = static_cast<std::size_t>(-1);

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_strided(std::string_view who, std::size_t block,
                                                                 Eigen::Index inner, Eigen::Index outer) {
  const std::string what = block == only_block ? "a view of parameters" : "block " + std::to_string(block);
  throw_bad_argument(who, what + " must be contiguous, got inner stride " + std::to_string(inner) + ", outer stride " +
                              std::to_string(outer));
}

template <EigenMemory D>
[[nodiscard]] bool is_contiguous(const D& m) noexcept {
  if (m.size() <= 1) return true;
  return m.innerStride() == 1 && (m.outerSize() <= 1 || m.outerStride() == m.innerSize());
}

/// One block: where its scalars lie, and in what shape.
template <class Element>
struct Block {
  Element* data = nullptr;
  BlockShape shape;

  [[nodiscard]] std::span<Element> flat() const noexcept { return {data, shape.size()}; }
};

template <Scalars P>
[[nodiscard]] auto block_of(P&& params, std::string_view who, std::size_t i = only_block) {
  using Element = pointee_t<P>;
  if constexpr (!ScalarsInMemory<P>) {
    const auto block = block_of(known(params), who, i);
    return Block<Element>{block.data, block.shape};
  } else if constexpr (EigenDense<P>) {
    if (!is_contiguous(params)) throw_strided(who, i, params.innerStride(), params.outerStride());
    const auto rows = static_cast<std::size_t>(params.rows());
    const auto cols = static_cast<std::size_t>(params.cols());
    return Block<Element>{params.data(), {rows, cols, bool(std::remove_cvref_t<P>::IsRowMajor)}};
  } else {
    return Block<Element>{std::ranges::data(params), {std::ranges::size(params), 1, false}};
  }
}

template <class T>
inline constexpr bool is_parameter_set = false;

}  // namespace detail

/// Several blocks as one parameter vector: ParameterSet{W1, b1, W2, b2} of matrices, vectors, Maps, spans of one
/// scalar. It refers to them, copies nothing and allocates nothing; Element is const where they are. A std::vector of
/// such blocks, or of pointers to them, is a set as it stands, and so is any other forward range.
template <class Element, std::size_t N>
class ParameterSet {
 public:
  /// Throws std::invalid_argument for a block that is strided.
  template <class... P>
    requires(sizeof...(P) == N && !(detail::is_parameter_set<std::remove_cvref_t<P>> || ...))
  explicit ParameterSet(P&&... params) {
    constexpr bool scalars = (detail::Scalars<P> && ...);  // of concepts the compiler would list the parts
    static_assert(scalars,
                  "polyak::ParameterSet: a block is scalars in memory, not an expression and not strided by its type");
    if constexpr (scalars) {
      constexpr bool outlive = (detail::OutlivesCall<P> && ...);
      static_assert(outlive, "polyak::ParameterSet: a temporary would be gone before the set is used");
      constexpr bool same =
          (std::is_same_v<std::remove_const_t<detail::pointee_t<P>>, std::remove_const_t<Element>> && ...);
      static_assert(same, "polyak::ParameterSet: the blocks of a set have one scalar");
      if constexpr (outlive && same) {
        std::size_t i = 0;
        const auto add = [&](const auto& block) { blocks_[i++] = {block.data, block.shape}; };
        (add(detail::block_of(params, "polyak::ParameterSet", i)), ...);
      }
    }
  }

  /// The blocks, as of an array.
  ///@{
  [[nodiscard]] static constexpr std::size_t size() noexcept { return N; }
  [[nodiscard]] const detail::Block<Element>& operator[](std::size_t i) const noexcept { return blocks_[i]; }
  [[nodiscard]] auto begin() const noexcept { return blocks_.begin(); }
  [[nodiscard]] auto end() const noexcept { return blocks_.end(); }
  ///@}

  /// A set of blocks of the same shapes that lie one after the other from `data` on.
  template <class Other>
  [[nodiscard]] ParameterSet<Other, N> like(Other* data) const noexcept {
    ParameterSet<Other, N> set;
    for (std::size_t i = 0; i < N; data += blocks_[i++].shape.size()) set.blocks_[i] = {data, blocks_[i].shape};
    return set;
  }

 private:
  template <class, std::size_t>
  friend class ParameterSet;
  ParameterSet()
    requires(N > 0)
  = default;

  std::array<detail::Block<Element>, N> blocks_;
};

template <detail::Scalars First, detail::Scalars... Rest>
ParameterSet(First&&, Rest&&...)
    -> ParameterSet<std::conditional_t<(std::is_const_v<detail::pointee_t<Rest>> || ...),
                                       const detail::pointee_t<First>, detail::pointee_t<First>>,
                    1 + sizeof...(Rest)>;
template <class... P>
  requires(!(detail::Scalars<P> && ...) && !(detail::is_parameter_set<std::remove_cvref_t<P>> || ...))
ParameterSet(P&&...) -> ParameterSet<double, sizeof...(P)>;

namespace detail {

template <class Element, std::size_t N>
inline constexpr bool is_parameter_set<ParameterSet<Element, N>> = true;

/// What comes out of a range must not vanish with the iterator. A view that changes when it is read is none.
template <class T>
concept KnownBlocks =
    is_parameter_set<std::remove_cvref_t<T>> ||
    (!EigenDense<T> && std::ranges::forward_range<T> && std::ranges::forward_range<const std::remove_reference_t<T>> &&
     Scalars<std::ranges::range_reference_t<T>> && OutlivesCall<std::ranges::range_reference_t<T>>);

/// A set that may be a temporary, since its blocks lie elsewhere: a view that can be copied, or a container of views or
/// pointers.
template <class T>
concept RefersToBlocks =
    is_parameter_set<std::remove_cv_t<T>> || (KnownBlocks<T> && ((std::ranges::view<T> && std::copy_constructible<T>) ||
                                                                 OutlivesCall<std::ranges::range_value_t<T>>));

template <class T>
concept Blocks = KnownBlocks<known_t<T>> && (OutlivesCall<known_t<T>> || RefersToBlocks<known_t<T>>);

}  // namespace detail

/// What can be read as scalars in memory: contiguous Eigen objects, std::vector, std::array, std::span, and sets of
/// them. Any other type is what a function as_parameters(x) in its namespace returns: a view of its scalars, or a set
/// of such views, each time that polyak looks at it.
template <class T>
concept ReadableParameters = detail::Scalars<T> || detail::Blocks<T>;

namespace detail {

/// Element i of a set.
template <class T>
[[nodiscard]] auto block_in_set(T&& element, std::string_view who, std::size_t i) {
  if constexpr (Scalars<T&>) {
    return block_of(element, who, i);
  } else {
    return element;  // of a ParameterSet
  }
}

/// How many blocks parameters have: one, if they are no set.
template <ReadableParameters P>
[[nodiscard]] std::size_t count_blocks(P& params) {
  if constexpr (Scalars<P&>) {
    return 1;
  } else {
    return static_cast<std::size_t>(std::ranges::distance(known(params)));
  }
}

template <ReadableParameters P>
[[nodiscard]] auto block_at(P& params, std::size_t i, std::string_view who) {
  if constexpr (Scalars<P&>) {
    return block_of(params, who);
  } else {
    auto&& set = known(params);
    return block_in_set(*std::ranges::next(std::ranges::begin(set), static_cast<std::ptrdiff_t>(i)), who, i);
  }
}

/// A struct, since without one GCC 12 takes the type for another in a lambda of a template.
template <class T>
struct element_of {
  using there = std::remove_pointer_t<decltype(block_at(std::declval<std::remove_reference_t<T>&>(), 0, "").data)>;
  using type = std::conditional_t<takes_const_away<T>, const there, there>;
};
template <class T>
using element_t = typename element_of<T>::type;

}  // namespace detail

/// Parameters are readable, writable, and more than a temporary about to vanish.
template <class T>
concept Parameters = ReadableParameters<T> && !std::is_const_v<detail::element_t<T>> &&
                     (detail::OutlivesCall<T> || detail::RefersToBlocks<T>);

/// The scalar that parameters are held in.
template <ReadableParameters T>
using scalar_of = std::remove_const_t<detail::element_t<T>>;

// What the compiler says of anything else, with the way out in it.
#define POLYAK_HOLDERS                                                                                              \
  "a contiguous Eigen object, Map or block, a std::vector, std::array or std::span of float, double, long double, " \
  "half or bfloat16, or a set of them"
#define POLYAK_WAY_OUT \
  " (several blocks: ParameterSet{W, b}; memory: std::span{p, n}; a type of another library: as_parameters)"
#define POLYAK_READABLE_PARAMETERS                                    \
  "polyak: ReadableParameters are scalars in memory: " POLYAK_HOLDERS \
  "; no expression, and not strided by their type" POLYAK_WAY_OUT
#define POLYAK_PARAMETERS                                                            \
  "polyak: Parameters are scalars in memory that can be written to: " POLYAK_HOLDERS \
  "; neither const, nor strided by their type, nor a temporary about to vanish" POLYAK_WAY_OUT

#define POLYAK_OPTIONS "polyak: options are named, in braces of their own: Ema{{.decay = 0.9}}"

// How a conversion is refused so that the compiler says why. GCC names the sentence with a deleted function's template
// arguments, which Clang shows as numbers; GCC's own `unavailable` is not seen by requires-expressions.
#if defined(__clang__)
#define POLYAK_REFUSE(sentence) __attribute__((unavailable(sentence)))
#else
#define POLYAK_REFUSE(sentence) = delete
#endif

namespace detail {

/// A text as a template argument.
template <std::size_t N>
struct Sentence {
  char text[N];
  consteval Sentence(const char (&literal)[N]) { std::copy_n(literal, N, text); }
};

/// A function that asks for parameters has an overload that takes one of these instead, declared and no more. A call
/// with anything else resolves to it, so that the compiler says the sentence and lists no candidates. A static_assert
/// would say it too, but no requires-expression would see it: `requires { ema.update(x); }` tells whether update takes
/// x.
struct NotReadable {
  template <class Given, Sentence sentence = POLYAK_READABLE_PARAMETERS>
  NotReadable(const Given&) POLYAK_REFUSE(POLYAK_READABLE_PARAMETERS);
};
struct NotWritable {
  template <class Given, Sentence sentence = POLYAK_PARAMETERS>
  NotWritable(const Given&) POLYAK_REFUSE(POLYAK_PARAMETERS);
};
/// The same where options are asked for and a number is given.
struct NotOptions {
  template <class Given, Sentence sentence = POLYAK_OPTIONS>
    requires std::is_arithmetic_v<Given>
  NotOptions(const Given&) POLYAK_REFUSE(POLYAK_OPTIONS);
};

}  // namespace detail

#undef POLYAK_REFUSE
#undef POLYAK_OPTIONS
#undef POLYAK_READABLE_PARAMETERS

/// Parameters whose scalar is Scalar.
template <class T, class Scalar>
concept ParametersOf = Parameters<T> && std::same_as<scalar_of<T>, Scalar>;

/// A gradient of the parameters P: of their scalar; for one block anything readable or an Eigen expression, for a set a
/// set.
template <class G, class P>
concept GradientOf =
    Parameters<P> &&
    ((detail::Scalars<P> && EigenDense<G> && std::same_as<typename G::Scalar, scalar_of<P>>) ||
     (ReadableParameters<const G&> &&
      (detail::Scalars<const G&> == detail::Scalars<P>)&&std::same_as<scalar_of<const G&>, scalar_of<P>>));

/// The coordinates of one block in storage order, as a std::span. Throws std::invalid_argument, in the name of `who`,
/// for a strided view; what is strided by its type does not compile. O(1).
template <detail::Scalars P>
[[nodiscard]] auto flat(P&& params, std::string_view who = "polyak::flat") {
  return detail::block_of(params, who).flat();
}

namespace detail {

/// Eigen's index may have been made so narrow that memory can have more scalars than it can count.
inline void require_indexable(std::size_t size, std::string_view who) {
  if constexpr (sizeof(Eigen::Index) < sizeof(std::size_t)) {
    constexpr auto most = static_cast<std::size_t>((std::numeric_limits<Eigen::Index>::max)());
    if (size > most) throw_bad_size(who, "Eigen::Index limits the number of parameters to", most, size);
  }
}

/// The shapes of the blocks of parameters, one after the other.
template <ReadableParameters P>
class ShapesOf {
 public:
  ShapesOf(const P& params, std::string_view who) : params_(known(params)), who_(who) {
    for (std::size_t i = 0; i < blocks(); ++i) size_ += shape(i).size();
    require_indexable(size_, who);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t blocks() const noexcept { return count_blocks(params_); }
  [[nodiscard]] BlockShape shape(std::size_t i) const { return block_at(params_, i, who_).shape; }

 private:
  known_t<const P&> params_;
  std::string_view who_;
  std::size_t size_ = 0;
};

/// Calls f(offset, span) for every block.
template <ReadableParameters P, class F>
void for_each_block(P& params, std::string_view who, F f) {
  if constexpr (Scalars<P&>) {
    f(std::size_t{0}, block_of(params, who).flat());
  } else {
    std::size_t i = 0, offset = 0;
    for (auto&& element : known(params)) {
      const auto block = block_in_set(element, who, i++).flat();
      f(offset, block);
      offset += block.size();
    }
  }
}

/// What frees its scalars, or takes them elsewhere, by itself: vectors and matrices, and containers of them.
template <class T>
concept OwnsScalars = ScalarsInMemory<T> && !OutlivesCall<T>;
template <class T>
concept Owns = OwnsScalars<T> || (KnownBlocks<T&> && !is_parameter_set<T> && !std::ranges::view<T> &&
                                  OwnsScalars<std::remove_cvref_t<std::ranges::range_reference_t<T&>>>);

/// A getter of weights by value, and a setter that takes them.
template <class Get, class Set>
concept GetAndSet = Owns<std::remove_cvref_t<std::invoke_result_t<Get&>>> &&
                    std::invocable<Set&, const std::remove_cvref_t<std::invoke_result_t<Get&>>&>;

}  // namespace detail
}  // namespace polyak
