#pragma once

#include "polyak/concepts.hpp"

namespace polyak::detail {

template <class Optimizer>
concept SaysScalar = FloatingPoint<typename Optimizer::scalar_type>;

/// An optimizer's scalar, if it says one, for what wraps the optimizer to say as well.
template <class Optimizer>
struct ScalarOfOptimizer {};
template <SaysScalar Optimizer>
struct ScalarOfOptimizer<Optimizer> {
  using scalar_type = typename Optimizer::scalar_type;
};

template <class Optimizer, class Otherwise>
struct ScalarOr {
  using scalar_type = Otherwise;
};
template <SaysScalar Optimizer, class Otherwise>
struct ScalarOr<Optimizer, Otherwise> : ScalarOfOptimizer<Optimizer> {};
template <class Optimizer>
using scalar_or_double = typename ScalarOr<Optimizer, double>::scalar_type;

/// Stands for the scalar of an optimizer that does not say it.
struct AnyScalar {};
template <class Optimizer>
using scalar_or_any = typename ScalarOr<Optimizer, AnyScalar>::scalar_type;

}  // namespace polyak::detail
