# cmake -D SERIAL=<step_hashes> -D PARALLEL=<the same with OpenMP> -D "THREADS=<number>;…" -P step_hashes.cmake
#
# Fails unless the second prints what the first does, with each number of threads.

# What a program prints with so many threads.
function(hashes_of program threads result)
  set(ENV{OMP_NUM_THREADS} ${threads})
  set(ENV{OMP_WAIT_POLICY} passive)  # more threads than cores take minutes if they wait by spinning
  execute_process(COMMAND ${program} OUTPUT_VARIABLE hashes ERROR_VARIABLE errors RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR hashes STREQUAL "")
    message(FATAL_ERROR "${program} stopped with ${status}\n${errors}")
  endif()
  set(${result} "${hashes}" PARENT_SCOPE)
endfunction()

hashes_of(${SERIAL} 1 serial)
foreach(threads IN LISTS THREADS)
  hashes_of(${PARALLEL} ${threads} parallel)
  if(NOT serial STREQUAL parallel)
    message(FATAL_ERROR "one thread without OpenMP has it that\n${serial}\nand ${threads} threads that\n${parallel}")
  endif()
endforeach()
