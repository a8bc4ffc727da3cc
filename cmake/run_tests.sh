#!/usr/bin/env bash
# Sets up, builds and runs the tests of the library: cmake/run_tests.sh [--all] [option of cmake ...]. With --all also the
# examples, the benchmarks, the projects that use polyak, and what works in all scalars in all five. BUILD_DIR is build/
# unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build}

everything=OFF
scalars="float;Eigen::half"
if [[ ${1:-} == --all ]]; then
  shift
  everything=ON
  scalars="float;double;long double;Eigen::half;Eigen::bfloat16"
fi

cmake/install_dependencies.sh
cmake -S . -B "$build" -DPOLYAK_BUILD_EXAMPLES=$everything -DPOLYAK_BUILD_BENCHMARKS=$everything \
  -DPOLYAK_TEST_CONSUMERS=$everything "-DPOLYAK_TEST_SCALARS=$scalars" "$@"
cmake --build "$build" --parallel "$(nproc)"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)"
