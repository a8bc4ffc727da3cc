#include <polyak/io/detail/scalar_type.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"

using polyak::detail::ScalarType;

TEST_CASE("Every scalar type of a file has a name and a size", "[io]") {
  const struct {
    ScalarType type;
    std::string name;
    std::size_t size;
  } all[] = {{ScalarType::float64, "float64", 8},  {ScalarType::float32, "float32", 4},
             {ScalarType::float16, "float16", 2},  {ScalarType::bfloat16, "bfloat16", 2},
             {ScalarType::float80, "float80", 16}, {ScalarType::float128, "float128", 16},
             {ScalarType::uint8, "uint8", 1},      {ScalarType::uint16, "uint16", 2},
             {ScalarType::uint32, "uint32", 4},    {ScalarType::uint64, "uint64", 8},
             {ScalarType::int8, "int8", 1},        {ScalarType::int16, "int16", 2},
             {ScalarType::int32, "int32", 4},      {ScalarType::int64, "int64", 8},
             {ScalarType::boolean, "bool", 1},     {ScalarType::text, "text", 1},
             {ScalarType::state, "state", 1},      {ScalarType{99}, "scalar type 99", 0}};
  for (const auto& [type, name, size] : all) {
    CHECK(to_text(type) == name);
    CHECK(polyak::detail::size_of(type) == size);
  }
}

TEST_CASE("Scalars are handed on in stretches, to the last", "[io]") {
  const auto check = [](auto zero, std::size_t n) {
    using T = decltype(zero);
    constexpr std::size_t width = polyak::detail::size_of(polyak::detail::scalar_type_of<T>());
    std::vector<T> from(n), to(n);
    for (std::size_t i = 0; i < n; ++i) from[i] = static_cast<T>(i + 1);
    std::vector<std::byte> bytes;
    polyak::detail::encode_in_stretches(from.data(), n, [&](std::span<const std::byte> some) {
      CHECK(!some.empty());
      bytes.insert(bytes.end(), some.begin(), some.end());
    });
    REQUIRE(bytes.size() == n * width);
    polyak::detail::decode(bytes.data(), n, to.data());
    CHECK(from == to);
  };
  for (const std::size_t n : {0u, 1u, 2u, 255u, 256u, 257u, 512u, 20'000u}) {
    check(0.0, n);
    check(0.0L, n);
    check(std::uint8_t{0}, n);
  }
}

TEST_CASE("What pads a long double is 0 in a file", "[io]") {
  if (std::numeric_limits<long double>::digits != 64) return;
  alignas(long double) unsigned char memory[sizeof(long double)];
  const long double x = 1 / 3.0L;
  std::memset(memory, 0xFF, sizeof memory);
  std::memcpy(memory, &x, 10);
  std::vector<std::byte> bytes(16, std::byte{1});
  polyak::detail::encode(reinterpret_cast<const long double*>(memory), 1, bytes.data());
  CHECK(std::memcmp(bytes.data(), memory, 10) == 0);
  CHECK(std::vector<std::byte>(bytes.begin() + 10, bytes.end()) == std::vector<std::byte>(6));
}

TEST_CASE("Numbers have the scalar type of their kind and width", "[io]") {
  using polyak::detail::scalar_type_of;
  CHECK(scalar_type_of<double>() == ScalarType::float64);
  CHECK(scalar_type_of<float>() == ScalarType::float32);
  constexpr int digits = std::numeric_limits<long double>::digits;
  CHECK(scalar_type_of<long double>() == (digits == 64    ? ScalarType::float80
                                          : digits == 113 ? ScalarType::float128
                                                          : ScalarType::float64));
  CHECK(scalar_type_of<Eigen::half>() == ScalarType::float16);
  CHECK(scalar_type_of<Eigen::bfloat16>() == ScalarType::bfloat16);
  CHECK(scalar_type_of<bool>() == ScalarType::boolean);
  CHECK(scalar_type_of<std::uint8_t>() == ScalarType::uint8);
  CHECK(scalar_type_of<std::uint16_t>() == ScalarType::uint16);
  CHECK(scalar_type_of<std::uint64_t>() == ScalarType::uint64);
  CHECK(scalar_type_of<std::int8_t>() == ScalarType::int8);
  CHECK(scalar_type_of<std::int32_t>() == ScalarType::int32);
  CHECK(scalar_type_of<std::int64_t>() == ScalarType::int64);
}
