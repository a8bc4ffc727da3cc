# cmake -D SOURCE_DIR=<folder of polyak> -P floors.cmake
#
# Fails where a header includes one of a higher floor. Floors, from the ground up; what stands on one floor may include its
# own folder and all below:
set(floors
    "cpp20.hpp"
    "concepts.hpp|non_finite.hpp|version.hpp"
    "detail/"
    "parameters.hpp|schedules.hpp|lanes.hpp"
    "gradient.hpp"
    "step.hpp"
    "optimizers/|averagers/|wrappers/"
    "averaged.hpp|published.hpp|sparse/"
    "schedule_free.hpp"
    "polyak.hpp|io/")

# The number of the floor of a header, and the name of its place there.
function(find_floor header floor place)
  set(number 0)
  foreach(names IN LISTS floors)
    string(REPLACE "|" ";" names "${names}")
    foreach(name IN LISTS names)
      string(FIND "${header}" "${name}" at)
      if(at EQUAL 0)
        set(${floor} ${number} PARENT_SCOPE)
        set(${place} ${name} PARENT_SCOPE)
        return()
      endif()
    endforeach()
    math(EXPR number "${number} + 1")
  endforeach()
  message(FATAL_ERROR "polyak/${header} is on no floor: add it to tests/floors.cmake")
endfunction()

file(GLOB_RECURSE headers RELATIVE ${SOURCE_DIR}/include/polyak ${SOURCE_DIR}/include/polyak/*.hpp)
set(checked 0)
foreach(header IN LISTS headers)
  find_floor(${header} floor place)
  file(STRINGS ${SOURCE_DIR}/include/polyak/${header} includes REGEX "^#include \"polyak/")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "^#include \"polyak/(.*)\"$" "\\1" included "${line}")
    find_floor(${included} other_floor other_place)
    if(NOT place STREQUAL other_place AND NOT other_floor LESS floor)
      message(FATAL_ERROR "polyak/${header} must not include polyak/${included}, which is no lower")
    endif()
    math(EXPR checked "${checked} + 1")
  endforeach()
endforeach()
if(checked LESS 100)
  message(FATAL_ERROR "only ${checked} includes were found")
endif()
