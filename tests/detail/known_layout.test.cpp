#include <polyak/detail/known_layout.hpp>

#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using polyak::detail::KnownLayout;
using support::error_of;

namespace {

/// Blocks of these shapes.
std::vector<BlockRef> blocks_of(const std::vector<BlockShape>& shapes) {
  std::vector<BlockRef> blocks;
  std::size_t offset = 0;
  for (const BlockShape& shape : shapes) {
    blocks.push_back({nullptr, nullptr, shape, offset});
    offset += shape.size();
  }
  return blocks;
}

Layout layout_of(const std::vector<BlockRef>& blocks) { return Layout(blocks.data(), blocks.size()); }

void note(KnownLayout& known, const std::vector<BlockShape>& shapes) {
  const auto blocks = blocks_of(shapes);
  known.remember(layout_of(blocks));
}

std::string checked(const KnownLayout& known, const std::vector<BlockShape>& shapes) {
  const auto blocks = blocks_of(shapes);
  return error_of([&] { known.check(layout_of(blocks), "A"); });
}

const std::string other_size = "invalid_argument: A: parameters must keep the size";
const std::string other_count = "invalid_argument: A: parameters must keep the number of blocks of the first step, ";

}  // namespace

TEST_CASE("a layout counts its coordinates and knows its shapes") {
  const auto blocks = blocks_of({{2, 3, true}, {0, 4}, {5, 1}});
  const Layout layout = layout_of(blocks);
  CHECK(layout.size() == 11);
  CHECK(layout.blocks() == 3);
  CHECK(layout.shape(0).row_major);
  CHECK(layout.shape(1).cols == 4);
  CHECK(layout.shape(2).rows == 5);
  const auto only = blocks_of({{3, 4}});
  const Layout one = layout_of(only);
  CHECK(one.size() == 12);
  CHECK(one.blocks() == 1);
  CHECK(one.shape(0).cols == 4);
  CHECK(layout_of({}).size() == 0);
  CHECK(layout_of({}).blocks() == 0);
}

TEST_CASE("one block must keep its size") {
  KnownLayout known;
  note(known, {{2, 3}});
  CHECK(checked(known, {{2, 3}}) == "nothing");
  CHECK(checked(known, {{6, 1}}) == "nothing");  // the same coordinates, held otherwise
  CHECK(checked(known, {{2, 4}}) == other_size + ", 2x3, got 2x4");
  CHECK(checked(known, {{0, 0}}) == other_size + ", 2x3, got 0x0");
  CHECK(checked(known, {{2, 3}, {0, 0}}) == other_count + "1, got 2");
  CHECK(checked(known, {{3, 1}, {3, 1}}) == other_count + "1, got 2");
  CHECK(checked(known, {}) == other_count + "1, got 0");
}

TEST_CASE("a matrix must keep its shape and order, and a vector goes for any of its size") {
  KnownLayout known;
  note(known, {{2, 3, true}, {2, 2}});
  const std::string other_shape = "invalid_argument: A: parameters must keep the shape and storage order of block ";
  CHECK(checked(known, {{2, 3, true}, {2, 2}}) == "nothing");
  CHECK(checked(known, {{6, 1}, {4, 1, true}}) == "nothing");
  CHECK(checked(known, {{1, 6}, {4, 1}}) == "nothing");
  CHECK(checked(known, {{3, 2, true}, {2, 2}}) == other_shape + "0, 2x3, got 3x2");
  CHECK(checked(known, {{2, 3}, {2, 2}}) == other_shape + "0, 2x3 row-major, got 2x3 column-major");
  CHECK(checked(known, {{2, 3, true}, {2, 2, true}}) == other_shape + "1, 2x2 column-major, got 2x2 row-major");
  note(known, {{6, 1}});
  CHECK(checked(known, {{2, 3}}) == "nothing");
  CHECK(checked(known, {{2, 3, true}}) == "nothing");
}

TEST_CASE("several blocks must keep their number and each its size") {
  KnownLayout known;
  note(known, {{2, 3}, {4, 1}, {2, 1}});
  CHECK(checked(known, {{2, 3}, {4, 1}, {2, 1}}) == "nothing");
  CHECK(checked(known, {{6, 1}, {2, 2}, {1, 2}}) == "nothing");
  CHECK(checked(known, {{2, 3}, {2, 1}, {4, 1}}) == other_size + " of block 1, 4x1, got 2x1");
  CHECK(checked(known, {{3, 3}, {1, 1}, {2, 1}}) == other_size + " of block 0, 2x3, got 3x3");
  CHECK(checked(known, {{2, 3}, {4, 1}, {3, 1}}) == other_size + " of block 2, 2x1, got 3x1");
  CHECK(checked(known, {{2, 3}, {6, 1}}) == other_count + "3, got 2");
  CHECK(checked(known, {{12, 1}}) == other_count + "3, got 1");
  CHECK(checked(known, {}) == other_count + "3, got 0");
}

TEST_CASE("no block at all is a layout too") {
  KnownLayout known;
  note(known, {});
  CHECK(checked(known, {}) == "nothing");
  CHECK(checked(known, {{0, 1}}) == other_count + "0, got 1");
}

TEST_CASE("the shapes are kept by value, until others are noted") {
  KnownLayout known;
  note(known, {{2, 3, true}, {4, 1}});
  // It is a layout itself.
  CHECK(known.size() == 10);
  REQUIRE(known.blocks() == 2);
  CHECK(known.shape(0).row_major);
  CHECK(known.shape(1).rows == 4);
  const KnownLayout copy = known;

  note(known, {{10, 1}});
  CHECK(known.size() == 10);
  CHECK(known.blocks() == 1);
  CHECK(checked(known, {{10, 1}}) == "nothing");
  CHECK(checked(known, {{2, 3}, {4, 1}}) == other_count + "1, got 2");
  CHECK(checked(copy, {{2, 3, true}, {4, 1}}) == "nothing");
}
