#include <benchmark/benchmark.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "benchmarks.hpp"

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  // Memory once touched is kept for the next repetition: pages fresh from the kernel are slow.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
  benchmark::AddCustomContext("cpu", POLYAK_BENCH_CPU);
  benchmark::AddCustomContext("compiler", POLYAK_BENCH_COMPILER);
  benchmark::AddCustomContext("flags", POLYAK_BENCH_FLAGS);
  register_vector_steps();
  register_set_steps();
  register_sparse_steps();
  register_published();
  register_training();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
}
