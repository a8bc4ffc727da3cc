#!/usr/bin/env bash
# Sets up, builds and tests everything: cmake/run_tests.sh [option of cmake ...]. BUILD_DIR is build/ unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build}

cmake/install_dependencies.sh
cmake -S . -B "$build" "$@"
cmake --build "$build" --parallel "$(nproc)"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)"
