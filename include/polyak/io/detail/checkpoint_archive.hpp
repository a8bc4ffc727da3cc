#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/checkpoint_format.hpp"
#include "polyak/io/detail/scalar_type.hpp"

// The archives that serialize() of an object is given. Its arrays become entries of their own, named after the parts
// they are in; its other numbers become one entry, each behind a tag that says what it is.

namespace polyak::detail {

/// Where in an object an archive is: "opt", "opt.averager.0", …
class NamePath {
 public:
  explicit NamePath(std::string_view object) : path_(object) {}

  void enter(std::string_view name) {
    ends_.push_back(path_.size());
    path_.append(".").append(name);
  }
  void leave() {
    path_.resize(ends_.back());
    ends_.pop_back();
  }
  [[nodiscard]] const std::string& current() const noexcept { return path_; }
  [[nodiscard]] std::string of(std::string_view name) const { return std::string(path_).append(".").append(name); }

 private:
  std::string path_;
  std::vector<std::size_t> ends_;
};

/// Tags of a state beside the scalar types.
inline constexpr std::uint8_t tag_enter = 0xF0;
inline constexpr std::uint8_t tag_leave = 0xF1;

template <class T, class Archive>
concept SerializableBy = std::is_class_v<T> && requires(T& object, Archive& archive) { object.serialize(archive, 0u); };

class CheckpointSaver {
 public:
  using is_loading = std::false_type;
  using is_saving = std::true_type;

  CheckpointSaver(CheckpointWriter& writer, std::string_view object) : writer_(writer), path_(object) {}

  template <class T>
    requires FileScalar<std::remove_const_t<T>>
  CheckpointSaver& operator&(T& x) {
    using Scalar = std::remove_const_t<T>;
    constexpr ScalarType type = scalar_type_of<Scalar>();
    state_.push_back(static_cast<std::byte>(type));
    state_.resize(state_.size() + size_of(type));
    encode(static_cast<const Scalar*>(&x), 1, state_.data() + (state_.size() - size_of(type)));
    return *this;
  }
  template <SerializableBy<CheckpointSaver> T>
  CheckpointSaver& operator&(T& object) {
    object.serialize(*this, 0u);
    return *this;
  }
  CheckpointSaver& operator&(const std::string& text) {
    state_.push_back(static_cast<std::byte>(ScalarType::text));
    put_text(text);
    return *this;
  }

  void enter(std::string_view name) {
    state_.push_back(std::byte{tag_enter});
    put_text(name);
    path_.enter(name);
  }
  void leave() {
    state_.push_back(std::byte{tag_leave});
    path_.leave();
  }

  void array_size(std::string_view, const std::uint64_t&) noexcept {}
  template <FileScalar T>
  void array(std::string_view name, const T* data, std::size_t n) {
    const EntryRole role = name == "average" ? EntryRole::average : EntryRole::array;
    writer_.add(path_.of(name), role, data, {n, 1, false});
  }

  /// Writes what is no array.
  void finish() {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(state_.data());
    writer_.add(path_.current(), EntryRole::state, bytes, {state_.size(), 1, false}, ScalarType::state);
  }

 private:
  void put_text(std::string_view text) {
    const std::uint64_t length = text.size();
    state_.resize(state_.size() + sizeof length);
    encode(&length, 1, state_.data() + (state_.size() - sizeof length));
    const auto bytes = std::as_bytes(std::span(text));
    state_.insert(state_.end(), bytes.begin(), bytes.end());
  }

  CheckpointWriter& writer_;
  NamePath path_;
  std::vector<std::byte> state_;
};

class CheckpointLoader {
 public:
  using is_loading = std::true_type;
  using is_saving = std::false_type;

  /// Throws std::invalid_argument where there is no object of that name, as everything here does for what does not fit.
  CheckpointLoader(const Checkpoint& file, std::string_view object)
      : file_(file), entry_(state_of(file, object)), rest_(entry_.data), path_(object) {}

  template <FileScalar T>
  CheckpointLoader& operator&(T& x) {
    constexpr ScalarType type = scalar_type_of<T>();
    expect(static_cast<std::uint8_t>(type), to_text(type));
    x = decode_one<T>(take(size_of(type)).data());
    return *this;
  }
  template <SerializableBy<CheckpointLoader> T>
  CheckpointLoader& operator&(T& object) {
    object.serialize(*this, 0u);
    return *this;
  }
  CheckpointLoader& operator&(std::string& text) {
    expect(static_cast<std::uint8_t>(ScalarType::text), "a text");
    text = take_text();
    return *this;
  }

  void enter(std::string_view name) {
    expect(tag_enter, "the part \"" + std::string(name) + '"');
    const std::string_view got = take_text();
    if (got != name) fail("expected the part \"" + std::string(name) + "\", found \"" + std::string(got) + '"');
    path_.enter(name);
  }
  void leave() {
    expect(tag_leave, "the end of a part");
    path_.leave();
  }

  void array_size(std::string_view name, std::uint64_t& n) { n = find(name).size(); }
  template <FileScalar T>
  void array(std::string_view name, T* data, std::size_t n) {
    const CheckpointEntry& entry = find(name);
    if (entry.type != scalar_type_of<T>() || entry.size() != n) {
      file_.name().misfit(to_text(entry) + " must have " + std::to_string(n) + " numbers of " +
                          to_text(scalar_type_of<T>()));
    }
    decode(entry.data.data(), n, data);
    const auto place = std::lower_bound(used_.begin(), used_.end(), &entry);
    if (place == used_.end() || *place != &entry) used_.insert(place, &entry);
  }

  /// Throws where something of the object was not asked for.
  void finish() const {
    if (!rest_.empty()) fail("expected its end, found " + std::to_string(rest_.size()) + " bytes more");
    for (const CheckpointEntry* const entry : file_.with_prefix(path_.current() + '.')) {
      if (!std::binary_search(used_.begin(), used_.end(), entry)) {
        file_.name().misfit(to_text(*entry) + " must be part of what \"" + path_.current() + "\" is loaded into");
      }
    }
  }

 private:
  static const CheckpointEntry& state_of(const Checkpoint& file, std::string_view object) {
    const CheckpointEntry& entry = file.get(object);
    if (entry.role != EntryRole::state) {
      file.misfit_listing('"' + std::string(object) + "\" must be an object with a state, and is none");
    }
    return entry;
  }

  const CheckpointEntry& find(std::string_view name) const { return file_.get(path_.of(name)); }

  void expect(std::uint8_t tag, std::string_view what) {
    const auto got = std::to_integer<std::uint8_t>(take(1)[0]);
    if (got == tag) return;
    const std::string found = got == tag_enter   ? "the beginning of a part"
                              : got == tag_leave ? "the end of a part"
                                                 : to_text(static_cast<ScalarType>(got));
    fail("expected " + std::string(what) + ", found " + found);
  }
  std::span<const std::byte> take(std::size_t n) {
    if (n > rest_.size()) fail("expected more than there is");
    const auto bytes = rest_.first(n);
    rest_ = rest_.subspan(n);
    return bytes;
  }
  std::string_view take_text() {
    const auto length = decode_one<std::uint64_t>(take(8).data());
    if (length > rest_.size()) fail("expected a text of " + std::to_string(length) + " characters");
    const auto bytes = take(static_cast<std::size_t>(length));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  [[noreturn]] void fail(std::string_view what) const {
    file_.name().misfit("the state \"" + std::string(entry_.name) + "\" is that of another type, " + std::string(what) +
                        " before byte " + std::to_string(entry_.offset + entry_.data.size() - rest_.size()));
  }

  const Checkpoint& file_;
  const CheckpointEntry& entry_;
  std::span<const std::byte> rest_;
  NamePath path_;
  std::vector<const CheckpointEntry*> used_;  // sorted
};

}  // namespace polyak::detail
