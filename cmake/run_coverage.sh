#!/usr/bin/env bash
# Builds the tests with clang++ to count what they run, runs them, and prints the lines and branches of include/ that
# they cover; fails below 100 % of the lines or 95 % of the branches. BUILD_DIR is build/coverage unless set; CXXFLAGS
# are further flags of the compiler, such as those of a sanitizer.
#
# A branch is one side of a condition. A template's line or branch is covered once one of its instantiations has run it;
# a template that nothing instantiates is not counted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath -m "${BUILD_DIR:-build/coverage}")
jobs=$(nproc)

cmake/install_dependencies.sh ninja-build clang libclang-rt-14-dev llvm-14
llvm() { "$(clang++ -print-prog-name="llvm-$1")" "${@:2}"; }
llvm cov --version > /dev/null

mkdir -p "$build"
printf 'src:*/include/polyak/*\n' > "$build"/counted.txt  # nothing of the tests and of other libraries
# At -O1 a file takes three times as long to compile, which is more than its tests gain. allocation.test.cpp cannot
# count where a sanitizer brings a malloc of its own.
cmake -G Ninja -S . -B "$build" -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=None -DPOLYAK_BUILD_EXAMPLES=OFF \
  -DPOLYAK_BUILD_BENCHMARKS=OFF -DPOLYAK_TESTS= -DPOLYAK_TESTS_LEFT_OUT='^allocation[.]' \
  -DCMAKE_CXX_FLAGS="-O0 -g1 -fprofile-instr-generate -fcoverage-mapping -fprofile-list=$build/counted.txt \
    ${CXXFLAGS:-}" > /dev/null
programs=(polyak_{long,short,row_major}_tests polyak_published_stress polyak_narrow_index)
# The last is not run: it includes every header, so that one which no test includes is counted too.
cmake --build "$build" --target polyak_parts "${programs[@]}" polyak_inline_functions

rm -rf "$build"/counts
export LLVM_PROFILE_FILE=$build/counts/%${jobs}m.profraw  # each run adds its counts to one of so many files
ctest --test-dir "$build" --output-on-failure --no-tests=error -R '^(narrow_index|row_major|threads[.]published)$'
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs" -L '^polyak_tests$'

llvm profdata merge -o "$build"/counts.profdata "$build"/counts/*.profraw
# Of mismatched data it warns where one program runs a function and another only has its header: the first is counted.
# Of each template first all instantiations together are shown, where some lines are missing, then each by itself.
llvm cov show "$build"/tests/CMakeFiles/polyak_inline_functions.dir/all_headers.cpp.o \
  "${programs[@]/#/-object=$build/tests/}" \
  -instr-profile="$build"/counts.profdata -show-branches=count -show-instantiations "$PWD"/include |
  awk -v root="$PWD/" '
    /^\/.*:$/ { file = substr($0, length(root) + 1); next }
    { sub(/^[ |]+/, "") }
    /^[0-9]+\| *[0-9]/ {
      split($0, field, /[ |]+/)
      line = file field[1]
      if (!(line in seen)) { seen[line]; order[lines++] = line }
      if (field[2] != "0" && !(line in run)) { run[line]; lines_run++ }
    }
    /^Branch .*True/ {
      split($0, field, /[^0-9A-Za-z.]+/)
      for (side = 4; side <= 6; side += 2) {
        branch = file field[2] ":" field[3] " " field[side]
        if (!(branch in branches)) { branches[branch]; all++ }
        if (field[side + 1] != "0" && !(branch in taken)) { taken[branch]; all_taken++ }
      }
    }
    END {
      for (i = 0; i < lines; i++) if (!(order[i] in run)) print "not run: " order[i]
      for (branch in branches) if (!(branch in taken)) print "not taken: " branch | "sort -V"
      close("sort -V")
      printf "lines of include/: %d of %d run, branches: %d of %d taken\n", lines_run, lines, all_taken, all
      exit lines == 0 || all == 0 || lines_run < lines || all_taken < 0.95 * all
    }'
