#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/step.hpp"

namespace polyak::detail {

/// The layout of the first step, that later steps must keep. What is called out of line takes a copy, so that the
/// layout of a step, which has its address taken nowhere else, can stay in registers.
class KnownLayout {
 public:
  /// Throws std::invalid_argument if `layout` has other blocks, or blocks of other sizes, than the one noted.
  void check(const Layout& layout, std::string_view who) const {
    if (layout.size() != size_ || layout.blocks() != 1 || shapes_.size() != 1) check_blocks(layout, who);
  }

  [[gnu::noinline]] void note(Layout layout) {
    shapes_.resize(layout.blocks());
    for (std::size_t i = 0; i < shapes_.size(); ++i) shapes_[i] = layout.shape(i);
    size_ = layout.size();
  }
  void forget() noexcept { shapes_.clear(); }

  [[nodiscard]] const std::vector<BlockShape>& shapes() const noexcept { return shapes_; }

 private:
  [[gnu::noinline]] void check_blocks(Layout layout, std::string_view who) const {
    if (layout.blocks() != shapes_.size()) {
      throw_bad_size(who, "parameters must keep the number of blocks of the first step,", shapes_.size(),
                     layout.blocks());
    }
    for (std::size_t i = 0; i < shapes_.size(); ++i) {
      const BlockShape got = layout.shape(i);
      if (got.size() != shapes_[i].size()) {
        throw_bad_block(who, "parameters must keep the size", i, shapes_.size(), shapes_[i], got);
      }
    }
  }

  std::size_t size_ = 0;
  std::vector<BlockShape> shapes_;
};

}  // namespace polyak::detail
