#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/file_bytes.hpp"
#include "polyak/io/detail/file_error.hpp"
#include "polyak/io/detail/matrix_order.hpp"
#include "polyak/io/detail/replacement_file.hpp"
#include "polyak/io/detail/scalar_type.hpp"
#include "polyak/parameters.hpp"

/// Weights and averages as NumPy arrays, in the NPY format 1.0. Not part of polyak.hpp, as it needs POSIX.
///
///     polyak::save_npy("average.npy", opt.average());
///     polyak::load_npy("average.npy", theta);

namespace polyak {

namespace detail {

namespace npy_format {
inline constexpr std::string_view magic{"\x93NUMPY\x01\x00", 8};
inline constexpr std::string_view what = "an array of NumPy in the NPY format 1.0";
inline constexpr std::size_t alignment = 64;
}  // namespace npy_format

/// "f8": kind and bytes. The 16 bytes of f16 are a long double of the machine.
template <FloatingPoint T>
[[nodiscard]] constexpr std::string_view npy_type() {
  static_assert(!std::same_as<T, Eigen::bfloat16>,
                "polyak: the NPY format has no bfloat16; save float, or a .safetensors file");
  constexpr std::size_t bytes = size_of(scalar_type_of<T>());
  return bytes == 2 ? "f2" : bytes == 4 ? "f4" : bytes == 8 ? "f8" : "f16";
}

/// What comes before the scalars, byte for byte as NumPy 1.24 has it.
[[nodiscard]] inline std::string npy_head(std::string_view type, bool fortran_order,
                                          std::span<const std::size_t> dimensions) {
  std::string header = "{'descr': '<";
  header.append(type).append("', 'fortran_order': ").append(fortran_order ? "True" : "False");
  header.append(", 'shape': ").append(tuple_text(dimensions)).append(", }");
  const std::size_t before = npy_format::magic.size() + 2;
  header.append(npy_format::alignment - (before + header.size() + 1) % npy_format::alignment, ' ');
  header += '\n';
  std::string head(npy_format::magic);
  const auto length = static_cast<std::uint16_t>(header.size());
  head += static_cast<char>(length & 255);
  head += static_cast<char>(length >> 8);
  return head + header;
}

struct NpyArray {
  std::string type;  ///< "f8"
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::size_t> dimensions;
  std::span<const std::byte> data;
};

/// Reads the header: a Python dictionary of a text, a truth value and a tuple of numbers.
class NpyHeader {
 public:
  NpyHeader(const FileName& name, std::string_view text, std::size_t offset)
      : name_(name), text_(text), offset_(offset) {}

  [[nodiscard]] NpyArray parse() {
    NpyArray array;
    unsigned seen = 0;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      const unsigned bit = key == "descr" ? 1u : key == "fortran_order" ? 2u : key == "shape" ? 4u : 0u;
      if (bit == 0) fail("must have the keys descr, fortran_order and shape, got \"" + std::string(key) + '"');
      if ((seen & bit) != 0) fail("must have each key once, got a second \"" + std::string(key) + '"');
      seen |= bit;
      if (bit == 1) read_type(array);
      if (bit == 2) array.fortran_order = truth();
      if (bit == 4) array.dimensions = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (seen != 7) fail("must have the keys descr, fortran_order and shape, and lacks one");
    skip_spaces();
    if (at_ != text_.size()) fail("must end after its dictionary, and does not");
    return array;
  }

 private:
  void read_type(NpyArray& array) {
    const std::string_view type = quoted();
    if (type.size() < 2 || (type[0] != '<' && type[0] != '>')) {
      fail("must have a descr of one number, with its byte order, got \"" + std::string(type) + '"');
    }
    array.big_endian = type[0] == '>';
    array.type = type.substr(1);
  }
  [[nodiscard]] std::string_view quoted() {
    skip_spaces();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("must have a text in quotes, and has none");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("must have a text in quotes, and has none");
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }
  [[nodiscard]] bool truth() {
    skip_spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return word == "True";
    }
    fail("must have True or False, and has neither");
  }
  [[nodiscard]] std::vector<std::size_t> tuple() {
    std::vector<std::size_t> result;
    expect('(');
    while (!accept(')')) {
      result.push_back(number());
      if (!accept(',')) {
        if (result.size() == 1) fail("must have a tuple as its shape, and has a number");
        expect(')');
        break;
      }
    }
    return result;
  }
  [[nodiscard]] std::size_t number() {
    const auto is_digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
    if (!is_digit()) fail("must have a number, and has none");
    std::size_t result = 0;
    for (; is_digit(); ++at_) {
      const auto digit = static_cast<std::size_t>(text_[at_] - '0');
      if (result > (std::numeric_limits<std::size_t>::max() - digit) / 10) fail("has a number that is too large");
      result = 10 * result + digit;
    }
    return result;
  }
  void skip_spaces() noexcept {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  [[nodiscard]] bool accept(char c) noexcept {
    skip_spaces();
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there ? 1 : 0;
    return there;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("must have a '") + c + "', and has none");
  }
  [[noreturn]] void fail(const std::string& what) const { name_.fail_at(offset_ + at_, "its header " + what); }

  const FileName& name_;
  std::string_view text_;
  std::size_t offset_;
  std::size_t at_ = 0;
};

/// The array in the bytes of a file, which it refers to. Throws std::runtime_error.
[[nodiscard]] inline NpyArray read_npy(const FileName& name, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t before = npy_format::magic.size() + 2;
  if (!text.starts_with(npy_format::magic)) {
    name.fail(std::string("must begin as ").append(npy_format::what).append(", and does not"));
  }
  if (text.size() < before) name.fail("is truncated: it has only " + std::to_string(text.size()) + " bytes");
  const std::size_t length = decode_one<std::uint16_t>(bytes.data() + npy_format::magic.size());
  if (length > text.size() - before) {
    name.fail_at(before, "must have a header of " + std::to_string(length) + " bytes, and there are " +
                             std::to_string(text.size() - before));
  }
  NpyArray array = NpyHeader(name, text.substr(before, length), before).parse();
  array.data = bytes.subspan(before + length);
  return array;
}

}  // namespace detail

/// Writes a vector as an array of one dimension, a matrix as one of two in its own storage order: contiguous
/// parameters, or any Eigen expression, of half, float, double or long double (as the float128 of NumPy on the same
/// machine); there is no bfloat16 in NPY. The file takes the place of `path` whole, as save has it. Throws
/// std::system_error, std::invalid_argument for a strided view.
template <class P>
  requires detail::Scalars<const P&> || (EigenDense<P> && FloatingPoint<typename P::Scalar>)
void save_npy(const std::filesystem::path& path, const P& array) {
  constexpr std::string_view who = "polyak::save_npy";
  if constexpr (detail::Scalars<const P&>) {
    if constexpr (EigenDense<P>) {
      if (!detail::is_contiguous(array)) return save_npy(path, array.eval());
    }
    using Scalar = scalar_of<const P&>;
    const auto block = detail::block_of(array, who);
    const bool fortran_order = !block.shape.row_major && !detail::lies_in_one_order(block.shape);
    const std::string head =
        detail::npy_head(detail::npy_type<Scalar>(), fortran_order, detail::dimensions_of<const P&>(block.shape));
    detail::ReplacementFile file(path, who);
    file.write(std::as_bytes(std::span(head)));
    detail::encode_in_stretches(block.data, block.shape.size(),
                                [&](std::span<const std::byte> bytes) { file.write(bytes); });
    file.commit();
  } else {
    save_npy(path, array.eval());
  }
}

/// Reads an array into parameters of its scalar and shape; one of one dimension fits a row or a column. Either storage
/// order and byte order. Throws std::runtime_error for a file that is damaged or something else, std::invalid_argument
/// for an array that does not fit, before anything is written.
template <Parameters P>
  requires detail::Scalars<P>
void load_npy(const std::filesystem::path& path, P&& into) {
  using Scalar = scalar_of<P>;
  constexpr std::size_t width = detail::size_of(detail::scalar_type_of<Scalar>());
  const detail::FileName name{"polyak::load_npy", path.string()};
  const auto block = detail::block_of(into, name.who);
  const detail::FileBytes bytes(name, detail::npy_format::magic, detail::npy_format::what);
  const detail::NpyArray array = detail::read_npy(name, bytes.get());
  if (array.type != detail::npy_type<Scalar>() || (array.big_endian && width == 16)) {
    std::string what = "an array of '";
    what.append(array.big_endian ? ">" : "<").append(array.type).append("' must be of '<");
    name.misfit(what.append(detail::npy_type<Scalar>()).append("', as what it is loaded into"));
  }
  if (!detail::fits(array.dimensions, block.shape)) {
    std::string what = "an array of shape ";
    what.append(detail::tuple_text(array.dimensions)).append(" must be ").append(detail::to_text(block.shape));
    name.misfit(what.append(", as what it is loaded into"));
  }
  if (array.data.size() != block.shape.size() * width) {
    name.fail_at(static_cast<std::uint64_t>(array.data.data() - bytes.get().data()),
                 "must have " + std::to_string(block.shape.size() * width) + " bytes of scalars, got " +
                     std::to_string(array.data.size()));
  }
  detail::decode_block(array.data.data(), !array.fortran_order, array.big_endian, block);
}

}  // namespace polyak
