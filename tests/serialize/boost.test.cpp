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
  serialize::check_library_all(save, load);

  const polyak::Averaged opt{polyak::Sgd{}, polyak::Ema{}};
  const std::string text = save(opt);
  polyak::Averaged loaded = opt;
  CHECK_THROWS_AS(load(text.substr(0, text.size() / 2), loaded), boost::archive::archive_exception);
}
