#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/averagers/cadence.hpp"
#include "polyak/averagers/compensated.hpp"
#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/known_layout.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"
#include "polyak/step.hpp"

namespace polyak {

/// Stands for "no shadow type named": double, or inside an Averaged what suits the scalar of its optimizer.
struct default_shadow {};

/// Wide enough that an average of these weights keeps moving: float for 16-bit scalars, else at least double. (An fp32
/// average stops about ulp/(2(1−β)) short of its target, 6e-4 of the weight at β = 0.9999.)
template <FloatingPoint Weight>
using wide_t = std::conditional_t<sizeof(Weight) == 2, float,
                                  std::conditional_t<std::is_same_v<Weight, long double>, long double, double>>;

namespace detail {

/// What an average consists of, by the shadow type that is named.
template <class Shadow>
struct ShadowParts {
  using scalar_type = Shadow;
  using residue_type = void;
  struct residue_vector {};
};
template <>
struct ShadowParts<default_shadow> : ShadowParts<double> {};
template <class Scalar, class Residue>
struct ShadowParts<Compensated<Scalar, Residue>> : Compensated<Scalar, Residue> {
  using residue_vector = Eigen::Matrix<Residue, Eigen::Dynamic, 1, Eigen::ColMajor>;
};

/// s += a (θ − s), given θ.
template <FloatingPoint Shadow>
struct FoldKernel {
  static constexpr std::size_t width = lanes::width<Shadow>;
  using T = lanes::compute_t<Shadow>;
  Shadow* shadow;
  T gain;

  template <std::size_t N, class W>
  void operator()(lanes::At<N> i, W weight) const noexcept {
    const auto s = lanes::load<T>(shadow, i);
    lanes::store(shadow, i, lanes::mul_add(gain, lanes::convert<T>(weight) - s, s));
  }
};

}  // namespace detail

/// What every averager is to its readers: a shadow of the weights, kept apart from them. Long, as all reading is here.
/// The Derived class has options() and steps(), which tell when the first fold is due.
template <class Derived, class Shadow>
class Average {
 public:
  using shadow_type = typename detail::ShadowParts<Shadow>::scalar_type;
  using vector_type = Eigen::Matrix<shadow_type, Eigen::Dynamic, 1, Eigen::ColMajor>;

  /// The average, block after block in storage order; throws std::logic_error where there is none yet, saying when the
  /// first fold is due. O(1).
  [[nodiscard]] const vector_type& average() const {
    const auto& self = static_cast<const Derived&>(*this);
    if (!has_average()) detail::throw_no_average(name_, detail::cadence_of(self.options()), self.steps());
    return shadow_;
  }
  /// The average in another scalar, such as that of the weights, for arithmetic with them: what copy_average_to gives a
  /// vector. By value, O(n). Throws as average() does.
  template <FloatingPoint To>
  [[nodiscard]] auto average_as() const {
    Eigen::Matrix<To, Eigen::Dynamic, 1, Eigen::ColMajor> copy(average().size());
    copy_to(std::span<To>(copy.data(), layout_.size()), 0);
    return copy;
  }

  /// True from the first fold on, or from a start on: until iterates are folded in, the start is the average.
  [[nodiscard]] bool has_average() const noexcept {
    return begun_ && static_cast<std::size_t>(shadow_.size()) == layout_.size();
  }

  /// The average of block i of a parameter set, in the shape the block had when the average began. Throws as average()
  /// does, and std::invalid_argument where there is no block i. O(i).
  [[nodiscard]] auto average_block(std::size_t i) const {
    using Matrix = Eigen::Matrix<shadow_type, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
    using Strides = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    const shadow_type* data = average().data();
    if (i >= layout_.blocks()) detail::throw_bad_size(name_, "block must be below", layout_.blocks(), i);
    for (std::size_t j = 0; j < i; ++j) data += layout_.shape(j).size();
    const auto rows = static_cast<Eigen::Index>(layout_.shape(i).rows);
    const auto cols = static_cast<Eigen::Index>(layout_.shape(i).cols);
    const Strides strides = layout_.shape(i).row_major ? Strides(1, cols) : Strides(rows, 1);
    return Eigen::Map<const Matrix, Eigen::Unaligned, Strides>(data, rows, cols, strides);
  }

  /// The average, or `params` where there is none yet: by value, O(n). Throws std::invalid_argument on another size.
  template <ReadableParameters P>
  [[nodiscard]] vector_type average_or(const P& params) const {
    if (has_average()) {
      require_fit(params);
      return shadow_;
    }
    vector_type copy(static_cast<Eigen::Index>(detail::ShapesOf(params, name_).size()));
    detail::for_each_block(params, name_, [&](std::size_t offset, auto weights) {
      lanes::copy(copy.data() + offset, weights.data(), weights.size());
    });
    return copy;
  }
  vector_type average_or(detail::NotReadable, const auto&...) const;

  /// Rounds the average, and the residue of a compensated one, into any parameters of its size: a set of blocks of its
  /// blocks' sizes, or one block. Throws as average() does, and std::invalid_argument on another size, before anything
  /// is written. Allocates nothing.
  template <Parameters P>
  void copy_average_to(P&& params) const {
    require_fit(params);
    detail::for_each_part(params, layout_.size(), [&](const auto& part) { copy_to(part.params, part.offset); });
  }
  void copy_average_to(detail::NotWritable, const auto&...) const;

  /// `params` must outlive the guard and not be moved, which it cannot know: vectors and matrices, and containers of
  /// them, are asked again where they lie when it puts back; memory that others, as a ParameterSet, a view or a Map,
  /// refer to must stay where it is. Puts the average in their place until the guard is restored or leaves scope; the
  /// trained bits are kept aside and put back as they were. Meanwhile update and step throw, and so does swap_in of any
  /// average on these weights: std::logic_error before anything is written. O(n).
  template <Parameters P>
  [[nodiscard]] SwapGuard<scalar_of<P>> swap_in(P&& params) {
    require_not_swapped();
    using Guard = SwapGuard<scalar_of<P>>;
    typename Guard::Blocks blocks;
    blocks.reserve(detail::count_blocks(params));
    detail::for_each_block(params, name_, [&](std::size_t, auto block) {
      if (!block.empty()) blocks.push_back(block);
    });
    typename Guard::Find* find = nullptr;
    void* holder = nullptr;
    if constexpr (detail::Owns<std::remove_reference_t<P>>) {
      find = find_blocks<std::remove_reference_t<P>>;
      holder = &params;
    }
    Guard guard(std::move(blocks), swapped_, name_, find, holder);
    copy_average_to(params);
    return guard;
  }
  SwapGuard<shadow_type> swap_in(detail::NotWritable, const auto&...);
  /// The same for weights that are got and set by value, as auto guard = swap_in(get, set): get() returns them in
  /// a vector, a matrix or a container of such, and set(weights) takes them, now and from the guard. Where it throws
  /// now, nothing is swapped in. No other average is kept from such weights: guards go in reverse order. O(n), two
  /// copies.
  template <class Get, class Set>
    requires detail::GetAndSet<Get, Set>
  [[nodiscard]] auto swap_in(Get get, Set set) {
    require_not_swapped();
    auto trained = get();
    auto average = trained;
    copy_average_to(average);
    SetGuard guard(std::move(trained), set, swapped_);
    set(std::as_const(average));
    guard.arm();
    return guard;
  }

  /// The average as far as it has been folded, without a residue; null where there is none. For what folds behind it.
  [[nodiscard]] const shadow_type* while_folded() const noexcept {
    return shadow_.size() > 0 ? shadow_.data() : nullptr;
  }

  /// Throws std::logic_error while the average stands in the place of the weights.
  void require_not_swapped() const {
    if (swapped_.get()) detail::throw_bad_order(name_, "the average is swapped in; restore the trained weights first");
  }

 protected:
  /// `name` must outlive the averager: a string literal.
  explicit Average(std::string_view name) : name_(name) {}

  static constexpr bool compensated = detail::is_compensated<Shadow>;
  using Residue = typename detail::ShadowParts<Shadow>::residue_type;
  using ResidueVector = typename detail::ShadowParts<Shadow>::residue_vector;
  using Quanta = detail::Quanta<shadow_type, Residue>;

  template <class Weight>
  static constexpr void require_wide_enough() {
    static_assert(!(std::is_same_v<Shadow, default_shadow> && std::is_same_v<Weight, long double>),
                  "polyak: name the shadow type to average long double weights, as in Ema<long double>");
  }

  /// Makes room for an average of such blocks.
  template <class Shapes>
  void make_room(const Shapes& layout) {
    layout_.remember(layout);
    shadow_.resize(static_cast<Eigen::Index>(layout.size()));
    if constexpr (compensated) residue_.resize(shadow_.size());
  }
  /// s = θ from coordinate `offset` on.
  template <class Weight>
  [[gnu::flatten]] void assign(std::size_t offset, std::span<Weight> weights) noexcept {
    if constexpr (compensated) {
      lanes::for_each<lanes::width<shadow_type, std::remove_const_t<Weight>>>(
          weights.size(),
          [s = shadow_.data() + offset, r = residue_.data() + offset, w = weights.data()](auto i) noexcept {
            const auto weight = lanes::load<lanes::compute_t<shadow_type>>(w, i);
            Quanta::keep(weight, decltype(weight){}, s, r, i);
          });
    } else {
      lanes::copy(shadow_.data() + offset, weights.data(), weights.size());
    }
  }
  template <class View>
  void take_start(const View& view) noexcept {
    detail::for_each_part(view, [this](const auto& part) { this->assign(part.offset, part.params); });
  }
  /// From now on the weights are the average.
  template <class View>
  void start(const View& view) {
    require_wide_enough<typename View::scalar_type>();
    make_room(view);
    take_start(view);
    begun_ = true;
  }
  /// What folds a coordinate, counted from `offset`.
  [[nodiscard]] auto fold_at(std::size_t offset, lanes::compute_t<shadow_type> gain) noexcept {
    if constexpr (compensated) {
      return detail::CompensatedFoldKernel<shadow_type, Residue>{shadow_.data() + offset, residue_.data() + offset,
                                                                 gain};
    } else {
      return detail::FoldKernel<shadow_type>{shadow_.data() + offset, gain};
    }
  }

  /// Throws std::logic_error on loading while the average is swapped in; saving does not mind.
  template <class Archive>
  void begin_serialize(Archive& archive) const {
    if constexpr (detail::is_loading<Archive>) require_not_swapped();
    detail::serialize_version(archive, name_);
    std::string shadow(detail::scalar_name<shadow_type>);
    if constexpr (compensated) shadow += " compensated by " + std::to_string(8 * sizeof(Residue)) + " bits";
    detail::serialize_option(archive, name_, "shadow", shadow);
  }
  /// The average, if there is one, and then what serialize_rest(n) does about the rest of the averager that has n
  /// numbers for n weights. On loading, all is taken over once the last of it has come.
  template <class Archive, class Rest>
  void serialize_average(Archive& archive, const Rest& serialize_rest) {
    const auto serialize_state = [&](bool& begun, auto& layout, auto& shadow, [[maybe_unused]] auto& residue) {
      detail::serialize_value(archive, "begun", begun);
      if (!begun) return;
      layout.serialize(archive, name_);
      detail::serialize_array(archive, name_, "average", shadow, layout.size());
      if constexpr (compensated) detail::serialize_array(archive, name_, "residue", residue, layout.size());
      serialize_rest(layout.size());
    };
    detail::serialize_members<Archive>(serialize_state, begun_, layout_, shadow_, residue_);
  }

  std::string_view name_;
  BlockList list_;  // of a set that is averaged without an optimizer
  detail::KnownLayout layout_;
  vector_type shadow_;
  [[no_unique_address]] ResidueVector residue_;  // of a compensated shadow, as long as it
  bool begun_ = false;                           // there is an average

 private:
  /// As SwapGuard wants it.
  template <class P>
  static bool find_blocks(void* holder, std::vector<std::span<scalar_of<P&>>>& blocks) noexcept {
    std::size_t i = 0;
    bool same = true;
    detail::for_each_block(*static_cast<P*>(holder), "polyak::SwapGuard", [&](std::size_t, auto block) {
      if (block.empty()) return;
      same = same && i < blocks.size() && block.size() == blocks[i].size();
      if (same) blocks[i++] = block;
    });
    return same && i == blocks.size();
  }
  /// Rounded once: the sum of a float and its residue is exact in double. One of double is not, and goes into a
  /// narrower scalar without.
  template <FloatingPoint To>
  void copy_to(std::span<To> target, std::size_t offset) const noexcept {
    const shadow_type* const source = shadow_.data() + offset;
    if constexpr (compensated && !std::is_same_v<To, shadow_type>) {
      using T = lanes::compute_t<shadow_type>;
      using Wider = std::conditional_t<sizeof(To) == 2, double, std::common_type_t<lanes::compute_t<To>, T>>;
      lanes::for_each<lanes::width<To, shadow_type>>(
          target.size(), [to = target.data(), source, r = residue_.data() + offset](auto i) noexcept {
            const auto s = lanes::load<T>(source, i);
            lanes::store(to, i, lanes::convert<Wider>(s) + lanes::convert<Wider>(Quanta::rest(r, i, s)));
          });
    } else {
      lanes::copy(target.data(), source, target.size());
    }
  }
  /// That there is an average, and that it fits into these parameters.
  template <ReadableParameters P>
  void require_fit(const P& params) const {
    static_cast<void>(average());
    const detail::ShapesOf target(params, name_);
    if (target.size() != layout_.size()) {
      detail::throw_bad_size(name_, "parameters must have the size of the average,", layout_.size(), target.size());
    }
    if (target.blocks() == 1 && layout_.blocks() > 1) return;
    if (target.blocks() != layout_.blocks()) {
      detail::throw_bad_size(name_, "parameters must be one block, or have as many as the average,", layout_.blocks(),
                             target.blocks());
    }
    layout_.check(target, name_);
  }

  detail::SwapFlag swapped_;
};

}  // namespace polyak
