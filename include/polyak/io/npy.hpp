#pragma once

#include <algorithm>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "polyak/io/detail/file.hpp"
#include "polyak/io/detail/scalars.hpp"
#include "polyak/parameters.hpp"

/// Weights and averages as NumPy arrays: reads the NPY formats 1.0, 2.0 and 3.0, writes 1.0.
///
///     polyak::save_npy("average.npy", opt.average());
///     polyak::load_npy("average.npy", theta);
///
/// Long, as the header is a Python dictionary, which no library here reads.

namespace polyak {

/// What the header of an array says.
struct NpyInfo {
  std::string dtype;               ///< "<f8"
  std::vector<std::size_t> shape;  ///< as NumPy has it
  bool fortran_order = false;      ///< column by column
};

namespace detail {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// Kind and bytes: "f8". The 16 bytes of f16 are a long double of the machine.
template <FloatingPoint T>
[[nodiscard]] constexpr std::string_view npy_type() noexcept {
  static_assert(!std::same_as<T, Eigen::bfloat16>,
                "polyak: the NPY format has no bfloat16; save float, or a .safetensors file");
  return bytes_in_file<T> == 2 ? "f2" : bytes_in_file<T> == 4 ? "f4" : bytes_in_file<T> == 8 ? "f8" : "f16";
}

/// What comes before the scalars, byte for byte as NumPy 1.24 has it.
[[nodiscard]] inline std::string npy_head(std::string_view type, bool fortran_order, const Dimensions& shape) {
  std::string header = "{'descr': '<";
  header.append(type).append("', 'fortran_order': ").append(fortran_order ? "True" : "False");
  header.append(", 'shape': ").append(to_text(shape)).append(", }");
  header.append(64 - (npy_magic.size() + 4 + header.size() + 1) % 64, ' ').append("\n");
  std::string head(npy_magic);
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, header.size() & 255, header.size() >> 8}) {
    head += static_cast<char>(byte);
  }
  return head + header;
}

/// Reads a Python dictionary of a text, a truth value and a tuple of numbers.
class NpyHeader {
 public:
  NpyHeader(const FileName& name, std::string_view text) : name_(name), text_(text) {}

  [[nodiscard]] NpyInfo parse() {
    NpyInfo info;
    std::set<std::string_view> keys;
    list('{', '}', [&] {
      const std::string_view key = quoted();
      expect(':');
      if (!keys.insert(key).second) fail("must have each key once, got a second \"" + std::string(key) + '"');
      if (key == "descr") {
        info.dtype = quoted();
      } else if (key == "fortran_order") {
        info.fortran_order = accept("True");
        if (!info.fortran_order && !accept("False")) fail("must have True or False");
      } else if (key == "shape") {
        list('(', ')', [&] { info.shape.push_back(number(info.shape.empty())); });
      } else {
        fail("must have no other keys, got \"" + std::string(key) + '"');
      }
    });
    skip_spaces();
    if (!text_.empty()) fail("must end after its dictionary, and does not");
    if (keys.size() < 3) fail("must have the keys descr, fortran_order and shape, and lacks one");
    return info;
  }

 private:
  /// Calls item() for what is between brackets; a comma may be behind the last one too.
  template <class Item>
  void list(char open, char close, const Item& item) {
    expect(open);
    while (!accept({&close, 1})) {
      item();
      if (!accept(",")) return expect(close);
    }
  }
  [[nodiscard]] std::string_view quoted() {
    skip_spaces();
    const std::size_t end = text_.empty() ? std::string_view::npos : text_.find(text_[0], 1);
    if (end == std::string_view::npos || (text_[0] != '\'' && text_[0] != '"')) fail("must have a text in quotes");
    const std::string_view result = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return result;
  }
  [[nodiscard]] std::size_t number(bool is_first) {
    skip_spaces();
    std::size_t result = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), result);
    if (error == std::errc::result_out_of_range) fail("has a number that is too large");
    if (error != std::errc()) fail("must have a number");
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    accept("L");  // as Python 2 wrote them
    skip_spaces();
    if (is_first && !text_.starts_with(',')) fail("must have a tuple as its shape, and has a number");
    return result;
  }
  void skip_spaces() noexcept {
    const std::size_t first = text_.find_first_not_of(" \t\r\n");
    text_.remove_prefix((std::min)(first, text_.size()));
  }
  bool accept(std::string_view word) noexcept {
    skip_spaces();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!accept({&c, 1})) fail(std::string("must have a '") + c + "', and has none");
  }
  [[noreturn]] void fail(const std::string& what) const { name_.fail("its header " + what); }

  const FileName& name_;
  std::string_view text_;
};

/// Reads all but the scalars. Throws std::runtime_error where it is no array of NumPy.
[[nodiscard]] inline NpyInfo read_npy_header(InputFile& file) {
  const auto refuse = [&] {
    file.name().fail("must be an array of NumPy in the NPY format 1.0, 2.0 or 3.0, and is not");
  };
  if (file.left() < npy_magic.size() + 4) refuse();
  const FileBytes head = file.read(npy_magic.size() + 2, "the magic");
  const std::string_view text = head.text();
  if (!text.starts_with(npy_magic) || text[6] < 1 || text[6] > 3 || text[7] != 0) refuse();
  const std::size_t width = text[6] == 1 ? 2 : 4;
  const FileBytes length = file.read(width, "the length of the header");
  const std::uint64_t n =
      width == 2 ? decode_one<std::uint16_t>(length.memory.get()) : decode_one<std::uint32_t>(length.memory.get());
  return NpyHeader(file.name(), file.read(n, "the header").text()).parse();
}

/// "f8" by any of the names that NumPy 1 has for it; what has a sign of the byte order has a short one.
[[nodiscard]] inline std::string_view plain_npy_type(std::string_view name) {
  const bool is_signed = name.find_first_of("<>=|") == 0;
  if (is_signed) name.remove_prefix(1);
  constexpr std::string_view names[][6] = {{"f8", "d", "float64", "double", "float", "float_"},
                                           {"f4", "f", "float32", "single"},
                                           {"f2", "e", "float16", "half"},
                                           {"f16", "g", "float128", "longdouble", "longfloat"}};
  for (const auto& all : names) {
    const auto* const end = is_signed ? all + 2 : std::end(all);
    if (!name.empty() && std::find(std::begin(all), end, name) != end) return all[0];
  }
  return {};
}

/// Scalars in Fortran's order of any number of dimensions, into C's.
template <FileScalar T>
void decode_fortran(const std::byte* from, const Dimensions& shape, bool big_endian, std::span<T> to) noexcept {
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::size_t at = 0, rest = i, stride = to.size();
    for (std::size_t k = shape.size(); k-- > 0; rest /= shape[k]) at += rest % shape[k] * (stride /= shape[k]);
    to[i] = decode_one<T>(from + at * bytes_in_file<T>, big_endian);
  }
}

}  // namespace detail

/// The header of an array, without its scalars. Throws as load_npy does.
[[nodiscard]] inline NpyInfo npy_info(const std::filesystem::path& path) {
  detail::InputFile file({"polyak::npy_info", path.string()});
  return detail::read_npy_header(file);
}

/// Writes a vector as an array of one dimension, a matrix as one of two in its own storage order: contiguous
/// parameters, or any Eigen expression, of half, float, double or long double (as the float128 of NumPy on the same
/// machine); there is no bfloat16 in NPY. The file takes the place of `path` whole, as save has it. Throws
/// std::system_error, std::invalid_argument for a strided view.
template <class P>
  requires detail::Scalars<const P&> || (EigenDense<P> && FloatingPoint<typename P::Scalar>)
void save_npy(const std::filesystem::path& path, const P& array) {
  if constexpr (EigenDense<P>) {
    if constexpr (!detail::EigenMemory<P>) {
      return save_npy(path, array.eval());
    } else if (!detail::is_contiguous(array)) {
      return save_npy(path, array.eval());
    }
  }
  if constexpr (detail::Scalars<const P&>) {
    constexpr std::string_view who = "polyak::save_npy";
    const auto block = detail::block_of(array, who);
    const bool fortran_order = !block.shape.row_major && !detail::lies_in_one_order(block.shape);
    const std::string head = detail::npy_head(detail::npy_type<scalar_of<const P&>>(), fortran_order,
                                              detail::dimensions_of<const P&>(block.shape));
    detail::ReplacementFile file(path, who);
    file.write(std::as_bytes(std::span(head)));
    detail::encode(block.data, block.shape.size(), [&](std::span<const std::byte> bytes) { file.write(bytes); });
    file.commit();
  }
}

/// Reads an array into parameters of its scalar: a matrix into one of its shape, an array that is flat but for
/// dimensions of 1, or has none, or more than two, into a row or a column of as many numbers, in C's order. Either
/// storage order and byte order. Throws std::runtime_error for a file that is damaged or something else,
/// std::invalid_argument for an array that does not fit, before anything is written.
template <Parameters P>
  requires detail::Scalars<P>
void load_npy(const std::filesystem::path& path, P&& into) {
  using Scalar = scalar_of<P>;
  constexpr std::size_t width = detail::bytes_in_file<Scalar>;
  detail::InputFile file({"polyak::load_npy", path.string()});
  const detail::FileName& name = file.name();
  const auto block = detail::block_of(into, name.who);
  const NpyInfo info = detail::read_npy_header(file);
  const bool big_endian =
      std::endian::native == std::endian::big ? !info.dtype.starts_with('<') : info.dtype.starts_with('>');
  if (detail::plain_npy_type(info.dtype) != detail::npy_type<Scalar>() || (big_endian && width == 16)) {
    std::string what = "an array of '" + info.dtype + "' must be of '<";
    name.misfit(what.append(detail::npy_type<Scalar>()).append("', as what it is loaded into"));
  }
  if (!detail::fits(info.shape, block.shape)) {
    name.misfit("an array of shape " + detail::to_text(info.shape) + " must be " + std::to_string(block.shape.rows) +
                " x " + std::to_string(block.shape.cols) + ", as what it is loaded into");
  }
  const detail::FileBytes scalars = file.read(block.shape.size() * width, "the array");
  if (file.left() > 0) {
    const detail::FileBytes rest =
        file.read((std::min<std::uint64_t>)(file.left(), detail::npy_magic.size()), "the rest");
    name.fail(rest.text() == detail::npy_magic ? "must have one array, and has several: save each in a file of its own"
                                               : "must end with its array, and does not");
  }
  if (info.fortran_order && info.shape.size() > 2) {
    return detail::decode_fortran(scalars.memory.get(), info.shape, big_endian, block.flat());
  }
  detail::decode_block(scalars.memory.get(), {!info.fortran_order, big_endian}, block);
}

}  // namespace polyak
