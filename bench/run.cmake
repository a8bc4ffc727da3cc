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
run(training ^training 101 0.02)
run(47236 /47236$ 51 0.005)
foreach(exponent RANGE 6 24 2)
  math(EXPR n "1 << ${exponent}")
  if(exponent LESS_EQUAL 20)
    run(${n} /${n}$ 51 0.005)
  else()
    run(${n} /${n}$ 21 0.03)
  endif()
endforeach()
