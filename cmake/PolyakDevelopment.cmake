# What our own targets are built with; users of polyak::polyak inherit none of it.
include(CTest)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# all_verify_interface_header_sets compiles every header alone.
set_target_properties(polyak PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

# An executable of ours: linked with polyak, warnings are errors.
function(polyak_add_executable target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE polyak::polyak)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
endfunction()
