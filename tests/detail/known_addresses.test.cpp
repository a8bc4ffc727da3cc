#include <polyak/detail/known_addresses.hpp>

#include <polyak/polyak.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace polyak;
using Eigen::Map;
using Eigen::VectorXd;
using polyak::detail::KnownAddresses;
using support::error_of;

namespace {

/// Stretches of one memory as blocks and, of another, as their gradients.
class Memory {
 public:
  Map<VectorXd> params(Eigen::Index from, Eigen::Index n) { return Map<VectorXd>(params_.data() + from, n); }
  Map<VectorXd> gradient(Eigen::Index from, Eigen::Index n) { return Map<VectorXd>(gradient_.data() + from, n); }

 private:
  VectorXd params_ = VectorXd::Zero(20);
  VectorXd gradient_ = VectorXd::Ones(20);
};

template <class P, class G>
std::string checked(KnownAddresses& known, P&& params, const G& gradient) {
  return error_of(
      [&] { detail::with_view(params, gradient, "B", [&](const StepView<double>& view) { known.check(view, "A"); }); });
}

}  // namespace

TEST_CASE("blocks that have moved are looked at again") {
  Memory memory;
  KnownAddresses known;
  const auto at = [&](Eigen::Index a, Eigen::Index b) {
    return ParameterSet{memory.params(a, 3), memory.params(b, 3)};
  };
  const auto gradient = ParameterSet{memory.gradient(0, 3), memory.gradient(3, 3)};
  const std::string refused = "invalid_argument: A: block 1 must not overlap block 0 of the parameters";
  CHECK(checked(known, at(0, 3), gradient) == "nothing");
  CHECK(checked(known, at(0, 3), gradient) == "nothing");
  CHECK(checked(known, at(0, 2), gradient) == refused);
  CHECK(checked(known, at(0, 2), gradient) == refused);  // and is not remembered as good
  CHECK(checked(known, at(0, 3), gradient) == "nothing");
  CHECK(checked(known, at(1, 3), gradient) == refused);
  CHECK(checked(known, at(3, 0), gradient) == "nothing");
}

TEST_CASE("gradients that have moved are looked at again") {
  Memory memory;
  KnownAddresses known;
  const auto set = ParameterSet{memory.params(0, 3), memory.params(3, 3)};
  const auto with = [&](auto first, auto second) { return checked(known, set, ParameterSet{first, second}); };
  CHECK(with(memory.gradient(0, 3), memory.gradient(3, 3)) == "nothing");
  CHECK(with(memory.gradient(0, 3), memory.params(0, 3)) ==
        "invalid_argument: A: the gradient of block 1 must not overlap block 0 of the parameters");
  CHECK(with(memory.params(0, 3), memory.params(3, 3)) == "nothing");  // each that of its own block
  CHECK(with(memory.params(3, 3), memory.gradient(3, 3)) ==
        "invalid_argument: A: the gradient of block 0 must not overlap block 1 of the parameters");
  CHECK(with(memory.gradient(5, 3), memory.gradient(5, 3)) == "nothing");  // gradients may share
}

TEST_CASE("forgotten addresses vouch for nothing") {
  Memory memory;
  KnownAddresses known;
  const auto gradient = [&](Eigen::Index n) { return ParameterSet{memory.gradient(0, n), memory.gradient(10, 3)}; };
  const auto at = [&](Eigen::Index n) { return ParameterSet{memory.params(0, n), memory.params(3, 3)}; };
  CHECK(checked(known, at(3), gradient(3)) == "nothing");
  known.forget();
  CHECK(checked(known, at(4), gradient(4)) ==
        "invalid_argument: A: block 1 must not overlap block 0 of the parameters");
}

TEST_CASE("a first step that came to nothing vouches for no blocks of other sizes") {
  bool fails = true;
  const auto gain = [&fails](std::uint64_t) -> double {
    if (fails) throw std::runtime_error("no gain");
    return 1;
  };
  Averaged opt{Sgd{}, GainAverage{{.gain = gain}}};
  Memory memory;
  CHECK_THROWS_WITH(opt.step(ParameterSet{memory.params(0, 3), memory.params(3, 3)},
                             ParameterSet{memory.gradient(0, 3), memory.gradient(10, 3)}),
                    "no gain");
  fails = false;
  CHECK(error_of([&] {
          opt.step(ParameterSet{memory.params(0, 4), memory.params(3, 3)},
                   ParameterSet{memory.gradient(0, 4), memory.gradient(10, 3)});
        }).ends_with("block 1 must not overlap block 0 of the parameters"));
  CHECK(memory.params(0, 6) == VectorXd::Zero(6));
  CHECK(opt.optimizer().steps() == 0);
}

TEST_CASE("overlaps are found wherever they are among many blocks") {
  support::Random random(3);
  int refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    // Blocks side by side, in any order, of which some trials move one onto others; gradients anywhere.
    const std::size_t n = random.integer(2, 14);
    VectorXd memory = VectorXd::Zero(120);
    const auto at = [&](std::uint64_t from, std::uint64_t size) {
      return Map<VectorXd>(memory.data() + from, static_cast<Eigen::Index>(size));
    };
    std::vector<Map<VectorXd>> params, gradient;
    std::vector<std::uint64_t> from(n), size(n), gradient_from(n);
    for (std::size_t i = 0; i < n; ++i) {
      size[i] = random.integer(0, 3);
      from[i] = 3 * i;
    }
    std::swap(from[0], from[random.integer(0, n - 1)]);
    if (random.integer(0, 2) == 0) from[random.integer(0, n - 1)] = random.integer(0, 3 * n);
    for (std::size_t i = 0; i < n; ++i) {
      const bool own = random.integer(0, 2) == 0;
      gradient_from[i] = own ? from[i] : random.integer(random.integer(0, 3) == 0 ? 0 : 45, 110);
      params.push_back(at(from[i], size[i]));
      gradient.push_back(at(gradient_from[i], size[i]));
    }
    bool expected = false;
    bool across_itself = false;
    const auto meet = [&](std::uint64_t a, std::uint64_t na, std::uint64_t b, std::uint64_t nb) {
      return na > 0 && nb > 0 && a < b + nb && b < a + na;
    };
    for (std::size_t i = 0; i < n; ++i) {
      across_itself |= from[i] != gradient_from[i] && meet(from[i], size[i], gradient_from[i], size[i]);
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        expected |= meet(from[i], size[i], from[j], size[j]) || meet(from[i], size[i], gradient_from[j], size[j]);
      }
    }
    if (across_itself) continue;  // refused before
    KnownAddresses known;
    const std::string result = checked(known, params, gradient);
    CHECK((result != "nothing") == expected);
    refused += expected ? 1 : 0;
  }
  CHECK(refused > 200);
  CHECK(refused < 1800);
}
