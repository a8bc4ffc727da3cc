# Every public class of include/polyak/ that is a part must have a row in the table of tests/parts/, from which all tests
# over all parts take their lists. cmake -D SOURCE_DIR=<folder of the repository> -P parts.cmake stops with a sentence
# where one has none.

cmake_minimum_required(VERSION 3.24)

# What is declared in the headers of parts and is no part.
set(no_parts
    Hyperparameter Decay  # a number or a schedule: schedules and decays are tried inside them
    Average Averager default_shadow Cadence GainSequence Compensated  # what averagers are made of
    UniformGain EmaGain PolynomialGain PowerGain AnytimeGain CallableGain RateWeightedGain  # each the gain of an averager that has a row
    Wrapper  # what wrappers are made of
    Guarded)  # wraps an averager, and its own tests are about where it behaves otherwise

file(GLOB tables ${SOURCE_DIR}/tests/parts/*.hpp)
foreach(table IN LISTS tables)
  file(READ ${table} text)
  # The lists are "inline constexpr std::tuple<Row, Row> name;".
  string(REGEX MATCHALL "inline constexpr std::tuple<[^>]*>" lists "${text}")
  string(REGEX REPLACE "inline constexpr std::tuple<" "" lists "${lists}")
  string(REGEX MATCHALL "[A-Za-z0-9_]+" names "${lists}")
  list(APPEND rows ${names})
endforeach()

file(GLOB headers RELATIVE ${SOURCE_DIR}/include ${SOURCE_DIR}/include/polyak/optimizers/*.hpp
     ${SOURCE_DIR}/include/polyak/averagers/*.hpp ${SOURCE_DIR}/include/polyak/wrappers/*.hpp
     ${SOURCE_DIR}/include/polyak/schedules.hpp ${SOURCE_DIR}/include/polyak/schedules/*.hpp)
foreach(header IN LISTS headers)
  # By the format of the repository whatever a namespace declares starts its line, and so does what closes it.
  file(STRINGS ${SOURCE_DIR}/include/${header} lines REGEX "^(class|struct|namespace|}  // namespace) ")
  set(inside_detail FALSE)
  foreach(line IN LISTS lines)
    if(line MATCHES "^namespace (polyak::)?detail")
      set(inside_detail TRUE)
    elseif(line MATCHES "^}  // namespace (polyak::)?detail")
      set(inside_detail FALSE)
    elseif(NOT inside_detail AND line MATCHES "^(class|struct) (\\[\\[[^]]*]] )?([A-Za-z0-9_]+)( |$)")
      set(name ${CMAKE_MATCH_3})
      if(NOT name MATCHES "Options$" AND NOT name IN_LIST rows AND NOT name IN_LIST no_parts)
        message(FATAL_ERROR "polyak: ${name} in ${header} has no row in the table of tests/parts/: add one there, and "
                            "to the list at the end of the file, which has it tested as all parts are, or name it in "
                            "no_parts of tests/parts/parts.cmake and say why it is no part, as the gain of an averager is none")
      endif()
      if(name IN_LIST rows)
        file(STRINGS ${SOURCE_DIR}/include/polyak/polyak.hpp included REGEX "^#include \"${header}\"$")
        if(NOT included)
          message(FATAL_ERROR "polyak: ${header} has a row in tests/parts/ and is not included by polyak/polyak.hpp")
        endif()
      endif()
    endif()
  endforeach()
endforeach()
