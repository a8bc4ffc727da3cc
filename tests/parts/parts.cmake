# Every public class of include/polyak/ that is a part must have a row in the table of tests/parts/, from which all tests over
# all parts take their lists. polyak_check_parts(<folder of the repository>) stops with a sentence where one has none.
#
# cmake -D SOURCE_DIR=<folder> -P parts.cmake does the same.

cmake_minimum_required(VERSION 3.24)

# What is declared in the headers of parts and is no part.
set(POLYAK_NO_PARTS
    Hyperparameter Decay  # a number or a schedule: schedules and decays are tried inside them
    Average Averager default_shadow Cadence Compensated  # what averagers are made of
    UniformGain EmaGain PolynomialGain PowerGain AnytimeGain CallableGain  # each the gain of an averager that has a row
    Guarded)  # wraps an averager, and its own tests are about where it behaves otherwise

function(polyak_check_parts source_dir)
  set(rows)
  file(GLOB tables ${source_dir}/tests/parts/*.hpp)
  foreach(table IN LISTS tables)
    file(READ ${table} text)
    # The lists are "inline constexpr std::tuple<Row, Row> name;".
    string(REGEX MATCHALL "inline constexpr std::tuple<[^>]*>" lists "${text}")
    string(REGEX REPLACE "inline constexpr std::tuple<" "" lists "${lists}")
    string(REGEX MATCHALL "[A-Za-z0-9_]+" names "${lists}")
    list(APPEND rows ${names})
  endforeach()

  file(GLOB headers RELATIVE ${source_dir}/include ${source_dir}/include/polyak/optimizers/*.hpp
       ${source_dir}/include/polyak/averagers/*.hpp ${source_dir}/include/polyak/wrappers/*.hpp
       ${source_dir}/include/polyak/schedules.hpp ${source_dir}/include/polyak/schedules/*.hpp)
  # Configured again when one of them changes.
  if(NOT CMAKE_SCRIPT_MODE_FILE)
    list(TRANSFORM headers PREPEND ${source_dir}/include/ OUTPUT_VARIABLE read)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${tables} ${read})
  endif()
  foreach(header IN LISTS headers)
    # By the format of the repository whatever a namespace declares starts its line, and so does what closes it.
    file(STRINGS ${source_dir}/include/${header} lines REGEX "^(class|struct|namespace|}  // namespace) ")
    set(inside_detail FALSE)
    foreach(line IN LISTS lines)
      if(line MATCHES "^namespace detail")
        set(inside_detail TRUE)
      elseif(line MATCHES "^}  // namespace detail")
        set(inside_detail FALSE)
      elseif(NOT inside_detail AND line MATCHES "^(class|struct) ([A-Za-z0-9_]+)( |$)")
        set(name ${CMAKE_MATCH_2})
        if(NOT name MATCHES "Options$" AND NOT name IN_LIST rows AND NOT name IN_LIST POLYAK_NO_PARTS)
          message(FATAL_ERROR "polyak: ${name} in ${header} has no row in the table of tests/parts/: add one there, "
                              "which has it tested as all parts are, or name it in POLYAK_NO_PARTS of tests/parts/parts.cmake "
                              "and say why it is no part")
        endif()
      endif()
    endforeach()
  endforeach()
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  polyak_check_parts(${SOURCE_DIR})
endif()
