#pragma once

#include <array>
#include <string>
#include <vector>

namespace examples::language_id {

/// A language with a word list, as Debian and Ubuntu package it.
struct Language {
  const char* name;
  const char* file;  ///< in the directory of dictionaries
  const char* package;
};

inline constexpr std::array<Language, 9> all_languages = {{{"dutch", "dutch", "wdutch"},
                                                           {"english", "american-english", "wamerican"},
                                                           {"french", "french", "wfrench"},
                                                           {"german", "ngerman", "wngerman"},
                                                           {"italian", "italian", "witalian"},
                                                           {"polish", "polish", "wpolish"},
                                                           {"portuguese", "portuguese", "wportuguese"},
                                                           {"spanish", "spanish", "wspanish"},
                                                           {"swedish", "swedish", "wswedish"}}};

[[nodiscard]] inline std::vector<std::string> language_names() {
  std::vector<std::string> names;
  for (const Language& language : all_languages) names.emplace_back(language.name);
  return names;
}

}  // namespace examples::language_id
