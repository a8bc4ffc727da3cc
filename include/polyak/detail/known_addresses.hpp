#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/step.hpp"

namespace polyak::detail {

/// Where the blocks of the last step and their gradients lie. Whether any two overlap takes time quadratic in the
/// number of blocks, and is asked again only when one has moved.
class KnownAddresses {
 public:
  /// Throws std::invalid_argument if a block of parameters overlaps another, or the gradient of another. The blocks
  /// must have the sizes of the last step.
  template <FloatingPoint Scalar>
  void check(const StepView<Scalar>& view, std::string_view who) {
    if (view.layout().blocks() == 1 || are_those_of(view)) return;
    view.for_each([&](const Slice<Scalar>& a) {
      view.for_each([&](const Slice<Scalar>& b) {
        if (a.block > b.block && overlap(a.params, b.params)) throw_overlap(who, a.block, b.block, false);
        if (a.block != b.block && overlap(b.params, std::span(a.grad, a.params.size()))) {
          throw_overlap(who, a.block, b.block, true);
        }
      });
    });
    addresses_.resize(view.layout().blocks());
    view.for_each([&](const Slice<Scalar>& slice) { addresses_[slice.block] = {slice.params.data(), slice.grad}; });
  }
  void forget() noexcept { addresses_.clear(); }

 private:
  struct Addresses {
    const void *params, *gradient;
    bool operator==(const Addresses&) const = default;
  };

  template <FloatingPoint Scalar>
  [[nodiscard]] bool are_those_of(const StepView<Scalar>& view) const noexcept {
    if (addresses_.size() != view.layout().blocks()) return false;
    bool same = true;
    view.for_each([&](const Slice<Scalar>& slice) {
      same = same && addresses_[slice.block] == Addresses{slice.params.data(), slice.grad};
    });
    return same;
  }

  std::vector<Addresses> addresses_;
};

}  // namespace polyak::detail
