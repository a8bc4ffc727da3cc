#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/parameters.hpp"

namespace polyak::detail {

/// A gradient may be the very memory of the parameters (that of ½‖θ‖²), but not lie across it.
template <FloatingPoint Scalar>
void check_overlap(std::span<const Scalar> params, std::span<const Scalar> grad, std::string_view who) {
  const std::less<> before;
  const bool apart =
      !before(params.data(), grad.data() + grad.size()) || !before(grad.data(), params.data() + params.size());
  if (!apart && params.data() != grad.data()) throw_bad_argument(who, "the gradient must not overlap the parameters");
}

/// A whole step of a slice-wise optimizer: all that can throw, then one pass that cannot, then the tick.
template <class Optimizer, class P, class G>
void step_in_slices(Optimizer& optimizer, P& params, const G& grad, std::string_view who) {
  using Scalar = scalar_of<P&>;
  const std::span<Scalar> weights = flat(params, who);
  const FlatGradient<Scalar> gradient(params, grad, who);
  check_overlap<Scalar>(weights, gradient.get(), who);
  auto update = optimizer.begin_step(weights.size());
  update(Slice<Scalar>{0, weights, gradient.get()});
  update.commit();
}

}  // namespace polyak::detail
