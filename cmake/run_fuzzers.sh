#!/usr/bin/env bash
# Fuzzes every target for so many seconds each, one after the other: cmake/run_fuzzers.sh [seconds] [target ...].
# What is new to a target is kept in BUILD_DIR/found/<target>, from one call to the next; what breaks it, in
# BUILD_DIR/broken/. BUILD_DIR is build-fuzz/ unless set. Needs clang with its compiler-rt. See tests/fuzz/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD_DIR:-build-fuzz}
seconds=${1:-600}
shift || true
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in tests/fuzz/corpus/*/; do targets+=("$(basename "$source")"); done
fi

cmake -S . -B "$build" -DCMAKE_CXX_COMPILER="${CXX:-clang++}" -DPOLYAK_BUILD_FUZZERS=ON -DPOLYAK_BUILD_BENCHMARKS=OFF > /dev/null
cmake --build "$build" --target polyak_fuzzers --parallel "$(nproc)"
mkdir -p "$build/broken"
for target in "${targets[@]}"; do
  printf '\n==== %s\n' "$target"
  mkdir -p "$build/found/$target"
  "$build/tests/fuzz/polyak_fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
    -artifact_prefix="$build/broken/$target-" -print_final_stats=1 "$build/found/$target" "tests/fuzz/corpus/$target"
done
