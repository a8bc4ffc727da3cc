# cmake -D SERIAL=<step_hashes> -D PARALLEL=<the same with OpenMP> -D THREADS=<number> -P step_hashes.cmake
#
# Fails unless both print the same.
foreach(build SERIAL PARALLEL)
  set(ENV{OMP_NUM_THREADS} ${THREADS})
  execute_process(COMMAND ${${build}} OUTPUT_VARIABLE ${build}_hashes ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR ${build}_hashes STREQUAL "")
    message(FATAL_ERROR "${${build}} stopped with ${result}\n${errors}")
  endif()
endforeach()
if(NOT SERIAL_hashes STREQUAL PARALLEL_hashes)
  message(FATAL_ERROR "one thread without OpenMP has it that\n${SERIAL_hashes}\nand ${THREADS} threads that\n${PARALLEL_hashes}")
endif()
