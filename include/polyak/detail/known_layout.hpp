#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/detail/errors.hpp"
#include "polyak/detail/serialize.hpp"

namespace polyak::detail {

/// The layout of the first step, that later steps must keep. Shapes have blocks(), shape(i) and size().
class KnownLayout {
 public:
  /// Throws std::invalid_argument if `layout` has other blocks than the one noted, or blocks of another size; or where
  /// both are matrices of another shape or storage order. A vector goes for a matrix of its size.
  template <class Shapes>
  void check(const Shapes& layout, std::string_view who) const {
    if (layout.blocks() != 1 || shapes_.size() != 1 || shapes_[0] != layout.shape(0)) check_blocks(layout, who);
  }

  template <class Shapes>
  void remember(const Shapes& layout) {
    shapes_.resize(layout.blocks());
    for (std::size_t i = 0; i < shapes_.size(); ++i) shapes_[i] = layout.shape(i);
    size_ = layout.size();
  }

  /// Coordinates in all.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t blocks() const noexcept { return shapes_.size(); }
  [[nodiscard]] const BlockShape& shape(std::size_t i) const noexcept { return shapes_[i]; }

  /// Loads into a layout that is new.
  template <class Archive>
  void serialize(Archive& archive, std::string_view who) {
    std::uint64_t count = shapes_.size();
    serialize_value(archive, "blocks", count);
    constexpr std::size_t most = (std::numeric_limits<std::ptrdiff_t>::max)();
    for (std::uint64_t i = 0; i < count; ++i) {
      BlockShape shape;
      if constexpr (!is_loading<Archive>) shape = shapes_[i];
      std::uint64_t rows = shape.rows, cols = shape.cols;
      const std::string name = "blocks." + std::to_string(i);
      serialize_value(archive, name + ".rows", rows);
      serialize_value(archive, name + ".cols", cols);
      serialize_value(archive, name + ".row_major", shape.row_major);
      if constexpr (is_loading<Archive>) {
        shape.rows = to_size(rows);
        shape.cols = to_size(cols);
        if (shape.cols != 0 && shape.rows > most / shape.cols) throw_damaged(who, "a block is too large");
        if (shape.size() > most - size_) throw_damaged(who, "its blocks are too large");
        shapes_.push_back(shape);
        size_ += shape.size();
      }
    }
    if constexpr (requires { archive.reshape(shapes_); }) {
      if (!archive.reshape(shapes_)) return;  // as it is, but where parameters have other blocks by now
      size_ = 0;
      for (const BlockShape& shape : shapes_) size_ += shape.size();
    }
  }

 private:
  [[nodiscard]] static bool fits(const BlockShape& kept, const BlockShape& got) noexcept {
    return got.size() == kept.size() &&
           (!got.is_matrix() || !kept.is_matrix() || (got.rows == kept.rows && got.row_major == kept.row_major));
  }
  template <class Shapes>
  [[gnu::noinline]] void check_blocks(const Shapes& layout, std::string_view who) const {
    if (layout.blocks() != shapes_.size()) {
      throw_bad_size(who, "parameters must keep the number of blocks of the first step,", shapes_.size(),
                     layout.blocks());
    }
    for (std::size_t i = 0; i < shapes_.size(); ++i) {
      const BlockShape got = layout.shape(i);
      if (fits(shapes_[i], got)) continue;
      const std::string_view kept = got.size() == shapes_[i].size() ? "shape and storage order" : "size";
      throw_bad_block(who, std::string("parameters must keep the ").append(kept), i, shapes_.size(), shapes_[i], got);
    }
  }

  std::size_t size_ = 0;
  std::vector<BlockShape> shapes_;
};

}  // namespace polyak::detail
