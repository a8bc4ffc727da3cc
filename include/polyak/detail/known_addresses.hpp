#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/step.hpp"

namespace polyak::detail {

/// Where the blocks of the last step and their gradients lie. Whether any two overlap takes a sort to tell, and is
/// asked again only when one has moved.
class KnownAddresses {
 public:
  /// Throws std::invalid_argument if a block of parameters overlaps another, or the gradient of another. The blocks
  /// must have the sizes of the last step.
  template <FloatingPoint Scalar>
  void check(const StepView<Scalar>& view, std::string_view who) {
    if (view.layout().blocks() != 1 && !are_those_of(view)) check_anew(view, who);
  }
  void forget() noexcept { addresses_.clear(); }

 private:
  template <FloatingPoint Scalar>
  [[gnu::noinline]] void check_anew(StepView<Scalar> view, std::string_view who) {
    stretches_.clear();
    view.for_each([&](const Slice<Scalar>& slice) {
      const std::size_t n = slice.params.size();
      if (n == 0) return;
      const Scalar* const params = slice.params.data();
      stretches_.push_back({params, params + n, slice.block, false});
      stretches_.push_back({slice.grad, slice.grad + n, slice.block, true});
    });
    check_stretches(who);
    addresses_.resize(view.layout().blocks());
    view.for_each([&](const Slice<Scalar>& slice) { addresses_[slice.block] = {slice.params.data(), slice.grad}; });
  }

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

  struct Stretch {
    const void *begin, *end;
    std::size_t block;
    bool gradient;
  };

  /// In order of their begins, a stretch overlaps one before it if the one that reaches furthest.
  void check_stretches(std::string_view who) {
    const std::less<const void*> before;
    std::sort(stretches_.begin(), stretches_.end(),
              [&](const Stretch& a, const Stretch& b) { return before(a.begin, b.begin); });
    const Stretch* params = nullptr;
    const Stretch* gradient = nullptr;         // of the gradients so far, the one that reaches furthest,
    const Stretch* second_gradient = nullptr;  // and the one that does after it
    const auto reaches = [&](const Stretch* a, const Stretch& b) {
      return a && a->block != b.block && before(b.begin, a->end);
    };
    const auto further = [&](const Stretch* a, const Stretch* b) { return !a || before(a->end, b->end) ? b : a; };
    for (const Stretch& each : stretches_) {
      if (reaches(params, each)) {
        if (each.gradient) throw_overlap(who, each.block, params->block, true);
        throw_overlap(who, std::max(each.block, params->block), std::min(each.block, params->block), false);
      }
      if (each.gradient) {
        if (further(gradient, &each) == &each) {
          second_gradient = gradient;
          gradient = &each;
        } else {
          second_gradient = further(second_gradient, &each);
        }
      } else {
        if (reaches(gradient, each)) throw_overlap(who, gradient->block, each.block, true);
        if (reaches(second_gradient, each)) throw_overlap(who, second_gradient->block, each.block, true);
        params = further(params, &each);
      }
    }
  }

  std::vector<Addresses> addresses_;
  std::vector<Stretch> stretches_;
};

}  // namespace polyak::detail
