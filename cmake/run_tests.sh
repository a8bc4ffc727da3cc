#!/usr/bin/env bash
# Sets up, builds and runs the tests of the library: cmake/run_tests.sh [--all] [option of cmake ...]. With --all also the
# examples, the benchmarks, and more tests; tests/README.md says which. BUILD_DIR is build/ unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build}

everything=OFF
if [[ ${1:-} == --all ]]; then
  shift
  everything=ON
fi

cmake/install_dependencies.sh
cmake -S . -B "$build" -DPOLYAK_BUILD_EXAMPLES=$everything -DPOLYAK_BUILD_BENCHMARKS=$everything \
  -DPOLYAK_TEST_ALL=$everything -DPOLYAK_TESTS= -DPOLYAK_TESTS_LEFT_OUT= "$@"
cmake --build "$build" --parallel "$(nproc)"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)"
