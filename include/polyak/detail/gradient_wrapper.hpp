#pragma once

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/kernel.hpp"
#include "polyak/detail/scalar_of_optimizer.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/step.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/parameters.hpp"

namespace polyak::detail {

/// Stands for a pointer to the gradient where a filter lies in between.
template <FloatingPoint Scalar, class Grad>
struct Filtered {
  using T = compute_t<Scalar>;
  Grad grad;
  T scale, limit;

  [[gnu::always_inline]] T operator[](std::size_t i) const noexcept {
    const T g = scale * static_cast<T>(grad[i]);
    return g > limit ? limit : g < -limit ? -limit : g;  // NaN passes
  }
  Filtered operator+(std::ptrdiff_t n) const noexcept { return {grad + n, scale, limit}; }
};

template <FloatingPoint Scalar, class Grad>
auto filtered(const Slice<Scalar, Grad>& slice, const GradFilter& filter) noexcept {
  using F = Filtered<Scalar, Grad>;
  using T = typename F::T;
  return Slice<Scalar, F>{slice.block, slice.offset, slice.params,
                          F{slice.grad, static_cast<T>(filter.scale), static_cast<T>(filter.limit)}};
}

/// What a wrapper makes of a gradient before the step.
struct Verdict {
  bool skip = false;
  GradFilter filter = {};
};

/// A matrix, or an array, like D.
template <class D, template <class, int, int, int, int, int> class Like>
using plain_like = Like<typename D::Scalar, D::RowsAtCompileTime, D::ColsAtCompileTime,
                        D::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor, D::RowsAtCompileTime, D::ColsAtCompileTime>;
template <class D>
using plain_t = std::conditional_t<std::derived_from<D, Eigen::ArrayBase<D>>, plain_like<D, Eigen::Array>,
                                   plain_like<D, Eigen::Matrix>>;

/// Hands f a gradient, given flat, in a form in which an optimizer of these parameters can take it: a Map of the
/// parameters' shape, a span, or a set of them.
template <class P, class Scalar, class F>
decltype(auto) with_shaped(P& params, const Scalar* flat_gradient, F f) {
  if constexpr (EigenDense<P>) {
    return f(Eigen::Map<const plain_t<P>>(flat_gradient, params.rows(), params.cols()));
  } else if constexpr (Scalars<P&>) {
    return f(std::span<const Scalar>(flat_gradient, std::ranges::size(params)));
  } else if constexpr (is_parameter_set<std::remove_const_t<P>>) {
    return f(params.like(flat_gradient));
  } else {
    using Element = std::remove_cvref_t<std::ranges::range_reference_t<P>>;
    if constexpr (EigenDense<Element>) {
      std::vector<Eigen::Map<const plain_t<Element>>> blocks;
      for (const auto& block : params) {
        blocks.emplace_back(flat_gradient, block.rows(), block.cols());
        flat_gradient += block.size();
      }
      return f(blocks);
    } else {
      std::vector<std::span<const Scalar>> blocks;
      for (const auto& block : params) {
        blocks.emplace_back(flat_gradient, std::ranges::size(block));
        flat_gradient += std::ranges::size(block);
      }
      return f(blocks);
    }
  }
}

/// An optimizer behind something that looks at each gradient first. The Wrapper has
///
///     Verdict inspect(view) const    may throw; changes nothing
///     void note(verdict)             once the step is committed; cannot throw
///     for_each_option(visit)         visit(name, option)
///     state()                        a tuple of references to the numbers that it keeps
///     name
template <class Wrapper, class Optimizer>
class GradientWrapper : public ScalarOfOptimizer<Optimizer> {
 public:
  template <class Inner>
  class Update;

  /// A step of the optimizer along the gradient as the wrapper leaves it; true if it took one. Throws what the
  /// optimizer throws.
  template <class P, class G>
  bool step(P&& params, const G& grad) {
    if constexpr (explain_step<scalar_or_any<Optimizer>, P, G>()) {
      if constexpr (SlicewiseOptimizer<Optimizer>) {
        return step_in_slices(*this, params, grad, Wrapper::name);
      } else {
        const bool taken = step_quietly(params, grad);
        throw_pending();
        return taken;
      }
    }
  }

  template <FloatingPoint Scalar>
    requires SlicewiseOptimizer<Optimizer>
  [[nodiscard]] auto begin_step(const StepView<Scalar>& view) {
    using Inner = decltype(optimizer_.begin_step(view));
    const Verdict verdict = self().inspect(view);
    if (verdict.skip) return Update<Inner>(self(), verdict);
    return Update<Inner>(self(), verdict, optimizer_.begin_step(view.filtered(verdict.filter)));
  }

  /// A step of an optimizer that takes it whole.
  template <class P, FloatingPoint Scalar>
  bool step_whole_along(P& params, const StepView<Scalar>& view) {
    const Verdict verdict = self().inspect(view);
    const bool taken = !verdict.skip && hand_on(params, view.filtered(verdict.filter));
    self().note(verdict);
    return taken;
  }

  [[nodiscard]] Optimizer& optimizer() noexcept { return optimizer_; }
  [[nodiscard]] const Optimizer& optimizer() const noexcept { return optimizer_; }

  /// Throws std::logic_error while an average inside stands in the place of the weights.
  void require_not_swapped() const { require_nothing_swapped(optimizer_); }
  /// A step taken as a whole; what an average inside has to throw of it is held back for throw_pending.
  template <class P, class G>
  bool step_quietly(P& params, const G& grad)
    requires(!SlicewiseOptimizer<Optimizer>)
  {
    return with_view(params, grad, Wrapper::name, [&](const auto& view) { return step_whole_along(params, view); });
  }
  /// Throws what an average inside has held back while the step was under way.
  void throw_pending() { detail::throw_pending(optimizer_); }

  /// Saves or loads the wrapper and its optimizer, which is the user's own or the library's: see Averaged::serialize.
  template <class Archive>
  void serialize(Archive& archive, unsigned int) {
    serialize_version(archive, Wrapper::name);
    self().for_each_option(OptionSerializer<Archive>{archive, Wrapper::name});
    auto numbers = copy_of(self().state());
    std::apply([&archive](auto&... each) { (serialize_value(archive, each), ...); }, numbers);
    serialize_part(archive, "optimizer", optimizer_);
    if constexpr (is_loading<Archive>) self().state() = numbers;
  }

 protected:
  explicit GradientWrapper(Optimizer trainer) : optimizer_(std::move(trainer)) {}

  void reset_optimizer() {
    if constexpr (requires { optimizer_.reset(); }) optimizer_.reset();
  }

 private:
  template <class... Numbers>
  static std::tuple<Numbers...> copy_of(const std::tuple<Numbers&...>& numbers) {
    return numbers;
  }

  [[nodiscard]] Wrapper& self() noexcept { return static_cast<Wrapper&>(*this); }

  template <class P, FloatingPoint Scalar>
  bool hand_on(P& params, const StepView<Scalar>& view) {
    if constexpr (requires { optimizer_.step_whole_along(params, view); }) {
      return optimizer_.step_whole_along(params, view);  // a wrapper too: it sees the gradient as it came
    } else {
      std::vector<Scalar> gradient(view.layout().size());
      view.for_each([&](const Slice<Scalar>& slice) {
        const auto through = filtered(slice, view.filter());
        for (std::size_t i = 0; i < slice.params.size(); ++i) {
          gradient[slice.offset + i] = static_cast<Scalar>(through.grad[i]);
        }
      });
      return with_shaped(params, gradient.data(), [&](const auto& g) { return step_whole(optimizer_, params, g); });
    }
  }

  Optimizer optimizer_;
};

template <class Wrapper, class Optimizer>
template <class Inner>
class GradientWrapper<Wrapper, Optimizer>::Update {
 public:
  static constexpr bool concurrent = Concurrent<Inner>;
  static constexpr bool late = LateUpdate<Inner>;

  Update(Wrapper& wrapper, const Verdict& verdict) : wrapper_(&wrapper), verdict_(verdict) {}
  Update(Wrapper& wrapper, const Verdict& verdict, Inner inner)
      : wrapper_(&wrapper), verdict_(verdict), inner_(std::move(inner)) {}

  template <FloatingPoint Scalar, class Grad>
  void operator()(const Slice<Scalar, Grad>& slice) noexcept {
    static_assert(std::invocable<Inner&, Slice<Scalar, Filtered<Scalar, Grad>>>,
                  "polyak: behind a wrapper, an update is called with slices of any type of Grad");
    if (!inner_) return;
    if (changes()) {
      (*inner_)(filtered(slice, verdict_.filter));
    } else {
      (*inner_)(slice);
    }
  }
  template <FloatingPoint Scalar, class Grad, class Visitor>
    requires ElementwiseUpdateOf<Inner, Scalar>
  bool visit(const Slice<Scalar, Grad>& slice, const Visitor& visitor) noexcept {
    if (!inner_) return false;
    return changes() ? inner_->visit(filtered(slice, verdict_.filter), visitor) : inner_->visit(slice, visitor);
  }
  [[nodiscard]] bool taken() const noexcept { return inner_ && inner_->taken(); }
  void commit() noexcept {
    if (inner_) inner_->commit();
    wrapper_->note(verdict_);
  }

 private:
  [[nodiscard]] bool changes() const noexcept {
    return verdict_.filter.scale != 1 || verdict_.filter.limit != std::numeric_limits<double>::infinity();
  }

  Wrapper* wrapper_;
  Verdict verdict_;
  std::optional<Inner> inner_;
};

}  // namespace polyak::detail
