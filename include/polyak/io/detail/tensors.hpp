#pragma once

#if !__has_include(<nlohmann/json.hpp>) || !__has_include(<xxhash.h>)
#error "polyak::io needs nlohmann-json and xxHash (Debian: apt-get install nlohmann-json3-dev libxxhash-dev)"
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/file.hpp"
#include "polyak/io/detail/scalars.hpp"

// The safetensors format, as its authors publish it (Hugging Face 2022): 8 bytes of length, a header in JSON that gives
// the dtype, shape and place of each tensor, then the scalars in row-major order with nothing between. Texts lie beside
// the tensors in __metadata__. A file that polyak wrote has its version there, and a checksum: XXH64 of the whole file,
// as it is with zeros in the place of the 16 digits of the checksum. Long, as
// reader and writer are both here, and the reader has a sentence for each rule of the format.

namespace polyak::detail {

inline constexpr std::string_view metadata_key = "__metadata__", version_key = "polyak.version",
                                  checksum_key = "polyak.checksum", format_version = "1";
inline constexpr std::uint64_t longest_header = 100'000'000;

/// Bits of a scalar of the format; none of one that is not known here.
[[nodiscard]] inline std::optional<std::size_t> bits_of(std::string_view dtype) {
  static const std::map<std::string_view, std::size_t> known = {
      {"F64", 64},    {"F32", 32},    {"F16", 16},    {"BF16", 16},   {"I64", 64},    {"I32", 32}, {"I16", 16},
      {"I8", 8},      {"U64", 64},    {"U32", 32},    {"U16", 16},    {"U8", 8},      {"BOOL", 8}, {"C64", 64},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
  const auto place = known.find(dtype);
  return place == known.end() ? std::nullopt : std::optional(place->second);
}

/// A long double is kept as 16 bytes, and a text beside it says so.
template <FileScalar T>
[[nodiscard]] constexpr std::string_view dtype_of() noexcept {
  if constexpr (std::is_enum_v<T>) return dtype_of<std::underlying_type_t<T>>();
  if (std::same_as<T, bool>) return "BOOL";
  if (std::same_as<T, Eigen::bfloat16>) return "BF16";
  if (is_wide<T>) return "U8";
  constexpr std::string_view names[][4] = {
      {"I8", "I16", "I32", "I64"}, {"U8", "U16", "U32", "U64"}, {"", "F16", "F32", "F64"}};
  return names[FloatingPoint<T> ? 2 : std::is_unsigned_v<T>][std::countr_zero(sizeof(T))];
}
template <FileScalar T>
[[nodiscard]] constexpr std::string_view note_of() noexcept {
  if (!is_wide<T>) return "";
  return std::numeric_limits<T>::digits == 64 ? "float80 in 16 bytes" : "float128 in 16 bytes";
}
inline constexpr char note_suffix[] = ".scalar";

struct Tensor {
  std::string dtype;
  Dimensions shape;
  std::size_t begin = 0, end = 0;  // of its scalars, in bytes
};

[[nodiscard]] inline std::string to_text(const std::string& name, const Tensor& tensor) {
  return '"' + name + "\" (" + tensor.dtype + ", " + to_text(tensor.shape) + ')';
}

/// A file of tensors and texts that is read.
class TensorFile {
 public:
  /// Reads and checks the header alone. Throws std::runtime_error for what the format does not allow: lengths that are
  /// not there, tensors that overlap or leave gaps, names that occur twice; std::system_error.
  explicit TensorFile(const FileName& name) : file_(name) {
    if (file_.left() < 8) fail("must have 8 bytes and more, got " + std::to_string(file_.left()));
    length_ = file_.read(8, "the length of the header");
    const auto length = decode_one<std::uint64_t>(length_.memory.get());
    if (const std::uint64_t most = (std::min)(longest_header, file_.left()); length > most) {
      fail("must have a header of at most " + std::to_string(most) + " bytes, got " + std::to_string(length));
    }
    header_ = file_.read(length, "the header");
    parse();
  }

  /// Reads the scalars. Throws std::runtime_error where the file is not what its checksum says.
  void read_data() {
    data_ = file_.read(file_.left(), "the scalars");
    if (checksum_.empty()) return;
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    XXH64_update(&state, length_.memory.get(), length_.size);
    std::fill_n(header_.memory.get() + checksum_at_, checksum_.size(), std::byte{'0'});
    XXH64_update(&state, header_.memory.get(), header_.size);
    XXH64_update(&state, data_.memory.get(), data_.size);
    if (const std::string right = hexadecimal(XXH64_digest(&state)); right != checksum_) {
      fail("is damaged: its checksum must be " + right + ", got " + checksum_);
    }
  }

  [[nodiscard]] const FileName& name() const noexcept { return file_.name(); }
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string, std::less<>>& texts() const noexcept { return texts_; }
  /// The tensor or the text of that name. Throws std::invalid_argument that lists the tensors where there is none.
  [[nodiscard]] const Tensor& tensor(std::string_view key) const { return get(tensors_, key, "tensor"); }
  [[nodiscard]] const std::string& text(std::string_view key) const { return get(texts_, key, "text"); }
  [[nodiscard]] const std::byte* scalars(const Tensor& tensor) const noexcept {
    return data_.memory.get() + tensor.begin;
  }
  /// The dimensions of a tensor if its scalars are such; a long double is the last dimension of 16 bytes.
  template <FileScalar T>
  [[nodiscard]] std::optional<Dimensions> shape_of(const std::string& key, const Tensor& tensor) const {
    if (tensor.dtype != dtype_of<T>()) return std::nullopt;
    Dimensions shape = tensor.shape;
    if (is_wide<T>) {
      const auto note = texts_.find(key + note_suffix);
      if (note == texts_.end() || note->second != note_of<T>() || shape.empty() || shape.back() != bytes_in_file<T>) {
        return std::nullopt;
      }
      shape.pop_back();
    }
    return shape;
  }
  /// How many numbers lie in a tensor of one dimension; 0 of another, and of a dtype of which that is not known.
  [[nodiscard]] std::size_t length_of(const std::string& key, const Tensor& tensor) const {
    const Dimensions shape = shape_of<long double>(key, tensor).value_or(tensor.shape);
    return shape.size() == 1 && bits_of(tensor.dtype) ? shape[0] : 0;
  }

  /// Throws std::invalid_argument that names what there is.
  [[noreturn]] void misfit_listing(std::string what) const {
    what += "; there are";
    std::size_t listed = 0;
    for (const auto& [key, tensor] : tensors_) {
      if (++listed > 40) break;
      what.append(listed == 1 ? " " : ", ").append(to_text(key, tensor));
    }
    what.append(listed == 0 ? " no tensors" : listed > 40 ? " and more" : "");
    name().misfit(what);
  }

  [[nodiscard]] static std::string hexadecimal(std::uint64_t x) {
    std::string text(16, '0');
    for (std::size_t i = 16; i-- > 0; x >>= 4) text[i] = "0123456789abcdef"[x & 15];
    return text;
  }

 private:
  using Json = nlohmann::json;

  [[noreturn]] void fail(const std::string& what) const { name().fail(what); }

  template <class Entries>
  [[nodiscard]] const typename Entries::mapped_type& get(const Entries& entries, std::string_view key,
                                                         const std::string& kind) const {
    const auto place = entries.find(key);
    if (place == entries.end()) misfit_listing("there is no " + kind + " \"" + std::string(key) + '"');
    return place->second;
  }

  void parse() {
    const std::string_view header = header_.text();
    if (!header.starts_with('{')) fail("its header must begin with {, and does not");
    if (header.find('\0') != std::string_view::npos) fail("its header must be JSON, and has a zero byte");
    Json json;
    std::array<std::set<std::string>, 8> keys;  // so far, of the objects around
    try {
      json = Json::parse(header.begin(), header.end(), [&](int depth, Json::parse_event_t event, Json& parsed) {
        const auto level = static_cast<std::size_t>(depth);
        if (level >= keys.size()) fail("its header must be an object of objects, and goes deeper");
        if (event == Json::parse_event_t::object_start) keys[level].clear();
        if (event == Json::parse_event_t::key && !keys[level - 1].insert(parsed.get<std::string>()).second) {
          fail("its header must have each name once, got a second " + parsed.dump());
        }
        return true;
      });
    } catch (const Json::exception& error) {
      fail(std::string("its header must be JSON: ") + error.what());
    }
    std::set<std::tuple<std::size_t, std::size_t, std::string_view>> places;
    for (const auto& [key, value] : json.items()) {
      if (key == metadata_key) {
        if (!value.is_object() || !std::all_of(value.begin(), value.end(), [](auto& x) { return x.is_string(); })) {
          fail("its __metadata__ must be an object of texts, and is not");
        }
        value.get_to(texts_);
      } else {
        const auto& [name, tensor] = *tensors_.emplace(key, read_tensor(key, value)).first;
        places.emplace(tensor.begin, tensor.end, name);
      }
    }
    std::size_t at = 0;
    for (const auto& [begin, end, name] : places) {
      if (begin != at) {
        fail("tensor \"" + std::string(name) + "\" must begin where the one before ends, at " + std::to_string(at) +
             ", got " + std::to_string(begin));
      }
      at = end;
    }
    if (at != file_.left()) {
      fail("must end with its last tensor, after " + std::to_string(at) + " bytes of scalars, got " +
           std::to_string(file_.left()));
    }
    find_checksum(header);
  }

  /// A dtype that is not known matters only for who asks for the tensor.
  [[nodiscard]] Tensor read_tensor(const std::string& key, const Json& json) const {
    const std::string who = "tensor \"" + key + "\" must have ";
    const auto has = [&](const char* member, Json::value_t type) {
      return json.contains(member) && json[member].type() == type;
    };
    if (!has("dtype", Json::value_t::string) || !has("shape", Json::value_t::array) ||
        !has("data_offsets", Json::value_t::array) || json["data_offsets"].size() != 2) {
      fail(who + "a dtype, a shape and two data_offsets");
    }
    const auto number = [&](const Json& x) {
      if (!x.is_number_unsigned()) fail(who + "whole numbers, got " + x.dump());
      return x.get<std::uint64_t>();
    };
    const auto times = [&](std::uint64_t a, std::uint64_t b) {
      if (b > 0 && a > (std::numeric_limits<std::uint64_t>::max)() / b) fail(who + "a shape of fewer numbers");
      return a * b;
    };
    const std::uint64_t begin = number(json["data_offsets"][0]), end = number(json["data_offsets"][1]);
    if (begin > end || end > file_.left()) {
      fail(who + "data_offsets within the " + std::to_string(file_.left()) + " bytes there are, got " +
           std::to_string(begin) + " to " + std::to_string(end));
    }
    Tensor tensor{json["dtype"].get<std::string>(), {}, static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
    std::uint64_t count = 1;
    for (const Json& dimension : json["shape"]) {
      count = times(count, number(dimension));
      tensor.shape.push_back(dimension.get<std::size_t>());
    }
    if (const auto bits = bits_of(tensor.dtype)) {
      const std::uint64_t all_bits = times(count, *bits);
      if (all_bits % 8 != 0) fail(who + "whole bytes by its shape and dtype");
      if (all_bits / 8 != end - begin) {
        fail(who + std::to_string(all_bits / 8) + " bytes by its shape and dtype, got " + std::to_string(end - begin));
      }
    }
    return tensor;
  }
  /// Where the digits are: unescaped quotes are those of JSON itself.
  void find_checksum(std::string_view header) {
    const auto version = texts_.find(version_key), checksum = texts_.find(checksum_key);
    if (version == texts_.end() && checksum == texts_.end()) return;  // another program's
    if (version == texts_.end() || checksum == texts_.end()) fail("is damaged: it lacks its version or its checksum");
    if (version->second != format_version) {
      fail("has version " + version->second + " of polyak's files, this polyak reads " + std::string(format_version));
    }
    checksum_ = checksum->second;
    const std::string before = '"' + std::string(checksum_key) + "\":\"";
    const std::size_t found = header.find(before + checksum_ + '"');
    if (checksum_.size() != 16 || found == std::string_view::npos) fail("is damaged: its checksum must have 16 digits");
    checksum_at_ = found + before.size();
  }

  InputFile file_;
  FileBytes length_, header_, data_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> texts_;
  std::string checksum_;
  std::size_t checksum_at_ = 0;
};

/// Tensors and texts on their way into a file. Refers to the scalars, which must stay until it is written.
class TensorWriter {
 public:
  explicit TensorWriter(FileName name) : name_(std::move(name)) {}

  [[nodiscard]] const FileName& name() const noexcept { return name_; }

  /// Throws std::invalid_argument for a name that is taken or cannot be one. `owner` keeps scalars alive that nobody
  /// else does.
  template <FileScalar T>
  void add(const std::string& name, const Block<const T>& block, Dimensions shape,
           std::shared_ptr<const void> owner = {}) {
    check_name(name);
    if (is_wide<T>) {
      shape.push_back(bytes_in_file<T>);
      add_text(name + note_suffix, std::string(note_of<T>()));
    }
    tensors_.push_back({name, dtype_of<T>(), sizeof(T), block.shape.size() * bytes_in_file<T>, std::move(shape),
                        [block, owner = std::move(owner)](const Put& put) { encode_row_major(block, put); }});
  }
  void add_text(const std::string& name, std::string text) {
    check_name(name);
    texts_.emplace(name, std::move(text));
  }
  [[nodiscard]] const std::map<std::string, std::string>& texts() const noexcept { return texts_; }

  /// Writes all of it, tensors in the order of their scalars' size and their names, so that all are aligned.
  void write(const std::filesystem::path& path) {
    std::sort(tensors_.begin(), tensors_.end(), [](const Outgoing& a, const Outgoing& b) {
      return a.alignment != b.alignment ? a.alignment > b.alignment : a.name < b.name;
    });
    const std::string zeros(16, '0');
    texts_.emplace(version_key, format_version);
    texts_.emplace(checksum_key, zeros);
    const std::string header = make_header();
    ReplacementFile file(path, name_.who);
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    const Put put = [&](std::span<const std::byte> bytes) {
      XXH64_update(&state, bytes.data(), bytes.size());
      file.write(bytes);
    };
    std::array<std::byte, 8> length;
    encode_one(std::uint64_t{header.size()}, length.data());
    put(length);
    put(std::as_bytes(std::span(header)));
    for (const Outgoing& tensor : tensors_) tensor.encode(put);
    const std::string before = '"' + std::string(checksum_key) + "\":\"";
    const std::string checksum = TensorFile::hexadecimal(XXH64_digest(&state));
    file.overwrite(8 + header.find(before + zeros + '"') + before.size(), std::as_bytes(std::span(checksum)));
    file.commit();
  }

 private:
  using Put = std::function<void(std::span<const std::byte>)>;
  struct Outgoing {
    std::string name;
    std::string_view dtype;
    std::size_t alignment, bytes;
    Dimensions shape;
    std::function<void(const Put&)> encode;
  };

  /// Others may name their tensors as they like.
  void check_name(const std::string& name) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; };
    if (name.empty() || name.size() > 1000 || name == metadata_key || name.starts_with("polyak.") ||
        std::any_of(name.begin(), name.end(), is_control)) {
      name_.misfit("a name must have 1 to 1000 characters, none a control one, and not begin with \"polyak.\", got \"" +
                   name + '"');
    }
    if (!names_.insert(name).second) name_.misfit("two things must not be named \"" + name + '"');
  }
  [[nodiscard]] std::string make_header() const {
    std::string header;
    try {
      header = "{\"" + std::string(metadata_key) + "\":" + nlohmann::json(texts_).dump();
      std::size_t at = 0;
      for (const Outgoing& tensor : tensors_) {
        header += ',' + nlohmann::json(tensor.name).dump() + ":{\"dtype\":\"" + std::string(tensor.dtype) +
                  "\",\"shape\":" + nlohmann::json(tensor.shape).dump() + ",\"data_offsets\":[" + std::to_string(at) +
                  ',' + std::to_string(at + tensor.bytes) + "]}";
        at += tensor.bytes;
      }
    } catch (const nlohmann::json::exception& error) {  // no UTF-8
      name_.misfit(std::string("a name or a text cannot be written: ") + error.what());
    }
    header += '}';
    header.append((8 - header.size() % 8) % 8, ' ');  // so that the scalars are aligned
    if (header.size() > longest_header) {
      name_.misfit("its header must have at most 100000000 bytes, got " + std::to_string(header.size()));
    }
    return header;
  }

  FileName name_;
  std::vector<Outgoing> tensors_;
  std::map<std::string, std::string> texts_;
  std::set<std::string> names_;
};

}  // namespace polyak::detail
