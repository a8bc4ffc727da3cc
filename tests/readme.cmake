# cmake -D SOURCE_DIR=<folder of polyak> -P readme.cmake
#
# Code in a document that says where it comes from, <!-- file [name] -->, is the text between // [name] and // [/name] in
# that file, to the letter; so the compiler has seen it. "[file](link), n lines" is the length of that file. For each
# document, how many pieces of code it shows, and of how many files it gives the length:
set(documents README.md 2 0 include/polyak/averagers/README.md 1 0 include/polyak/sparse/README.md 2 0
    include/polyak/io/README.md 5 0 examples/bring_your_own.md 7 0 examples/add_an_average.md 7 0 .github/CONTRIBUTING.md 5 5)

while(documents)
  list(POP_FRONT documents document pieces lengths)
  file(READ ${SOURCE_DIR}/${document} text)

  set(checked 0)
  string(REGEX MATCHALL "\\[[a-z_/.]+\\]\\([a-z_/.]+\\), [0-9]+ lines" statements "${text}")
  foreach(statement IN LISTS statements)
    string(REGEX MATCH "\\[([a-z_/.]+)\\].* ([0-9]+) lines" statement "${statement}")
    set(file ${CMAKE_MATCH_1})
    set(stated ${CMAKE_MATCH_2})
    file(READ ${SOURCE_DIR}/${file} source)
    string(REGEX REPLACE "[^\n]" "" newlines "${source}")
    string(LENGTH "${newlines}" lines)
    if(NOT lines EQUAL stated)
      message(FATAL_ERROR "${document} says that ${file} has ${stated} lines, but it has ${lines}")
    endif()
    math(EXPR checked "${checked} + 1")
  endforeach()
  if(NOT checked EQUAL lengths)
    message(FATAL_ERROR "${document} should give the length of ${lengths} files, and gives that of ${checked}")
  endif()

  set(checked 0)
  while(text MATCHES "<!-- ([a-z_/.]+) \\[([a-z ]+)\\] -->\n```cpp\n")
    set(file ${CMAKE_MATCH_1})
    set(name "${CMAKE_MATCH_2}")
    string(LENGTH "${CMAKE_MATCH_0}" length)
    string(FIND "${text}" "${CMAKE_MATCH_0}" at)
    math(EXPR at "${at} + ${length}")
    string(SUBSTRING "${text}" ${at} -1 text)

    file(READ ${SOURCE_DIR}/${file} source)
    if(NOT source MATCHES "// \\[${name}\\]\n(.*)\n *// \\[/${name}\\]")
      message(FATAL_ERROR "${file} has no // [${name}] … // [/${name}]")
    endif()
    string(FIND "${text}" "${CMAKE_MATCH_1}\n```" at)
    if(NOT at EQUAL 0)
      message(FATAL_ERROR "the code of ${document} is not that of ${file} [${name}]:\n${CMAKE_MATCH_1}")
    endif()
    math(EXPR checked "${checked} + 1")
  endwhile()
  if(NOT checked EQUAL pieces)
    message(FATAL_ERROR "${document} should show ${pieces} pieces of code from the repository, has ${checked}")
  endif()
endwhile()
