# What our own targets are built with; users of polyak::polyak inherit none of it.
include(CTest)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# all_verify_interface_header_sets compiles every header alone, where what it needs is there.
set_target_properties(polyak PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
if(polyak_io_FOUND)
  set_target_properties(polyak_io PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
else()
  message(STATUS "polyak: nlohmann-json or xxHash was not found, so polyak::io is neither compiled nor tested")
endif()

# Everything is compiled so that libFuzzer sees which way an input goes; only the fuzz targets are linked with it.
if(POLYAK_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "polyak: POLYAK_BUILD_FUZZERS needs libFuzzer, which comes with clang: set CMAKE_CXX_COMPILER to clang++")
  endif()
  add_compile_options(-O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=fuzzer-no-link,address,undefined)
  add_link_options(-fsanitize=address,undefined)
endif()

# A target of ours: ISO C++, warnings are errors.
function(polyak_set_strict target)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
  # GCC 12 takes the undefined values inside its AVX-512 intrinsics, and sanitized std::function, for uninitialised ones.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-march=|-fsanitize=")
    target_compile_options(${target} PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
endfunction()

function(polyak_add_executable target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE polyak::polyak)
  polyak_set_strict(${target})
endfunction()
