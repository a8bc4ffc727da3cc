#pragma once

#include <algorithm>
#include <cstddef>

#include "polyak/concepts.hpp"

// One pass over large parameters by several threads: where the compiler has OpenMP on, as linking OpenMP::OpenMP_CXX
// does, unless POLYAK_USE_OPENMP is 0. Elsewhere it is the plain loop, and nothing else.

#if defined(_OPENMP) && (!defined(POLYAK_USE_OPENMP) || POLYAK_USE_OPENMP)
#include <omp.h>

#include <cfenv>
#elif defined(POLYAK_USE_OPENMP) && POLYAK_USE_OPENMP
#error "polyak: POLYAK_USE_OPENMP needs a compiler with OpenMP on: link OpenMP::OpenMP_CXX"
#endif

namespace polyak::detail {

/// Bytes of parameters in a slice that is passed over more than once: it stays in L1, with its gradient and optimizer
/// state.
inline constexpr std::size_t slice_bytes = 4096;

/// Which share of the coordinates a thread has: number `index` of `count`, about equal, in order.
struct Share {
  std::size_t index = 0;
  std::size_t count = 1;
};

/// A part of a block.
struct Part {
  std::size_t from, to;
};

/// What falls to a share of a block that begins at `offset` among `all` coordinates. Blocks are cut at whole slices
/// from their beginning, so that a coordinate takes the same way through a loop whatever the number of shares, and
/// shares have no cache line of an aligned block in common.
template <FloatingPoint Scalar>
[[nodiscard]] constexpr Part part_of(Share share, std::size_t all, std::size_t offset, std::size_t size) noexcept {
  constexpr std::size_t length = slice_bytes / sizeof(Scalar);
  const auto cut = [&](std::size_t i) {
    const std::size_t at = all / share.count * i + (std::min)(i, all % share.count);
    if (at <= offset) return std::size_t{0};
    return at - offset >= size ? size : (at - offset) / length * length;
  };
  return {cut(share.index), cut(share.index + 1)};
}

#if defined(_OPENMP) && (!defined(POLYAK_USE_OPENMP) || POLYAK_USE_OPENMP)

/// Coordinates that are worth a thread: for fewer, waking it costs more than it saves.
inline constexpr std::size_t grain = std::size_t{1} << 17;

/// Calls f while no other thread of the team does.
template <class F>
void one_at_a_time(const F& f) noexcept {
#pragma omp critical(polyak)
  f();
}

/// Calls for_each_block(f) by several threads, each with an f that calls body(stretch) for its share of every block of
/// Scalars; by one where a thread of a team asks: the others have work of their own. A block has offset, params and
/// sub(from, n). All threads round, and flush subnormals, as the calling one does, which is told of their
/// floating-point exceptions.
template <FloatingPoint Scalar, class ForEachBlock, class Body>
void in_parts(std::size_t size, const ForEachBlock& for_each_block, const Body& body) noexcept {
  const auto take = [&](Share share) {
    for_each_block([&](const auto& block) {
      const Part part = part_of<Scalar>(share, size, block.offset, block.params.size());
      if (part.from < part.to) body(block.sub(part.from, part.to - part.from));
    });
  };
  if (size < 2 * grain || omp_in_parallel() || omp_get_max_threads() <= 1) return take({});
  const std::size_t threads = (std::min)(static_cast<std::size_t>(omp_get_max_threads()), size / grain);
  std::fenv_t mode;
  std::fegetenv(&mode);
  int raised = 0;
#pragma omp parallel num_threads(static_cast<int>(threads)) reduction(| : raised)
  {
    std::fenv_t own;
    std::fegetenv(&own);
    std::fesetenv(&mode);
    take({static_cast<std::size_t>(omp_get_thread_num()), static_cast<std::size_t>(omp_get_num_threads())});
    raised = std::fetestexcept(FE_ALL_EXCEPT);
    std::fesetenv(&own);
  }
  std::feraiseexcept(raised);
}

#else

template <class F>
void one_at_a_time(const F& f) noexcept {
  f();
}

/// Calls body with every block; where OpenMP is on, with parts of them from several threads at a time.
template <FloatingPoint Scalar, class ForEachBlock, class Body>
void in_parts(std::size_t, const ForEachBlock& for_each_block, const Body& body) noexcept {
  for_each_block(body);
}

#endif

}  // namespace polyak::detail
