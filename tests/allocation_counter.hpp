#pragma once

#include <cerrno>
#include <cstddef>

#include "sanitized.hpp"

// Every allocation of the process is counted, Eigen's and operator new's alike, by defining malloc and its kin in front
// of the C library's, which glibc offers under names of their own. A sanitizer brings its own malloc; there, and with
// another C library, nothing can be said. Weak, so that several sources may include this and the linker takes one.

#if defined(__GLIBC__) && !defined(POLYAK_TEST_SANITIZED)
#define POLYAK_TEST_COUNTS_ALLOCATIONS

namespace allocation_counter {

inline constinit thread_local std::size_t allocations = 0;
inline constinit thread_local std::size_t bytes = 0;

inline void count(std::size_t size) noexcept {
  ++allocations;
  bytes += size;
}

template <class F>
std::size_t allocations_in(F f) {
  const std::size_t before = allocations;
  f();
  return allocations - before;
}

template <class F>
std::size_t bytes_in(F f) {
  const std::size_t before = bytes;
  f();
  return bytes - before;
}

/// How many vectors of n scalars f allocates; what a few blocks' shapes and addresses take is let pass.
template <class Scalar, class F>
double vectors_in(std::size_t n, F f) {
  constexpr std::size_t bookkeeping = 1024;
  const std::size_t all = bytes_in(f);
  const std::size_t vectors = all / (n * sizeof(Scalar));
  const std::size_t rest = all % (n * sizeof(Scalar));
  return static_cast<double>(vectors) + (rest <= bookkeeping ? 0 : 0.5);
}

}  // namespace allocation_counter

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

[[gnu::weak]] void* malloc(std::size_t size) noexcept {
  allocation_counter::count(size);
  return __libc_malloc(size);
}
[[gnu::weak]] void* calloc(std::size_t count, std::size_t size) noexcept {
  allocation_counter::count(count * size);
  return __libc_calloc(count, size);
}
[[gnu::weak]] void* realloc(void* memory, std::size_t size) noexcept {
  allocation_counter::count(size);
  return __libc_realloc(memory, size);
}
[[gnu::weak]] void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  allocation_counter::count(size);
  return __libc_memalign(alignment, size);
}
[[gnu::weak]] int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  allocation_counter::count(size);
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}

#endif
