# cmake -D BENCH=<polyak_bench> -D RESULTS=<directory> -P run.cmake
#
# Runs everything, one process a size: what is compared runs within seconds, in random order, on the same pages.

function(run name filter repetitions seconds)
  message(STATUS "Benchmark ${name}")
  execute_process(
    COMMAND ${BENCH} --benchmark_filter=${filter} --benchmark_repetitions=${repetitions} --benchmark_min_time=${seconds}
            --benchmark_enable_random_interleaving=true --benchmark_out=${RESULTS}/${name}.json
    OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "polyak_bench stopped with ${result}\n${errors}")
  endif()
endfunction()

file(REMOVE_RECURSE ${RESULTS})
file(MAKE_DIRECTORY ${RESULTS})
run(training ^training 21 0.005)
run(47236 /47236$ 21 0.005)
foreach(exponent RANGE 6 18 2)
  math(EXPR n "1 << ${exponent}")
  run(${n} /${n}$ 15 0.004)
endforeach()
# One repetition of all families takes half a minute at 2²², most of it to make what they need.
run(1048576 /1048576$ 7 0.004)
run(4194304 /4194304$ 3 0.001)
run(16777216 /16777216$ 7 0.004)
