#pragma once

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// A class of somebody else, serialized by the convention: version, numbers, a text, arrays in parts, an average.

namespace tracker {

struct Part {
  std::vector<float> values;
  std::uint8_t flag = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& flag;
    std::uint64_t n = values.size();
    archive.array_size("values", n);
    if constexpr (Archive::is_loading::value) values.resize(n);
    archive.array("values", values.data(), values.size());
  }
};

class Tracker {
 public:
  std::uint64_t steps = 0;
  std::int32_t sign = 1;
  double rate = 0.5;
  std::string label;
  Eigen::VectorXd average;
  std::vector<Part> parts{2};
  Part own;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    std::uint32_t version = 1;
    archive& version;
    if (version > 1) throw std::invalid_argument("Tracker: too new");
    archive& steps& sign& rate& label;
    std::uint64_t n = static_cast<std::uint64_t>(average.size());
    archive.array_size("average", n);
    if constexpr (Archive::is_loading::value) average.resize(static_cast<Eigen::Index>(n));
    archive.array("average", average.data(), static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      archive.enter("part." + std::to_string(i));
      archive& parts[i];
      archive.leave();
    }
    archive& own.flag;
  }

  friend bool operator==(const Tracker& a, const Tracker& b) {
    const auto same = [](const Part& x, const Part& y) { return x.values == y.values && x.flag == y.flag; };
    return a.steps == b.steps && a.sign == b.sign && a.rate == b.rate && a.label == b.label &&
           a.average.size() == b.average.size() && a.average == b.average && same(a.parts[0], b.parts[0]) &&
           same(a.parts[1], b.parts[1]);
  }
};

/// One that differs from the next in every member.
inline Tracker example(int i) {
  Tracker result;
  result.steps = static_cast<std::uint64_t>(1000 + i);
  result.sign = -i;
  result.rate = 0.25 * i;
  result.label = "run " + std::to_string(i);
  result.average = Eigen::VectorXd::LinSpaced(3 + i, i, i + 1);
  result.parts[0].values = {static_cast<float>(i), 2.0f};
  result.parts[1].flag = static_cast<std::uint8_t>(i + 1);
  return result;
}

}  // namespace tracker
