#include <cereal/archives/json.hpp>
#include <cereal/archives/portable_binary.hpp>
#include <cereal/archives/xml.hpp>

#include <exception>
#include <sstream>
#include <string>
#include <type_traits>

#include "serialize/libraries.hpp"

namespace {

/// Archives are flushed when they go. One of them is tried on everything.
template <class Output, class Input>
void check_archives() {
  const auto save = [](const auto& object) {
    std::ostringstream stream;
    {
      Output archive(stream);
      archive(object);
    }
    return stream.str();
  };
  const auto load = [](const std::string& text, auto& object) {
    std::istringstream stream(text);
    Input archive(stream);
    archive(object);
  };
  serialize::check_library_on_averaged(save, load);
  serialize::check_library_on_odd_numbers(save, load);
  if constexpr (std::is_same_v<Output, cereal::JSONOutputArchive>) {
    serialize::check_library_on_others(save, load);
    serialize::check_library_on_sparse(save, load);
    serialize::check_library_on_schedule(save, load);
  }

  const polyak::Constant schedule(1);
  const std::string text = save(schedule);
  polyak::Constant loaded = schedule;
  CHECK_THROWS_AS(load(text.substr(0, text.size() / 2), loaded), std::exception);
}

}  // namespace

TEST_CASE("cereal: portable binary", "[serialize]") {
  check_archives<cereal::PortableBinaryOutputArchive, cereal::PortableBinaryInputArchive>();
}
TEST_CASE("cereal: JSON", "[serialize]") { check_archives<cereal::JSONOutputArchive, cereal::JSONInputArchive>(); }
TEST_CASE("cereal: XML", "[serialize]") { check_archives<cereal::XMLOutputArchive, cereal::XMLInputArchive>(); }
