#pragma once

// Catch2 3, or 2.13 as Debian 12 has it, under the names that both know.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

// What works in all scalars is tested with these, beside the cases in double. CMake may name others.
#ifndef POLYAK_TEST_SCALARS
#define POLYAK_TEST_SCALARS float, Eigen::half
#endif
