#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/io/detail/checkpoint_archive.hpp"
#include "polyak/io/detail/checkpoint_format.hpp"
#include "polyak/io/detail/scalar_type.hpp"
#include "polyak/io/named.hpp"
#include "polyak/parameters.hpp"

// What save and load take: parameters, objects with serialize, numbers and texts, each with a name. Loading one has two
// halves: `prepare` does all that can throw, `commit` of what it returns cannot.

namespace polyak::detail {

template <class T>
concept CheckpointObject =
    SerializableBy<std::remove_cvref_t<T>, CheckpointSaver> && SerializableBy<std::remove_cvref_t<T>, CheckpointLoader>;
template <class T>
concept CheckpointText = std::same_as<std::remove_cvref_t<T>, std::string>;
template <class T>
concept CheckpointNumber = FileScalar<std::remove_cvref_t<T>>;
template <class T>
concept Saveable = ReadableParameters<T> || CheckpointObject<T> || CheckpointText<T> || CheckpointNumber<T>;

/// One item with the name it was given, or is to be given.
template <class T>
struct Item {
  std::string name;
  T& object;
};

/// Names for what has none: "weights" for parameters and "state" for the rest, "weights_2" the second time.
class ItemNames {
 public:
  template <class T>
  std::string next() {
    constexpr bool parameters = ReadableParameters<const T&>;
    const int number = parameters ? ++weights_ : ++states_;
    const std::string name = parameters ? "weights" : "state";
    return number == 1 ? name : name + '_' + std::to_string(number);
  }

 private:
  int weights_ = 0;
  int states_ = 0;
};

template <class T>
auto item_of(T& object, ItemNames& names, const FileName& file) {
  if constexpr (is_named<std::remove_const_t<T>>) {
    if (!is_entry_name(object.name) || object.name.find('.') != std::string::npos) {
      file.misfit("a name must have 1 to 1000 characters, none a dot or a control one, got \"" + object.name + '"');
    }
    using Object = std::remove_reference_t<decltype((object.object))>;
    static_assert(Saveable<Object&>,
                  "polyak: saved and loaded are parameters, numbers, std::string, and classes with serialize");
    return Item<Object>{object.name, object.object};
  } else {
    static_assert(Saveable<T&>,
                  "polyak: saved and loaded are parameters, numbers, std::string, and classes with serialize");
    return Item<T>{names.next<std::remove_const_t<T>>(), object};
  }
}

/// Calls f(name, block) for what a parameter is or for every block of a set: "weights", or "weights.0", "weights.1", …
template <ReadableParameters P, class F>
void for_each_named_block(const std::string& name, P& params, std::string_view who, F f) {
  if constexpr (Scalars<P&>) {
    f(name, block_of(params, who));
  } else {
    const std::size_t n = std::ranges::size(params);
    for (std::size_t i = 0; i < n; ++i) f(name + '.' + std::to_string(i), block_at(params, i, who));
  }
}

template <class T>
void save_item(CheckpointWriter& writer, std::string_view who, const Item<T>& item) {
  require_nothing_swapped(item.object);
  if constexpr (ReadableParameters<T&>) {
    for_each_named_block(item.name, item.object, who, [&](const std::string& name, const auto& block) {
      writer.add(name, EntryRole::value, block.data, block.shape);
    });
  } else if constexpr (CheckpointObject<T>) {
    CheckpointSaver saver(writer, item.name);
    const_cast<std::remove_const_t<T>&>(item.object).serialize(saver, 0u);  // which only reads while it saves
    saver.finish();
  } else if constexpr (CheckpointText<T>) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(item.object.data());
    writer.add(item.name, EntryRole::value, bytes, {item.object.size(), 1, false}, ScalarType::text);
  } else {
    writer.add(item.name, EntryRole::value, &item.object, {1, 1, false});
  }
}

[[nodiscard]] inline bool same_shape(const BlockShape& a, const BlockShape& b) noexcept {
  return a.rows == b.rows && a.cols == b.cols && (a.row_major == b.row_major || a.rows <= 1 || a.cols <= 1);
}

/// The entry of that name, which must be something given to save by itself, of that type and shape.
[[nodiscard]] inline const CheckpointEntry& value_entry(const Checkpoint& file, const std::string& name,
                                                        ScalarType type, const BlockShape& shape) {
  const CheckpointEntry& entry = file.get(name);
  if (entry.role != EntryRole::value) {
    file.misfit_listing('"' + name + "\" must have been saved as parameters or a value, and is the state of an object");
  }
  if (entry.type != type || !same_shape(entry.shape, shape)) {
    file.name().misfit(to_text(entry) + " must be " + to_text(type) + ", " + to_text(shape) +
                       ", as what it is loaded into");
  }
  return entry;
}

template <FloatingPoint Scalar>
struct PendingParameters {
  struct Part {
    const CheckpointEntry* from;
    Scalar* to;
  };
  std::vector<Part> parts;

  void commit() noexcept {
    for (const Part& part : parts) decode(part.from->data.data(), part.from->size(), part.to);
  }
};

template <class T>
struct PendingValue {
  T value;
  T* to;

  void commit() noexcept { std::swap(*to, value); }
};

/// An object is loaded into a copy, which takes its place by a move; by a new construction where it cannot be assigned
/// to, as one that holds a lambda.
template <class T>
struct PendingObject {
  static_assert(std::is_copy_constructible_v<T> && std::is_nothrow_move_constructible_v<T>,
                "polyak: to be loaded whole or not at all, an object must be copyable, and movable without exceptions");
  T copy;
  T* to;

  void commit() noexcept {
    if constexpr (std::is_nothrow_move_assignable_v<T>) {
      *to = std::move(copy);
    } else {
      std::destroy_at(to);
      std::construct_at(to, std::move(copy));
    }
  }
};

template <class T>
[[nodiscard]] auto prepare_item(const Checkpoint& file, const Item<T>& item) {
  require_nothing_swapped(item.object);
  if constexpr (ReadableParameters<T&>) {
    static_assert(!std::is_const_v<element_t<T&>>, "polyak: what is loaded into must not be const");
    using Scalar = scalar_of<T&>;
    PendingParameters<Scalar> pending;
    const auto add = [&](const std::string& name, const auto& block) {
      pending.parts.push_back({&value_entry(file, name, scalar_type_of<Scalar>(), block.shape), block.data});
    };
    for_each_named_block(item.name, item.object, file.name().who, add);
    if constexpr (Blocks<T&>) {
      if (const auto saved = file.with_prefix(item.name + '.'); saved.size() != pending.parts.size()) {
        file.misfit_listing('"' + item.name + "\" must have as many blocks as were saved, " +
                            std::to_string(saved.size()) + ", got " + std::to_string(pending.parts.size()));
      }
    }
    return pending;
  } else if constexpr (CheckpointObject<T>) {
    PendingObject<T> pending{item.object, &item.object};
    CheckpointLoader loader(file, item.name);
    pending.copy.serialize(loader, 0u);
    loader.finish();
    return pending;
  } else if constexpr (CheckpointText<T>) {
    const CheckpointEntry& entry = file.get(item.name);
    const std::size_t length = entry.size();
    static_cast<void>(value_entry(file, item.name, ScalarType::text, {length, 1, false}));
    return PendingValue<T>{std::string(reinterpret_cast<const char*>(entry.data.data()), length), &item.object};
  } else {
    const CheckpointEntry& entry = value_entry(file, item.name, scalar_type_of<T>(), {1, 1, false});
    return PendingValue<T>{decode_one<T>(entry.data.data()), &item.object};
  }
}

}  // namespace polyak::detail
