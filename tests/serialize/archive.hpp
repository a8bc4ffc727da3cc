#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// The smallest archives that the library can be saved to and loaded from, in memory: the integers one after the other.

namespace serialize {

using Bytes = std::vector<std::uint8_t>;

struct Truncated : std::runtime_error {
  Truncated() : std::runtime_error("the archive ends here") {}
};

template <class Archive, class T>
void hand_on(Archive& archive, T& part) {
  if constexpr (requires { part.serialize(archive, 0u); }) {
    part.serialize(archive, 0u);
  } else {
    part.serialize(archive);
  }
}

class Output {
 public:
  using is_loading = std::false_type;

  template <class T>
  Output& operator&(T& x) {
    if constexpr (std::unsigned_integral<T>) {
      const auto at = bytes.size();
      bytes.resize(at + sizeof x);
      std::memcpy(bytes.data() + at, &x, sizeof x);
    } else {
      hand_on(*this, x);
    }
    return *this;
  }

  Bytes bytes;
};

class Input {
 public:
  using is_loading = std::true_type;

  explicit Input(Bytes from) : bytes_(std::move(from)) {}

  template <class T>
  Input& operator&(T& x) {
    if constexpr (std::unsigned_integral<T>) {
      if (bytes_.size() - at_ < sizeof x) throw Truncated();
      std::memcpy(&x, bytes_.data() + at_, sizeof x);
      at_ += sizeof x;
    } else {
      hand_on(*this, x);
    }
    return *this;
  }

  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

/// What is saved to archives that take arrays as a whole, by name.
struct Named {
  struct Array {
    std::uint64_t count;
    Bytes bytes;
  };
  Bytes rest;
  std::map<std::string, Array> arrays;
};

/// Where in an object the archive is: "optimizer.velocity".
class Path {
 public:
  void enter(std::string_view name) { parts_.emplace_back(name); }
  void leave() { parts_.pop_back(); }
  [[nodiscard]] std::string to(std::string_view name) const {
    std::string path;
    for (const auto& part : parts_) path += part + ".";
    return path.append(name);
  }

 private:
  std::vector<std::string> parts_;
};

class NamedOutput : public Path {
 public:
  using is_loading = std::false_type;

  template <class T>
  NamedOutput& operator&(T& x) {
    if constexpr (std::unsigned_integral<T>) {
      output_& x;
    } else {
      hand_on(*this, x);
    }
    return *this;
  }
  void array_size(std::string_view, std::uint64_t&) {}
  template <class T>
  void array(std::string_view name, T* data, std::size_t n) {
    Bytes bytes(n * sizeof(T));
    if (n > 0) std::memcpy(bytes.data(), static_cast<const void*>(data), bytes.size());
    if (!arrays_.emplace(to(name), Named::Array{n, std::move(bytes)}).second)
      throw std::logic_error("twice: " + to(name));
  }

  [[nodiscard]] Named saved() const { return {output_.bytes, arrays_}; }

 private:
  Output output_;
  std::map<std::string, Named::Array> arrays_;
};

class NamedInput : public Path {
 public:
  using is_loading = std::true_type;

  explicit NamedInput(Named from) : input_(std::move(from.rest)), arrays_(std::move(from.arrays)) {}

  template <class T>
  NamedInput& operator&(T& x) {
    if constexpr (std::unsigned_integral<T>) {
      input_& x;
    } else {
      hand_on(*this, x);
    }
    return *this;
  }
  void array_size(std::string_view name, std::uint64_t& n) { n = arrays_.at(to(name)).count; }
  template <class T>
  void array(std::string_view name, T* data, std::size_t n) {
    const Bytes bytes = arrays_.at(to(name)).bytes;
    if (bytes.size() != n * sizeof(T)) throw Truncated();
    if (n > 0) std::memcpy(static_cast<void*>(data), bytes.data(), bytes.size());
    arrays_.erase(to(name));
  }

  [[nodiscard]] bool at_end() const { return input_.at_end() && arrays_.empty(); }

 private:
  Input input_;
  std::map<std::string, Named::Array> arrays_;
};

template <class T>
[[nodiscard]] Bytes save(T& object) {
  Output output;
  output& object;
  return output.bytes;
}

/// Throws where something is left over.
template <class T>
void load(const Bytes& bytes, T& object) {
  Input input(bytes);
  input& object;
  if (!input.at_end()) throw std::logic_error("the archive goes on");
}

}  // namespace serialize
