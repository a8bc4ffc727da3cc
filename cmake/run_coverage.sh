#!/usr/bin/env bash
# Builds the tests with g++ to count what they run, runs them, and prints the lines and branches of include/ that they
# cover; fails below 100 % of the lines or 95 % of the branches. BUILD_DIR is build/coverage unless set.
#
# Not counted as branches are those that only an exception takes, from any call that may throw (std::bad_alloc above
# all), and those of lines without code of their own, such as the braces where destructors run. A template's line or
# branch is covered once one of its instantiations has run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build/coverage}
jobs=$(nproc)

cmake/install_dependencies.sh ninja-build gcovr
# Left out are tests that run nothing which the others do not. Only code of include/ counts its executions. What is always
# inlined would count as its callers', once for each.
cmake -G Ninja -S . -B "$build" -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=None -DPOLYAK_BUILD_EXAMPLES=OFF \
  -DPOLYAK_BUILD_BENCHMARKS=OFF \
  -DPOLYAK_TESTS_LEFT_OUT='^(convergence|exact_cases|fixtures|peer_defects|properties|sparse/sklearn|wrappers/nesting)[.]' \
  -DCMAKE_CXX_FLAGS="-O0 -DNDEBUG -DPOLYAK_TEST_SLOW -fno-inline -Dalways_inline=noinline \
    --coverage -fprofile-update=atomic -fprofile-filter-files=.*include/polyak/.*" > /dev/null
# The last is not run: it has inline functions counted that nothing calls.
cmake --build "$build" --target polyak_tests polyak_published_stress polyak_narrow_index polyak_inline_functions
find "$build" -name '*.gcda' -delete

"$build"/tests/polyak_long_tests
"$build"/tests/polyak_short_tests
"$build"/tests/polyak_published_stress
"$build"/tests/polyak_narrow_index

report() {
  gcovr --root . --filter include/ --exclude-throw-branches --exclude-unreachable-branches \
    --gcov-executable "$PWD"/cmake/gcov_of_what_ran.sh "$@"
}
report -j "$jobs" --json "$build"/coverage.json "$build"
report --add-tracefile "$build"/coverage.json
report --add-tracefile "$build"/coverage.json --branches --fail-under-line 100 --fail-under-branch 95
