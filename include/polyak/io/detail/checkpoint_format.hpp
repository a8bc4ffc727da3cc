#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/concepts.hpp"
#include "polyak/io/detail/file_error.hpp"
#include "polyak/io/detail/matrix_order.hpp"
#include "polyak/io/detail/replacement_file.hpp"
#include "polyak/io/detail/scalar_type.hpp"
#include "polyak/io/detail/xxh64.hpp"

namespace polyak {

/// What an entry of a checkpoint is.
enum class EntryRole : std::uint8_t {
  value = 1,    ///< parameters, a number or a text, as given to save
  array = 2,    ///< an array in the state of an object
  average = 3,  ///< one that is an average
  state = 4     ///< the other numbers of an object
};

namespace detail {

/// A checkpoint, all numbers little-endian:
///
///     8 bytes   "\x89polyak\n"
///     uint32    0x01020304, the byte order
///     uint32    1, the version of the format
///     entries:
///       uint16  length of the name, not 0
///       …       the name, UTF-8
///       uint8   ScalarType;  uint8 EntryRole;  uint8 1 for row-major, else 0;  uint8 0
///       uint64  rows;  uint64 columns
///       …       rows · columns scalars, in the order said
///     uint16    0
///     uint64    number of entries
///     uint64    size of the file
///     uint64    XXH64 of everything before it
namespace checkpoint_format {
inline constexpr std::string_view magic = "\x89polyak\n";
inline constexpr std::string_view what = "a checkpoint of polyak";
inline constexpr std::uint32_t byte_order = 0x01020304;
inline constexpr std::uint32_t version = 1;
inline constexpr std::size_t head_bytes = 16;
inline constexpr std::size_t tail_bytes = 2 + 3 * 8;
inline constexpr std::size_t longest_name = 1000;
}  // namespace checkpoint_format

[[nodiscard]] inline bool is_entry_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= checkpoint_format::longest_name &&
         std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

/// Writes entries as they come; holds none of them.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(ReplacementFile& file) : file_(file) {
    put(std::as_bytes(std::span(checkpoint_format::magic)));
    put_number(checkpoint_format::byte_order);
    put_number(checkpoint_format::version);
  }

  /// Throws std::invalid_argument for a name that is taken or cannot be one.
  template <FileScalar T>
  void add(const std::string& name, EntryRole role, const T* data, const BlockShape& shape,
           ScalarType type = scalar_type_of<T>()) {
    if (!is_entry_name(name)) {
      file_.name().misfit("the name of an entry must have 1 to 1000 characters, none a control one, got \"" + name +
                          '"');
    }
    const auto place = std::lower_bound(names_.begin(), names_.end(), name);
    if (place != names_.end() && *place == name) file_.name().misfit("two entries must not be named \"" + name + '"');
    names_.insert(place, name);
    put_number(static_cast<std::uint16_t>(name.size()));
    put(std::as_bytes(std::span(name)));
    put_number(static_cast<std::uint8_t>(type));
    put_number(static_cast<std::uint8_t>(role));
    put_number(static_cast<std::uint8_t>(shape.row_major ? 1 : 0));
    put_number(std::uint8_t{0});
    put_number(std::uint64_t{shape.rows});
    put_number(std::uint64_t{shape.cols});
    encode_in_stretches(data, shape.size(), [this](std::span<const std::byte> bytes) { put(bytes); });
  }

  void finish() {
    put_number(std::uint16_t{0});
    put_number(std::uint64_t{names_.size()});
    put_number(std::uint64_t{size_ + 16});
    put_number(checksum_.value());
  }

 private:
  template <std::unsigned_integral T>
  void put_number(T x) {
    std::array<std::byte, sizeof(T)> bytes;
    encode(&x, 1, bytes.data());
    put(bytes);
  }
  void put(std::span<const std::byte> bytes) {
    checksum_.update(bytes);
    file_.write(bytes);
    size_ += bytes.size();
  }

  ReplacementFile& file_;
  Xxh64 checksum_;
  std::uint64_t size_ = 0;
  std::vector<std::string> names_;  // sorted
};

/// An entry in the bytes of a file.
struct CheckpointEntry {
  std::string_view name;
  ScalarType type;
  EntryRole role;
  BlockShape shape;
  std::span<const std::byte> data;
  std::size_t offset;  // of the data in the file

  [[nodiscard]] std::size_t size() const noexcept { return shape.size(); }
};

/// "weights" (float64, 3 x 1)
[[nodiscard]] inline std::string to_text(const CheckpointEntry& entry) {
  return '"' + std::string(entry.name) + "\" (" + to_text(entry.type) + ", " + to_text(entry.shape) + ')';
}

/// The verified contents of a checkpoint; refers to the bytes and to the name.
class Checkpoint {
 public:
  Checkpoint(const FileName& name, std::vector<CheckpointEntry> entries) : name_(&name), entries_(std::move(entries)) {
    by_name_.reserve(entries_.size());
    for (const CheckpointEntry& entry : entries_) by_name_.push_back(&entry);
    std::sort(by_name_.begin(), by_name_.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
    for (std::size_t i = 1; i < by_name_.size(); ++i) {
      if (by_name_[i - 1]->name == by_name_[i]->name) {
        name.fail_at(by_name_[i]->offset, "names must differ, got a second \"" + std::string(by_name_[i]->name) + '"');
      }
    }
  }
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  [[nodiscard]] const FileName& name() const noexcept { return *name_; }
  /// In the order of the file.
  [[nodiscard]] const std::vector<CheckpointEntry>& entries() const noexcept { return entries_; }

  /// Null where there is none.
  [[nodiscard]] const CheckpointEntry* find(std::string_view name) const noexcept {
    const auto place = lower_bound(name);
    return place != by_name_.end() && (*place)->name == name ? *place : nullptr;
  }
  /// Throws std::invalid_argument that names those there are.
  [[nodiscard]] const CheckpointEntry& get(std::string_view name) const {
    if (const CheckpointEntry* const entry = find(name)) return *entry;
    misfit_listing("there is no entry \"" + std::string(name) + '"');
  }
  /// Those whose names begin with `prefix`, in the order of their names.
  [[nodiscard]] std::span<const CheckpointEntry* const> with_prefix(std::string_view prefix) const noexcept {
    const auto first = lower_bound(prefix);
    const auto last =
        std::partition_point(first, by_name_.end(), [&](const auto* entry) { return entry->name.starts_with(prefix); });
    return {first, last};
  }

  [[noreturn]] void misfit_listing(std::string what) const {
    what += "; the entries are";
    constexpr std::size_t most = 40;
    for (std::size_t i = 0; i < std::min(entries_.size(), most); ++i) {
      what.append(i == 0 ? " " : ", ").append(to_text(entries_[i]));
    }
    if (entries_.empty()) what += " none";
    if (entries_.size() > most) what.append(" and ").append(std::to_string(entries_.size() - most)).append(" more");
    name_->misfit(what);
  }

 private:
  [[nodiscard]] std::vector<const CheckpointEntry*>::const_iterator lower_bound(std::string_view name) const noexcept {
    return std::partition_point(by_name_.begin(), by_name_.end(),
                                [&](const auto* entry) { return entry->name < name; });
  }

  const FileName* name_;
  std::vector<CheckpointEntry> entries_;
  std::vector<const CheckpointEntry*> by_name_;
};

/// Goes through bytes without leaving them.
class ByteReader {
 public:
  ByteReader(const FileName& name, std::span<const std::byte> bytes) noexcept : name_(name), bytes_(bytes) {}

  [[nodiscard]] std::size_t offset() const noexcept { return at_; }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

  [[nodiscard]] std::span<const std::byte> take(std::size_t n, std::string_view what) {
    if (n > left()) {
      name_.fail_at(at_, std::string(what) + " must have " + std::to_string(n) + " bytes, and there are " +
                             std::to_string(left()));
    }
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  template <std::unsigned_integral T>
  [[nodiscard]] T number(std::string_view what) {
    return decode_one<T>(take(sizeof(T), what).data());
  }

 private:
  const FileName& name_;
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

[[nodiscard]] inline std::string hexadecimal(std::uint64_t x, int digits) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%0*llX", digits, static_cast<unsigned long long>(x));
  return text;
}

[[nodiscard]] inline CheckpointEntry read_entry(const FileName& name, ByteReader& reader, std::size_t length) {
  CheckpointEntry entry{};
  const std::size_t start = reader.offset();
  const auto text = reader.take(length, "the name of an entry");
  entry.name = {reinterpret_cast<const char*>(text.data()), text.size()};
  if (!is_entry_name(entry.name)) name.fail_at(start, "the name of an entry must be a name, and is not");
  const auto type = reader.number<std::uint8_t>("a scalar type");
  const auto role = reader.number<std::uint8_t>("a role");
  const auto order = reader.number<std::uint16_t>("a storage order");
  entry.type = static_cast<ScalarType>(type);
  entry.role = static_cast<EntryRole>(role);
  const std::size_t width = size_of(entry.type);
  if (width == 0)
    name.fail_at(reader.offset() - 4, "a scalar type must be one of polyak's, got " + to_text(entry.type));
  if (role < 1 || role > 4) name.fail_at(reader.offset() - 3, "a role must be 1 to 4, got " + std::to_string(role));
  if (order > 1) name.fail_at(reader.offset() - 2, "a storage order must be 0 or 1, got " + std::to_string(order));
  const auto rows = reader.number<std::uint64_t>("a number of rows");
  const auto cols = reader.number<std::uint64_t>("a number of columns");
  const std::uint64_t most = reader.left() / width;
  if (rows > std::numeric_limits<std::size_t>::max() || cols > std::numeric_limits<std::size_t>::max() ||
      (cols > 0 && rows > most / cols)) {
    name.fail_at(reader.offset() - 16, '"' + std::string(entry.name) + "\" must fit into the " +
                                           std::to_string(reader.left()) + " bytes that follow, got " +
                                           std::to_string(rows) + " x " + std::to_string(cols) + " of " +
                                           std::to_string(width) + " bytes");
  }
  entry.shape = {static_cast<std::size_t>(rows), static_cast<std::size_t>(cols), order == 1};
  entry.offset = reader.offset();
  entry.data = reader.take(entry.size() * width, "the scalars of an entry");
  return entry;
}

/// The contents of a checkpoint, after every byte of it has been verified. Throws std::runtime_error that says what is
/// wrong and where. Allocates less than ten times as much as there are bytes, and copies no scalar.
[[nodiscard]] inline Checkpoint read_checkpoint(const FileName& name, std::span<const std::byte> bytes) {
  using namespace checkpoint_format;
  ByteReader reader(name, bytes);
  const auto begin = reader.take(magic.size(), "the magic");
  if (!std::equal(begin.begin(), begin.end(), std::as_bytes(std::span(magic)).begin())) {
    name.fail(std::string("must begin as ").append(what).append(", and does not"));
  }
  if (const auto mark = reader.number<std::uint32_t>("the byte order"); mark != byte_order) {
    name.fail_at(8, "the byte order must be marked by " + hexadecimal(byte_order, 8) + ", got " + hexadecimal(mark, 8));
  }
  if (const auto got = reader.number<std::uint32_t>("the version"); got != version) {
    name.fail_at(12,
                 "has version " + std::to_string(got) + " of the format, this polyak reads " + std::to_string(version));
  }
  if (reader.left() < tail_bytes) name.fail("is truncated: it has only " + std::to_string(bytes.size()) + " bytes");
  ByteReader tail(name, bytes.last(tail_bytes - 2));
  const auto count = tail.number<std::uint64_t>("the number of entries");
  const auto size = tail.number<std::uint64_t>("the size");
  const auto checksum = tail.number<std::uint64_t>("the checksum");
  if (size != bytes.size()) {
    name.fail_at(bytes.size() - 16, "is truncated, extended or damaged: its end must give its size, " +
                                        std::to_string(bytes.size()) + " bytes, got " + std::to_string(size));
  }
  Xxh64 hash;
  hash.update(bytes.first(bytes.size() - 8));
  if (hash.value() != checksum) {
    name.fail_at(bytes.size() - 8, "is damaged: the checksum must be " + hexadecimal(hash.value(), 16) + ", got " +
                                       hexadecimal(checksum, 16));
  }

  std::vector<CheckpointEntry> entries;
  ByteReader body(name, bytes.first(bytes.size() - (tail_bytes - 2)));
  static_cast<void>(body.take(head_bytes, "the head"));
  while (const auto length = body.number<std::uint16_t>("the length of a name")) {
    entries.push_back(read_entry(name, body, length));
  }
  if (body.left() != 0) name.fail_at(body.offset(), "has " + std::to_string(body.left()) + " bytes after its entries");
  if (count != entries.size()) {
    name.fail_at(bytes.size() - 24, "must have as many entries as it says, " + std::to_string(entries.size()) +
                                        ", got " + std::to_string(count));
  }
  return Checkpoint(name, std::move(entries));
}

}  // namespace detail
}  // namespace polyak
