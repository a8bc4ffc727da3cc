#pragma once

#include <cstddef>

#include "allocation_counter.hpp"

/// Bytes that a call asked for in all, freed or not, with a sanitizer or without.

namespace fuzz {

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS

template <class F>
std::size_t bytes_allocated_in(F f) {
  return allocation_counter::bytes_in(f);
}

#elif defined(POLYAK_TEST_SANITIZED)

namespace detail {
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));
inline constinit thread_local std::size_t bytes = 0;
inline const int hooked = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t size) { bytes += size; }, [](const volatile void*) {});
}  // namespace detail

template <class F>
std::size_t bytes_allocated_in(F f) {
  const std::size_t before = detail::bytes;
  f();
  return detail::bytes - before;
}

#else

/// Nothing can be said.
template <class F>
std::size_t bytes_allocated_in(F f) {
  f();
  return 0;
}

#endif

}  // namespace fuzz
