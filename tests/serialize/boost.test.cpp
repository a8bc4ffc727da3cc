#include <boost/archive/text_iarchive.hpp>
#include <boost/archive/text_oarchive.hpp>

#include <exception>
#include <sstream>
#include <string>

#include "serialize/libraries.hpp"

TEST_CASE("Boost.Serialization: text", "[serialize]") {
  const auto save = [](const auto& object) {
    std::ostringstream stream;
    boost::archive::text_oarchive archive(stream);
    archive << object;
    return stream.str();
  };
  const auto load = [](const std::string& text, auto& object) {
    std::istringstream stream(text);
    boost::archive::text_iarchive archive(stream);
    archive >> object;
  };
  serialize::check_library_on_averaged(save, load);
  serialize::check_library_on_others(save, load);
  serialize::check_library_on_odd_numbers(save, load);
  serialize::check_library_on_sparse(save, load);
  serialize::check_library_on_schedule(save, load);

  const polyak::Constant schedule(1);
  const std::string text = save(schedule);
  polyak::Constant loaded = schedule;
  CHECK_THROWS_AS(load(text.substr(0, text.size() / 2), loaded), boost::archive::archive_exception);
}
