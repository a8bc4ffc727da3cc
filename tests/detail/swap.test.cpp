#include <polyak/detail/swap.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using polyak::SwapGuard;
using Blocks = SwapGuard<double>::Blocks;
using polyak::detail::SwapFlag;

namespace {

Blocks whole(std::vector<double>& params) { return {params}; }

}  // namespace

TEST_CASE("a guard puts back what the parameters were when it was made") {
  std::vector<double> params{1, 2, 3};
  SwapFlag flag;
  CHECK_FALSE(flag.get());

  SECTION("at the end of its scope") {
    {
      const SwapGuard<double> guard(whole(params), flag, "A");
      CHECK(flag.get());
      params = {7, 8, 9};
    }
    CHECK(params == std::vector<double>{1, 2, 3});
    CHECK_FALSE(flag.get());
  }
  SECTION("when asked, and then no more") {
    SwapGuard<double> guard(whole(params), flag, "A");
    params[0] = 7;
    guard.restore();
    CHECK(params == std::vector<double>{1, 2, 3});
    CHECK_FALSE(flag.get());
    params[0] = 5;
    guard.restore();
    CHECK(params[0] == 5);
  }
  SECTION("also after it moved") {
    SwapGuard<double> guard(whole(params), flag, "A");
    params[0] = 7;
    {
      const SwapGuard<double> moved(std::move(guard));
      guard.restore();  // has nothing left to restore
      CHECK(params[0] == 7);
      CHECK(flag.get());
    }
    CHECK(params[0] == 1);
    CHECK_FALSE(flag.get());
  }
  SECTION("before it takes over from another") {
    std::vector<double> others{4, 5};
    SwapFlag other_flag;
    SwapGuard<double> guard(whole(params), flag, "A");
    params[0] = 7;
    SwapGuard<double> other(whole(others), other_flag, "A");
    others[0] = 8;
    guard = std::move(other);
    CHECK(params[0] == 1);
    CHECK_FALSE(flag.get());
    CHECK(others[0] == 8);
    CHECK(other_flag.get());
    guard.restore();
    CHECK(others[0] == 4);
    CHECK_FALSE(other_flag.get());
  }
  SECTION("but not when it is assigned to itself") {
    SwapGuard<double> guard(whole(params), flag, "A");
    params[0] = 7;
    SwapGuard<double>& itself = guard;
    guard = std::move(itself);
    CHECK(params[0] == 7);
    CHECK(flag.get());
    guard.restore();
    CHECK(params[0] == 1);
  }
}

TEST_CASE("the flag follows its owner and not its copies") {
  std::vector<double> params{1};
  SwapFlag flag;
  SwapGuard<double> guard(whole(params), flag, "A");

  const SwapFlag copy(flag);
  CHECK_FALSE(copy.get());
  SwapFlag assigned;
  assigned = flag;
  CHECK_FALSE(assigned.get());

  SwapFlag moved(std::move(flag));
  CHECK(moved.get());
  CHECK_FALSE(flag.get());

  SwapFlag taken;
  taken = std::move(moved);
  CHECK(taken.get());
  CHECK_FALSE(moved.get());
  taken = SwapFlag();  // the weights are as they were, whoever owns the flag
  CHECK(taken.get());
  moved = std::move(taken);

  const SwapFlag unswapped;
  moved = unswapped;  // a copy of another owner's state does not undo the swap
  CHECK(moved.get());
  guard.restore();
  CHECK_FALSE(moved.get());

  SwapGuard<double> again(whole(params), moved, "A");
  CHECK(moved.get());
}

TEST_CASE("a guard may outlive the flag's owner") {
  std::vector<double> params{1};
  {
    auto flag = std::make_unique<SwapFlag>();
    const SwapGuard<double> guard(whole(params), *flag, "A");
    params[0] = 2;
    flag.reset();
  }
  CHECK(params[0] == 1);
}

TEST_CASE("a guard puts every block back, each in its place and bit by bit") {
  std::vector<double> first{1, support::not_a_number};
  std::vector<double> none;
  std::vector<double> last{-0.0, 4, 5e-324};
  const auto kept_first = first, kept_last = last;
  SwapFlag flag;
  {
    SwapGuard<double> guard(
        Blocks({std::span(first), std::span(none), std::span(last).first(1), std::span(last).last(2)}), flag, "A");
    first.assign(2, 7);
    last.assign(3, 8);
    const SwapGuard<double> moved = std::move(guard);
    CHECK(first[0] == 7);
  }
  CHECK(support::same_bits(first, kept_first));
  CHECK(support::same_bits(last, kept_last));
  CHECK_FALSE(flag.get());
}

TEST_CASE("a guard of no blocks has nothing to put back and still raises its flag") {
  SwapFlag flag;
  {
    const SwapGuard<float> guard({}, flag, "A");
    CHECK(flag.get());
  }
  CHECK_FALSE(flag.get());
}

TEST_CASE("one average at a time stands in the place of a weight") {
  std::vector<double> params{1, 2, 3, 4};
  const std::span<double> all(params);
  const auto two = [&](std::size_t from) { return Blocks({all.subspan(from, 2)}); };
  SwapFlag flag, other_flag;
  SwapGuard<double> guard(two(1), flag, "A");
  for (const std::size_t from : {0U, 1U, 2U}) {
    CHECK(support::error_of([&] { const SwapGuard<double> other(two(from), other_flag, "B"); }) ==
          "logic_error: B: another average is swapped in on these weights; restore the trained weights first");
    CHECK_FALSE(other_flag.get());
  }
  std::vector<double> others{5, 6};
  { const SwapGuard<double> other(Blocks({all.first(1), others, all.last(1)}), other_flag, "B"); }
  {
    SwapGuard<double> neighbour(Blocks({all.first(1)}), other_flag, "B");
    guard.restore();  // in whichever order
  }
  const SwapGuard<double> other(two(0), other_flag, "B");
  CHECK(other_flag.get());
}

TEST_CASE("a guard that can ask where the weights are by now puts them back there") {
  struct Holder {
    std::vector<double> elsewhere{8, 9};
    bool same = true;
  } holder;
  const auto find = [](void* at, Blocks& blocks) noexcept {
    auto& asked = *static_cast<Holder*>(at);
    blocks = whole(asked.elsewhere);
    return asked.same;
  };
  std::vector<double> params{1, 2};
  SwapFlag flag;
  SwapGuard<double> guard(whole(params), flag, "A", find, &holder);
  params = {7, 7};
  SECTION("there") {
    guard.restore();
    CHECK(holder.elsewhere == std::vector<double>{1, 2});
    CHECK(params == std::vector<double>{7, 7});
  }
  SECTION("or nowhere") {
    holder.same = false;
    CHECK(support::error_of([&] { guard.restore(); }) ==
          "logic_error: polyak::SwapGuard: the weights must have the size they had when swapped in");
    CHECK(flag.get());
    { const SwapGuard<double> gone(std::move(guard)); }
    CHECK(holder.elsewhere == std::vector<double>{8, 9});
  }
  CHECK_FALSE(flag.get());
}
