#include <polyak/detail/known_layout.hpp>
#include <polyak/detail/options.hpp>
#include <polyak/detail/serialize.hpp>
#include <polyak/schedules.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "allocation_counter.hpp"
#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

using namespace polyak::detail;
using serialize::Bytes;
using serialize::Input;
using serialize::Output;
using support::error_of;

namespace {

/// Saved from x, loaded into y; returns how many bytes that takes.
template <class T>
std::size_t pass(T x, T& y) {
  Output output;
  serialize_bits(output, x);
  Input input(output.bytes);
  serialize_bits(input, y);
  CHECK(input.at_end());
  return output.bytes.size();
}

template <class T, class Bits>
void check_bits(Bits bits) {
  const T x = Eigen::numext::bit_cast<T>(bits);
  T y{};
  CHECK(pass(x, y) == sizeof(T));
  CHECK(Eigen::numext::bit_cast<Bits>(y) == bits);
}

}  // namespace

TEST_CASE("numbers are saved by their bits", "[serialize]") {
  for (const std::uint64_t bits : std::initializer_list<std::uint64_t>{
           0x0000000000000000u, 0x8000000000000000u, 0x0000000000000001u, 0x000fffffffffffffu, 0x3ff0000000000001u,
           0x7ff0000000000000u, 0xfff0000000000000u, 0x7ff0000000000001u, 0xfff8dead00beef00u}) {
    check_bits<double>(bits);
  }
  for (const std::uint32_t bits : {0x00000000u, 0x80000000u, 0x00000001u, 0x3f800001u, 0x7f800000u, 0x7f800001u}) {
    check_bits<float>(bits);
  }
  for (std::uint32_t bits = 0; bits < 65536; bits += 13) {
    check_bits<Eigen::half>(static_cast<std::uint16_t>(bits));
    check_bits<Eigen::bfloat16>(static_cast<std::uint16_t>(bits));
  }
  using Limits = std::numeric_limits<long double>;
  for (const long double x :
       {0.0L, -0.0L, 1 / 3.0L, Limits::denorm_min(), Limits::max(), -Limits::infinity(), Limits::quiet_NaN()}) {
    long double y = 5;
    CHECK(pass(x, y) == 16);
    CHECK(support::same_bits(x, y));
  }
}

TEST_CASE("what pads a long double is not saved", "[serialize]") {
  if (std::numeric_limits<long double>::digits != 64) return;
  std::vector<Bytes> saved;
  for (const int padding : {0x00, 0xFF}) {
    alignas(long double) unsigned char memory[sizeof(long double)];
    const long double x = 1 / 3.0L;
    std::memset(memory, padding, sizeof memory);
    std::memcpy(memory, &x, 10);
    Output output;
    serialize_bits(output, *reinterpret_cast<long double*>(memory));
    saved.push_back(output.bytes);
  }
  CHECK(saved[0] == saved[1]);
}

TEST_CASE("flags and counts are saved", "[serialize]") {
  bool flag = false;
  CHECK(pass(true, flag) == 1);
  CHECK(flag);
  pass(false, flag);
  CHECK_FALSE(flag);
  std::uint64_t count = 0;
  CHECK(pass(std::uint64_t{0x0123456789abcdef}, count) == 8);
  CHECK(count == 0x0123456789abcdef);
}

TEST_CASE("text is saved, and what cannot be shown is not loaded", "[serialize]") {
  std::string text = "Cosine(η 0.1)\n", loaded = "before";
  Output output;
  serialize_text(output, text);
  Input input(output.bytes);
  serialize_text(input, loaded);
  CHECK(loaded == "Cosine(η 0.1)?");
}

TEST_CASE("vectors of any length are saved", "[serialize]") {
  for (const std::uint64_t n : std::initializer_list<std::uint64_t>{0u, 1u, 65535u, 65536u, 65537u, 200'000u}) {
    Eigen::VectorXf x = Eigen::VectorXf::LinSpaced(static_cast<Eigen::Index>(n), 0, 1), y(3);
    std::vector<double> a(x.data(), x.data() + n), b(5);
    Output output;
    serialize_array(output, "polyak::Test", "x", x, n);
    serialize_array(output, "polyak::Test", "a", a, n);
    CHECK(output.bytes.size() == 16 + 12 * n);
    Input input(output.bytes);
    serialize_array(input, "polyak::Test", "x", y, n);
    serialize_array(input, "polyak::Test", "a", b, n);
    CHECK(y == x);
    CHECK(b == a);
    Input again(output.bytes);
    CHECK(error_of([&] { serialize_array(again, "polyak::Test", "x", y, n + 1); }) ==
          "invalid_argument: polyak::Test: the saved state is damaged: x must have size " + std::to_string(n + 1) +
              ", got " + std::to_string(n));
  }
}

#ifdef POLYAK_TEST_COUNTS_ALLOCATIONS
TEST_CASE("a count that is wrong claims no more memory than there is data for", "[serialize]") {
  const std::uint64_t huge = std::uint64_t{1} << 50;
  const auto bytes_of_loading = [&](std::size_t elements, auto array) {
    Output output;
    std::uint64_t count = huge;
    output& count;
    for (std::size_t i = 0; i < elements; ++i) {
      double x = 1;
      serialize_bits(output, x);
    }
    Input input(output.bytes);
    return allocation_counter::bytes_in(
        [&] { CHECK_THROWS_AS(serialize_array(input, "polyak::Test", "x", array, huge), serialize::Truncated); });
  };
  constexpr std::size_t some = 65536 * sizeof(double), more = 300'000, slack = 4096;
  CHECK(bytes_of_loading(0, Eigen::VectorXd()) <= some + slack);
  CHECK(bytes_of_loading(0, std::vector<double>()) <= some + slack);
  // 2^16, 2^17, 2^18 and 2^19 numbers, of which no two but the last are held at a time.
  CHECK(bytes_of_loading(more, Eigen::VectorXd()) <= 15 * some + slack);
  CHECK(bytes_of_loading(more, std::vector<double>()) <= 15 * some + slack);

  const auto bytes_of = [&](auto load) {
    Output output;
    std::uint64_t count = huge;
    output& count;
    Input input(output.bytes);
    return allocation_counter::bytes_in([&] { CHECK_THROWS_AS(load(input), serialize::Truncated); });
  };
  KnownLayout layout;
  std::string text;
  CHECK(bytes_of([&](Input& input) { layout.serialize(input, "polyak::Test"); }) <= slack);
  CHECK(bytes_of([&](Input& input) { serialize_text(input, text); }) <= slack);
}
#endif

TEST_CASE("a schedule is described by its name and options", "[serialize]") {
  using namespace polyak;
  CHECK(describe(Cosine({.initial = 0.1, .steps = 1000})) == "Cosine(initial 0.1, final 0, steps 1000)");
  CHECK(describe(Constant(1e-300)) == "Constant(value 1e-300)");
  CHECK(describe(LinearWarmup({.then = [](std::uint64_t) { return 1; }})) ==
        "LinearWarmup(start_factor 0.3333333333333333, steps 0, then a callable)");
  CHECK(describe(LinearWarmup({.start_factor = 1, .then = LinearWarmup({.start_factor = 0})})) ==
        "LinearWarmup(start_factor 1, steps 0, then LinearWarmup(start_factor 0, steps 0, then 0.01))");
}
