#pragma once

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <functional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"

/// Flat views over what users hold. Everything in polyak is elementwise, so a matrix, a Map or a std::vector is its
/// coordinates in storage order; nothing is copied.

namespace polyak {

namespace detail {
template <class D>
void take_dense(const Eigen::DenseBase<D>&);
}

/// An Eigen vector, matrix, array or an expression of them.
template <class T>
concept EigenDense = requires(const std::remove_cvref_t<T>& t) { detail::take_dense(t); };

namespace detail {

template <class T>
inline constexpr bool is_plain_eigen = false;
template <EigenDense T>
inline constexpr bool is_plain_eigen<T> = std::derived_from<T, Eigen::PlainObjectBase<T>>;

/// False where the type itself says that neighbouring coordinates do not touch in memory.
template <class D>
inline constexpr bool may_be_contiguous = [] {
  constexpr auto dynamic = Eigen::Dynamic;
  constexpr int inner = D::InnerStrideAtCompileTime;
  constexpr int outer = D::OuterStrideAtCompileTime;
  constexpr int inner_size = D::InnerSizeAtCompileTime;
  if (inner != 1 && inner != dynamic) return false;
  return D::IsVectorAtCompileTime || outer == dynamic || inner_size == dynamic || outer == inner_size;
}();

template <class T>
concept EigenMemory = EigenDense<T> && ((int(std::remove_cvref_t<T>::Flags) & Eigen::DirectAccessBit) != 0) &&
                      may_be_contiguous<std::remove_cvref_t<T>>;

template <class T>
concept ScalarRange = !EigenDense<T> && std::ranges::contiguous_range<T> && std::ranges::sized_range<T>;

template <class T>
struct pointer_to;
template <EigenMemory T>
struct pointer_to<T> {
  using type = decltype(std::declval<std::remove_reference_t<T>&>().data());
};
template <ScalarRange T>
struct pointer_to<T> {
  using type = decltype(std::ranges::data(std::declval<std::remove_reference_t<T>&>()));
};
template <class T>
using element_t = std::remove_pointer_t<typename pointer_to<T>::type>;

/// True for what outlives the call although the object handed over is a temporary: a Map, a block, a span.
template <class T>
inline constexpr bool is_view = [] {
  if constexpr (EigenDense<T>) {
    return !is_plain_eigen<std::remove_cvref_t<T>>;
  } else {
    return std::ranges::borrowed_range<T>;
  }
}();

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_strided(std::string_view who, Eigen::Index inner,
                                                                 Eigen::Index outer) {
  throw std::invalid_argument(std::string(who).append(": a view of parameters must be contiguous, got inner stride ") +
                              std::to_string(inner) + ", outer stride " + std::to_string(outer));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_bad_shape(std::string_view who, Eigen::Index rows,
                                                                   Eigen::Index cols, Eigen::Index got_rows,
                                                                   Eigen::Index got_cols) {
  const auto shape = [](Eigen::Index r, Eigen::Index c) { return std::to_string(r) + "x" + std::to_string(c); };
  throw std::invalid_argument(std::string(who).append(": the gradient must have the shape of the parameters, ") +
                              shape(rows, cols) + ", got " + shape(got_rows, got_cols));
}

template <EigenMemory D>
[[nodiscard]] bool is_contiguous(const D& m) noexcept {
  if (m.size() <= 1) return true;
  if (m.innerStride() != 1) return false;
  if constexpr (D::IsVectorAtCompileTime) {
    return true;
  } else {
    return m.outerSize() <= 1 || m.outerStride() == m.innerSize();
  }
}

}  // namespace detail

/// What can be read as one flat run of scalars: contiguous Eigen objects, std::vector, std::array, std::span.
template <class T>
concept ReadableParameters =
    (detail::EigenMemory<T> || detail::ScalarRange<T>)&&FloatingPoint<std::remove_const_t<detail::element_t<T>>>;

/// Parameters are readable, writable, and more than a temporary about to vanish.
template <class T>
concept Parameters = ReadableParameters<T> && !std::is_const_v<detail::element_t<T>> &&
                     (std::is_lvalue_reference_v<T> || detail::is_view<T>);

template <ReadableParameters T>
using scalar_of = std::remove_const_t<detail::element_t<T>>;

/// Parameters whose scalar is Scalar.
template <class T, class Scalar>
concept ParametersOf = Parameters<T> && std::same_as<scalar_of<T>, Scalar>;

/// A gradient of parameters with this scalar: anything readable, or an Eigen expression, of the same scalar.
template <class G, class Scalar>
concept GradientOf =
    (EigenDense<G> && std::same_as<typename G::Scalar, Scalar>) ||
    (detail::ScalarRange<const G&> && ReadableParameters<const G&> && std::same_as<scalar_of<const G&>, Scalar>);

/// The coordinates of `params` in storage order, as a std::span. Throws std::invalid_argument, in the name of `who`,
/// for a strided view; what is strided by its type does not compile. O(1).
template <ReadableParameters P>
[[nodiscard]] auto flat(P&& params, std::string_view who = "polyak::flat") -> std::span<detail::element_t<P>> {
  if constexpr (EigenDense<P>) {
    if (!detail::is_contiguous(params)) detail::throw_strided(who, params.innerStride(), params.outerStride());
    return {params.data(), static_cast<std::size_t>(params.size())};
  } else {
    return {std::ranges::data(params), std::ranges::size(params)};
  }
}

namespace detail {

template <class T>
inline constexpr bool is_matrix = false;
template <EigenDense T>
inline constexpr bool is_matrix<T> = !T::IsVectorAtCompileTime;
template <class T>
inline constexpr bool is_row_major = false;
template <EigenDense T>
inline constexpr bool is_row_major<T> = T::IsRowMajor;

/// The gradient in the storage order of the parameters: a view where its memory is so already, else evaluated once.
template <FloatingPoint Scalar>
class FlatGradient {
 public:
  template <class P, GradientOf<Scalar> G>
  FlatGradient(const P& params, const G& grad, std::string_view who) {
    const std::size_t n = flat(params, who).size();
    if constexpr (EigenDense<G>) {
      constexpr bool both_matrices = is_matrix<P> && is_matrix<G>;
      if constexpr (both_matrices) {
        if (params.rows() != grad.rows() || params.cols() != grad.cols()) {
          throw_bad_shape(who, params.rows(), params.cols(), grad.rows(), grad.cols());
        }
      } else if (!is_matrix<P> && grad.rows() > 1 && grad.cols() > 1) {
        // Its coordinates would have to be put in an order that nothing but the type of an expression decides.
        throw_bad_shape(who, static_cast<Eigen::Index>(n), 1, grad.rows(), grad.cols());
      }
      view<both_matrices ? is_row_major<P> : is_row_major<G>>(grad);
    } else {
      flat_ = flat(grad);
    }
    if (flat_.size() != n) throw_bad_size(who, "the gradient must have the size of the parameters,", n, flat_.size());
  }
  FlatGradient(const FlatGradient&) = delete;
  FlatGradient& operator=(const FlatGradient&) = delete;

  [[nodiscard]] std::span<const Scalar> get() const noexcept { return flat_; }

 private:
  template <bool RowMajor, class G>
  void view(const G& grad) {
    if constexpr (RowMajor == is_row_major<G> && EigenMemory<G>) {
      if (is_contiguous(grad)) {
        flat_ = {grad.data(), static_cast<std::size_t>(grad.size())};
        return;
      }
    }
    // Eigen refuses row-major columns and column-major rows, so a vector keeps its own order.
    constexpr bool row_major = G::IsVectorAtCompileTime ? bool(G::IsRowMajor) : RowMajor;
    using Evaluated =
        Eigen::Matrix<Scalar, G::RowsAtCompileTime == 1 ? 1 : Eigen::Dynamic,
                      G::ColsAtCompileTime == 1 ? 1 : Eigen::Dynamic, row_major ? Eigen::RowMajor : Eigen::ColMajor>;
    evaluated_.resize(grad.size());
    Eigen::Map<Evaluated>(evaluated_.data(), grad.rows(), grad.cols()) = grad.derived();
    flat_ = {evaluated_.data(), static_cast<std::size_t>(evaluated_.size())};
  }

  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> evaluated_;
  std::span<const Scalar> flat_;
};

}  // namespace detail
}  // namespace polyak
