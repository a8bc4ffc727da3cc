#pragma once

// Every header comes by here before it needs any of C++20, so that an older standard is refused in one sentence instead
// of thousands. GCC 10 calls C++20 201709.
#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) <= 201703L
#error "polyak needs C++20: compile with -std=c++20, or with /std:c++20"
#include "C++20"  // ends the compilation
#endif
