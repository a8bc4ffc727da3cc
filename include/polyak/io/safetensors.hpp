#pragma once

#if !__has_include(<nlohmann/json.hpp>)
#error "polyak: safetensors.hpp needs nlohmann/json.hpp (Debian: apt-get install nlohmann-json3-dev)"
#endif

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/checkpoint_items.hpp"
#include "polyak/io/detail/file_bytes.hpp"
#include "polyak/io/detail/file_error.hpp"
#include "polyak/io/detail/matrix_order.hpp"
#include "polyak/io/detail/replacement_file.hpp"
#include "polyak/io/detail/scalar_type.hpp"
#include "polyak/io/named.hpp"
#include "polyak/parameters.hpp"

/// Weights and averages as named tensors in the safetensors format: 8 bytes of length, a header in JSON, the scalars in
/// row-major order, nothing between. Not part of polyak.hpp, as it needs POSIX and nlohmann/json.hpp.
///
///     polyak::save_safetensors("model.safetensors", polyak::named("weight", opt.average()));
///     polyak::load_safetensors("model.safetensors", polyak::named("weight", theta));
///
/// The average of a set, block by block: named("layers", ParameterSet{W1, b1}.like(opt.average().data())).

namespace polyak {

namespace detail {

namespace safetensors_format {
inline constexpr std::uint64_t longest_header = 100'000'000;
inline constexpr std::string_view metadata = "__metadata__";

struct Type {
  std::string_view name;
  std::size_t bytes;
};
inline constexpr auto types = std::to_array<Type>({{"F64", 8},
                                                   {"F32", 4},
                                                   {"F16", 2},
                                                   {"BF16", 2},
                                                   {"I64", 8},
                                                   {"I32", 4},
                                                   {"I16", 2},
                                                   {"I8", 1},
                                                   {"U64", 8},
                                                   {"U32", 4},
                                                   {"U16", 2},
                                                   {"U8", 1},
                                                   {"BOOL", 1},
                                                   {"F8_E5M2", 1},
                                                   {"F8_E4M3", 1}});
}  // namespace safetensors_format

template <FloatingPoint T>
[[nodiscard]] constexpr std::string_view safetensors_type() {
  constexpr ScalarType type = scalar_type_of<T>();
  static_assert(size_of(type) <= 8, "polyak: the safetensors format has no long double; save double");
  return type == ScalarType::float64   ? "F64"
         : type == ScalarType::float32 ? "F32"
         : type == ScalarType::float16 ? "F16"
                                       : "BF16";
}

struct Tensor {
  std::string name;
  std::string type;
  std::vector<std::size_t> dimensions;
  std::span<const std::byte> data;
};

/// Goes along while a header is parsed: no name twice, and no deeper than a header is.
class SafetensorsGuard {
 public:
  explicit SafetensorsGuard(const FileName& name) : name_(name) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > 3) name_.fail("its header must be an object of objects, and goes deeper");
    if (event == Event::object_start) keys_[static_cast<std::size_t>(depth)].clear();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_[static_cast<std::size_t>(depth) - 1].insert(key).second) {
        name_.fail("its header must have each name once, got a second \"" + key + '"');
      }
    }
    return true;
  }

 private:
  const FileName& name_;
  std::array<std::set<std::string>, 4> keys_;
};

[[nodiscard]] inline std::uint64_t safetensors_number(const FileName& name, const std::string& tensor,
                                                      const nlohmann::json& json) {
  if (!json.is_number_unsigned()) name.fail("tensor \"" + tensor + "\" must have numbers, got " + json.dump());
  return json.get<std::uint64_t>();
}

/// One tensor of the header; `scalars` are those of all tensors.
[[nodiscard]] inline Tensor read_tensor(const FileName& name, const std::string& tensor, const nlohmann::json& json,
                                        std::span<const std::byte> scalars) {
  const std::string who = "tensor \"" + tensor + "\" must have ";
  const auto has = [&](const char* key) { return json.is_object() && json.contains(key); };
  if (!has("dtype") || !has("shape") || !has("data_offsets") || json.size() != 3 || !json["dtype"].is_string() ||
      !json["shape"].is_array() || !json["data_offsets"].is_array() || json["data_offsets"].size() != 2) {
    name.fail(who + "a dtype, a shape and two data_offsets, and nothing else");
  }
  Tensor result{tensor, json["dtype"].get<std::string>(), {}, {}};
  const auto& types = safetensors_format::types;
  const auto type = std::find_if(types.begin(), types.end(), [&](const auto& t) { return t.name == result.type; });
  if (type == types.end()) name.fail(who + "a dtype of the format, got \"" + result.type + '"');
  const std::uint64_t begin = safetensors_number(name, tensor, json["data_offsets"][0]);
  const std::uint64_t end = safetensors_number(name, tensor, json["data_offsets"][1]);
  if (begin > end || end > scalars.size()) {
    name.fail(who + "data_offsets within the " + std::to_string(scalars.size()) + " bytes there are, got " +
              std::to_string(begin) + " to " + std::to_string(end));
  }
  std::uint64_t count = 1;
  bool empty = false;
  for (const auto& dimension : json["shape"]) {
    const std::uint64_t n = safetensors_number(name, tensor, dimension);
    empty = empty || n == 0;
    if (n > 0 && count > std::numeric_limits<std::uint64_t>::max() / 8 / n) name.fail(who + "a shape of fewer numbers");
    if (n > 0) count *= n;
    result.dimensions.push_back(static_cast<std::size_t>(n));
  }
  if (const std::uint64_t bytes = empty ? 0 : count * type->bytes; bytes != end - begin) {
    name.fail(who + std::to_string(bytes) + " bytes by its shape and dtype, got " + std::to_string(end - begin));
  }
  result.data = scalars.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  return result;
}

/// The tensors in the bytes of a file, which they refer to, by name. Throws std::runtime_error for whatever the format
/// does not allow: lengths that are not there, tensors that overlap or leave gaps, names that occur twice.
[[nodiscard]] inline std::map<std::string, Tensor> read_safetensors(const FileName& name,
                                                                    std::span<const std::byte> bytes) {
  using namespace safetensors_format;
  if (bytes.size() < 8) name.fail("must have 8 bytes and more, got " + std::to_string(bytes.size()));
  const auto length = decode_one<std::uint64_t>(bytes.data());
  const std::uint64_t most = std::min<std::uint64_t>(longest_header, bytes.size() - 8);
  if (length > most) {
    name.fail("must have a header of at most " + std::to_string(most) + " bytes, got " + std::to_string(length));
  }
  const auto header = bytes.subspan(8, static_cast<std::size_t>(length));
  const auto scalars = bytes.subspan(8 + header.size());
  const auto* const text = reinterpret_cast<const char*>(header.data());
  if (header.empty() || text[0] != '{') name.fail("its header must begin with {, and does not");

  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, text + header.size(), SafetensorsGuard(name));
  } catch (const nlohmann::json::exception& error) {
    name.fail(std::string("its header must be JSON: ") + error.what());
  }
  if (!json.is_object()) name.fail("its header must be an object of JSON, and is not");
  std::map<std::string, Tensor> tensors;
  std::vector<const Tensor*> by_offset;
  for (const auto& [key, value] : json.items()) {
    if (key == metadata) {
      const bool texts =
          value.is_object() && std::all_of(value.begin(), value.end(), [](const auto& x) { return x.is_string(); });
      if (!texts) name.fail("its __metadata__ must be an object of texts, and is not");
    } else {
      by_offset.push_back(&tensors.emplace(key, read_tensor(name, key, value, scalars)).first->second);
    }
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const Tensor* a, const Tensor* b) {
    return std::pair(a->data.data(), a->data.size()) < std::pair(b->data.data(), b->data.size());
  });
  const std::byte* at = scalars.data();
  for (const Tensor* const tensor : by_offset) {
    if (tensor->data.data() != at) {
      name.fail("tensor \"" + tensor->name + "\" must begin where the one before ends, at " +
                std::to_string(at - scalars.data()) + ", got " + std::to_string(tensor->data.data() - scalars.data()));
    }
    at += tensor->data.size();
  }
  if (at != scalars.data() + scalars.size()) {
    name.fail("must end with its last tensor, at " + std::to_string(at - scalars.data()) + ", got " +
              std::to_string(scalars.size()));
  }
  return tensors;
}

/// A tensor on its way into a file.
struct OutgoingTensor {
  std::string name;
  std::string_view type;
  std::size_t scalar_bytes = 0;
  std::vector<std::size_t> dimensions;
  const void* data = nullptr;
  BlockShape shape;
  void (*write)(const OutgoingTensor&, ReplacementFile&) = nullptr;

  [[nodiscard]] std::size_t bytes() const noexcept { return shape.size() * scalar_bytes; }
};

template <FloatingPoint Scalar>
void write_tensor(const OutgoingTensor& tensor, ReplacementFile& file) {
  encode_row_major(Block<const Scalar>{static_cast<const Scalar*>(tensor.data), tensor.shape},
                   [&](std::span<const std::byte> bytes) { file.write(bytes); });
}

/// Parameters that are vectors by their type have one dimension: of a set, blocks of one column.
template <ReadableParameters P>
[[nodiscard]] std::vector<std::size_t> tensor_dimensions(const BlockShape& shape) {
  if constexpr (Scalars<P>) {
    return dimensions_of<P>(shape);
  } else {
    if (shape.cols == 1) return {shape.rows};
    return {shape.rows, shape.cols};
  }
}

template <class T>
void add_tensors(const FileName& file, std::vector<OutgoingTensor>& tensors, const Named<T>& item) {
  using P = decltype((item.object));
  static_assert(ReadableParameters<P>, "polyak: a safetensors file has parameters, each with a name");
  using Scalar = scalar_of<P>;
  for_each_named_block(item.name, item.object, file.who, [&](const std::string& name, const auto& block) {
    if (name.empty() || name == safetensors_format::metadata) file.misfit("a tensor must not be named \"" + name + '"');
    const bool taken = std::any_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
    if (taken) file.misfit("two tensors must not be named \"" + name + '"');
    tensors.push_back({name, safetensors_type<Scalar>(), sizeof(Scalar), tensor_dimensions<P>(block.shape), block.data,
                       block.shape, &write_tensor<Scalar>});
  });
}

[[nodiscard]] inline std::string safetensors_header(const FileName& file, const std::vector<OutgoingTensor>& tensors,
                                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[std::string(safetensors_format::metadata)] = metadata;
  std::size_t at = 0;
  for (const OutgoingTensor& tensor : tensors) {
    json[tensor.name] = {
        {"dtype", tensor.type}, {"shape", tensor.dimensions}, {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string header;
  try {
    header = json.dump();
  } catch (const nlohmann::json::exception& error) {  // no UTF-8
    file.misfit(std::string("a name or metadata cannot be written: ") + error.what());
  }
  header.append((8 - header.size() % 8) % 8, ' ');  // so that the scalars are aligned
  if (header.size() > safetensors_format::longest_header) {
    file.misfit("its header must have at most 100000000 bytes, got " + std::to_string(header.size()));
  }
  return header;
}

template <class T>
[[nodiscard]] auto prepare_tensors(const FileName& file, const std::map<std::string, Tensor>& tensors,
                                   const Named<T>& item) {
  using P = decltype((item.object));
  static_assert(ReadableParameters<P> && !std::is_const_v<element_t<P>>,
                "polyak: a safetensors file is loaded into parameters that can be written to, each with a name");
  using Scalar = scalar_of<P>;
  struct Pending {
    std::vector<std::pair<const Tensor*, Block<Scalar>>> parts;
    void commit() const noexcept {
      for (const auto& [tensor, block] : parts) decode_block(tensor->data.data(), true, false, block);
    }
  } pending;
  for_each_named_block(item.name, item.object, file.who, [&](const std::string& name, const auto& block) {
    const auto place = tensors.find(name);
    if (place == tensors.end()) {
      std::string what = "there is no tensor \"" + name + "\"; the tensors are";
      std::size_t listed = 0;
      for (const auto& [other, tensor] : tensors) {
        if (++listed > 40) break;
        what.append(listed == 1 ? " \"" : ", \"").append(other).append("\" (").append(tensor.type).append(", ");
        what.append(tuple_text(tensor.dimensions)).append(")");
      }
      file.misfit(what + (tensors.empty() ? " none" : listed > 40 ? " and more" : ""));
    }
    const Tensor& tensor = place->second;
    const bool one = tensor.dimensions.empty() && block.shape.size() == 1;
    if (tensor.type != safetensors_type<Scalar>() || !(one || fits(tensor.dimensions, block.shape))) {
      file.misfit("tensor \"" + name + "\" (" + tensor.type + ", " + tuple_text(tensor.dimensions) + ") must be " +
                  std::string(safetensors_type<Scalar>()) + ", " + to_text(block.shape) +
                  ", as what it is loaded into");
    }
    pending.parts.push_back({&tensor, {block.data, block.shape}});
  });
  return pending;
}

}  // namespace detail

/// Writes parameters or averages under their names, the blocks of a set as name.0, name.1, …: of half, bfloat16, float
/// or double; the format has no long double. Vectors have one dimension, matrices two, in row-major order whatever
/// theirs is. `metadata` goes into __metadata__. The file takes the place of `path` whole, as save has it. Tensors are
/// in the order of their scalars' size and their names, so that all are aligned. Throws std::invalid_argument for names
/// that are equal, empty, "__metadata__" or no UTF-8, and for strided views, std::system_error.
template <class... P>
void save_safetensors(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
                      const Named<P>&... parameters) {
  const detail::FileName name{"polyak::save_safetensors", path.string()};
  std::vector<detail::OutgoingTensor> tensors;
  (detail::add_tensors(name, tensors, parameters), ...);
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return a.scalar_bytes != b.scalar_bytes ? a.scalar_bytes > b.scalar_bytes : a.name < b.name;
  });
  const std::string header = detail::safetensors_header(name, tensors, metadata);
  std::array<std::byte, 8> length;
  const std::uint64_t bytes = header.size();
  detail::encode(&bytes, 1, length.data());
  detail::ReplacementFile file(path, name.who);
  file.write(length);
  file.write(std::as_bytes(std::span(header)));
  for (const detail::OutgoingTensor& tensor : tensors) tensor.write(tensor, file);
  file.commit();
}
template <class... P>
void save_safetensors(const std::filesystem::path& path, const Named<P>&... parameters) {
  save_safetensors(path, std::map<std::string, std::string>(), parameters...);
}

/// Reads tensors by name into parameters of their scalar and shape, all of them or none; a tensor of one dimension fits
/// a row or a column, what else the file has is left alone. Throws std::runtime_error for a file that the format does
/// not allow, std::invalid_argument for what is missing or does not fit, before anything is written.
template <class... P>
void load_safetensors(const std::filesystem::path& path, const Named<P>&... parameters) {
  const detail::FileName name{"polyak::load_safetensors", path.string()};
  const detail::FileBytes bytes(name, "", "a safetensors file");
  const auto tensors = detail::read_safetensors(name, bytes.get());
  const std::tuple pending{detail::prepare_tensors(name, tensors, parameters)...};
  std::apply([](const auto&... each) { (each.commit(), ...); }, pending);
}

}  // namespace polyak
