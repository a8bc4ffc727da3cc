# What our own targets are built with; users of polyak::polyak inherit none of it.
include(CTest)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# all_verify_interface_header_sets compiles every header alone, where what it needs is there.
include(CheckIncludeFileCXX)
check_include_file_cxx(nlohmann/json.hpp POLYAK_HAS_JSON)
set(verified_sets HEADERS)
if(POLYAK_HAS_JSON)
  list(APPEND verified_sets json)
else()
  message(STATUS "polyak: nlohmann/json.hpp was not found, so safetensors.hpp is not compiled")
endif()
set_target_properties(polyak PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON
                      INTERFACE_HEADER_SETS_TO_VERIFY "${verified_sets}")

# A target of ours: ISO C++, warnings are errors.
function(polyak_set_strict target)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
  # GCC 12 takes the undefined values inside its AVX-512 intrinsics, and sanitized std::function, for uninitialised ones.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-march=|-fsanitize=")
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()

function(polyak_add_executable target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE polyak::polyak)
  polyak_set_strict(${target})
endfunction()
