#include <cereal/archives/json.hpp>
#include <cereal/archives/portable_binary.hpp>
#include <cereal/archives/xml.hpp>
#include <cereal/types/vector.hpp>

#include <exception>
#include <istream>
#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "serialize/libraries.hpp"

namespace {

// [saving]
template <class Optimizer>
void save(std::ostream& file, const std::vector<float>& theta, const Optimizer& opt) {
  cereal::PortableBinaryOutputArchive archive(file);
  archive(theta, opt);  // the weights are yours; opt is an Averaged, say
}

template <class Optimizer>
void resume(std::istream& file, std::vector<float>& theta, Optimizer& opt) {
  cereal::PortableBinaryInputArchive archive(file);
  archive(theta, opt);  // opt was made with the options of the one that was saved, or this throws and says what differs
}
// [/saving]

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

TEST_CASE("a run goes on in another process", "[serialize]") {
  const polyak::Averaged fresh{polyak::AdamW<float>{}, polyak::Ema{}};
  auto opt = fresh, resumed = fresh;
  std::vector<float> theta{1, 2, 3}, its_theta;
  for (int t = 0; t < 4; ++t) opt.step(theta, theta);
  std::stringstream file;
  save(file, theta, opt);
  resume(file, its_theta, resumed);
  opt.step(theta, theta);
  resumed.step(its_theta, its_theta);
  CHECK(support::same_bits(its_theta, theta));
  CHECK(support::same_bits(resumed.average(), opt.average()));
}
