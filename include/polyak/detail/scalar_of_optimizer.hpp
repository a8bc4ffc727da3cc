#pragma once

#include "polyak/concepts.hpp"

namespace polyak::detail {

/// An optimizer's scalar, if it says one, for what wraps the optimizer to say as well.
template <class Optimizer>
struct ScalarOfOptimizer {};
template <class Optimizer>
  requires FloatingPoint<typename Optimizer::scalar_type>
struct ScalarOfOptimizer<Optimizer> {
  using scalar_type = typename Optimizer::scalar_type;
};

template <class Optimizer, class Otherwise>
struct ScalarOr {
  using type = Otherwise;
};
template <class Optimizer, class Otherwise>
  requires FloatingPoint<typename Optimizer::scalar_type>
struct ScalarOr<Optimizer, Otherwise> {
  using type = typename Optimizer::scalar_type;
};
template <class Optimizer>
using scalar_or_double = typename ScalarOr<Optimizer, double>::type;

/// Stands for the scalar of an optimizer that does not say it.
struct AnyScalar {};
template <class Optimizer>
using scalar_or_any = typename ScalarOr<Optimizer, AnyScalar>::type;

}  // namespace polyak::detail
