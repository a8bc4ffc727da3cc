# The first code of the README is the text of the quickstart example, to the letter.
file(READ ${SOURCE_DIR}/examples/quickstart/main.cpp example)
file(READ ${SOURCE_DIR}/README.md readme)
string(REGEX MATCH "// \\[quickstart\\]\n(.*)\n *// \\[/quickstart\\]" found "${example}")
string(FIND "${readme}" "```cpp\n${CMAKE_MATCH_1}\n```" at)
string(FIND "${readme}" "```" first)
if(NOT found OR at LESS 0 OR NOT at EQUAL first)
  message(FATAL_ERROR "the first code of README.md is not that of examples/quickstart/main.cpp")
endif()
