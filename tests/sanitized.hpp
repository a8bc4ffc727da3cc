#pragma once

// Whether a sanitizer watches: it brings its own malloc, and takes its time.

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define POLYAK_TEST_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POLYAK_TEST_SANITIZED
#endif

namespace support {

#if defined(POLYAK_TEST_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
/// Whether code is so slow, for another reason too, that long runs have to be shorter.
#if defined(POLYAK_TEST_SLOW)
inline constexpr bool slow = true;
#else
inline constexpr bool slow = sanitized;
#endif
/// Whether there is time for runs of a million steps, as there is in the stage of CI that is optimised fully.
#if defined(POLYAK_TEST_LONG)
inline constexpr bool patient = true;
#else
inline constexpr bool patient = false;
#endif

}  // namespace support
