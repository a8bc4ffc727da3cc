#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/checkpoint_format.hpp"
#include "polyak/io/detail/checkpoint_items.hpp"
#include "polyak/io/detail/file_bytes.hpp"
#include "polyak/io/detail/replacement_file.hpp"
#include "polyak/io/named.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"

/// Checkpoints: a training run in a file that is always whole. Not part of polyak.hpp, as it needs POSIX.
///
///     polyak::save("run.polyak", polyak::named("weights", theta), polyak::named("opt", opt));
///     polyak::load("run.polyak", polyak::named("weights", theta), polyak::named("opt", opt));
///     polyak::load_average("run.polyak", "opt", theta);   // to ship; needs no optimizer
///
/// Every array is an entry of its own, with name, scalar and shape: "weights", "opt.optimizer.velocity",
/// "opt.averager.0.average"; the blocks of a set are "weights.0", "weights.1", … The layout is that of
/// detail/io/checkpoint_format.hpp.
///
/// What is wrong with a file is a std::runtime_error, what does not fit the objects a std::invalid_argument, what the
/// system refuses a std::system_error.

namespace polyak {

/// Writes objects into one file, which takes the place of `path` whole, after it has reached the disk: at whatever
/// moment the process is killed or the machine stops, `path` is the old file or the new one. A link is followed;
/// permissions of the old file are kept. Objects are parameters of any kind, classes with serialize (all of polyak's),
/// numbers and std::string, named or not: parameters without a name are "weights", "weights_2", …, others "state",
/// "state_2", …
///
/// O(bytes), with 64 KiB of memory. Throws std::invalid_argument for names that are equal or have a dot,
/// std::logic_error while an average of one of them is swapped in (weights alone cannot tell); on any error the old
/// file is left as it is, and no other, but for one in the very end: that the directory cannot be brought to the disk.
template <class... Objects>
void save(const std::filesystem::path& path, const Objects&... objects) {
  static_assert(sizeof...(Objects) > 0, "polyak::save: there is nothing to save");
  constexpr std::string_view who = "polyak::save";
  const detail::FileName name{who, path.string()};
  detail::ItemNames names;
  const std::tuple items{detail::item_of(objects, names, name)...};
  detail::ReplacementFile file(path, who);
  detail::CheckpointWriter writer(file);
  std::apply([&](const auto&... item) { (detail::save_item(writer, who, item), ...); }, items);
  writer.finish();
  file.commit();
}

/// Loads objects from a file that save wrote, under the names they have in it: all of them, or none. First the whole
/// file is read and verified; then everything is loaded into copies, which take the places of the objects when nothing
/// can fail any more. Scalars and shapes must be those saved. Entries that belong to none of the names are left alone,
/// so that weights can be loaded without their optimizer.
///
/// O(bytes); takes the memory of the file, and of a copy of the objects that are not parameters. Throws
/// std::runtime_error for a file that is damaged in any way, std::invalid_argument for an entry that is missing, left
/// over or does not fit, or an option other than that saved, std::logic_error while an average of one of them is
/// swapped in; then nothing has changed.
template <class... Objects>
void load(const std::filesystem::path& path, Objects&&... objects) {
  static_assert(sizeof...(Objects) > 0, "polyak::load: there is nothing to load");
  const detail::FileName name{"polyak::load", path.string()};
  detail::ItemNames names;
  const std::tuple items{detail::item_of(objects, names, name)...};
  const detail::FileBytes bytes(name, detail::checkpoint_format::magic, detail::checkpoint_format::what);
  const detail::Checkpoint file = detail::read_checkpoint(name, bytes.get());
  auto pending =
      std::apply([&](const auto&... item) { return std::tuple{detail::prepare_item(file, item)...}; }, items);
  std::apply([](auto&... item) { (item.commit(), ...); }, pending);
}

/// An entry of a checkpoint.
struct EntryInfo {
  std::string name;
  std::string scalar;  ///< "float64", "float32", "float16", "bfloat16", "float80", "uint64", …; "state", "text"
  BlockShape shape;
  EntryRole role;
};

/// What is in a checkpoint, in its order. Reads and verifies all of it, and throws as load does.
[[nodiscard]] inline std::vector<EntryInfo> entries(const std::filesystem::path& path) {
  const detail::FileName name{"polyak::entries", path.string()};
  const detail::FileBytes bytes(name, detail::checkpoint_format::magic, detail::checkpoint_format::what);
  const detail::Checkpoint file = detail::read_checkpoint(name, bytes.get());
  std::vector<EntryInfo> result;
  result.reserve(file.entries().size());
  for (const detail::CheckpointEntry& entry : file.entries()) {
    result.push_back({std::string(entry.name), detail::to_text(entry.type), entry.shape, entry.role});
  }
  return result;
}

namespace detail {

/// The scalars of an entry into parameters of as many, rounded where their scalar is narrower.
template <FloatingPoint From, class P>
void decode_into(const CheckpointEntry& entry, P& params, std::string_view who) {
  for_each_block(params, who, [&](std::size_t offset, auto target) {
    constexpr std::size_t width = size_of(scalar_type_of<From>());
    const std::byte* from = entry.data.data() + offset * width;
    constexpr std::size_t stretch = 256;
    From some[stretch];
    for (std::size_t i = 0; i < target.size(); i += stretch) {
      const std::size_t n = std::min(stretch, target.size() - i);
      decode(from + i * width, n, some);
      lanes::copy(target.data() + i, some, n);
    }
  });
}

template <class P>
void decode_any_into(const Checkpoint& file, const CheckpointEntry& entry, P& params) {
  const std::string_view who = file.name().who;
  if (const std::size_t n = ShapesOf(params, who).size(); n != entry.size()) {
    file.name().misfit(to_text(entry) + " must have as many numbers as what it is loaded into, " + std::to_string(n));
  }
  switch (entry.type) {
    case ScalarType::float64:
      return decode_into<double>(entry, params, who);
    case ScalarType::float32:
      return decode_into<float>(entry, params, who);
    case ScalarType::float16:
      return decode_into<Eigen::half>(entry, params, who);
    case ScalarType::bfloat16:
      return decode_into<Eigen::bfloat16>(entry, params, who);
    default:
      if (entry.type == scalar_type_of<long double>()) return decode_into<long double>(entry, params, who);
      file.name().misfit(to_text(entry) + " must have a scalar that weights can have");
  }
}

}  // namespace detail

/// Reads one entry by its full name, such as "opt.averager.0.average", into parameters of its scalar and its shape; an
/// array out of the state of an object, which is a column there, into any of its size, a set as well. Verifies the
/// whole file first, and throws as load does.
template <Parameters P>
void load_entry(const std::filesystem::path& path, std::string_view entry_name, P&& into) {
  const detail::FileName name{"polyak::load_entry", path.string()};
  const detail::FileBytes bytes(name, detail::checkpoint_format::magic, detail::checkpoint_format::what);
  const detail::Checkpoint file = detail::read_checkpoint(name, bytes.get());
  const detail::CheckpointEntry& entry = file.get(entry_name);
  if (constexpr auto type = detail::scalar_type_of<scalar_of<P>>(); entry.type != type) {
    name.misfit(detail::to_text(entry) + " must be " + detail::to_text(type) + ", as what it is loaded into");
  }
  if (const detail::ShapesOf layout(into, name.who);
      entry.role == EntryRole::value && layout.blocks() == 1 && !detail::same_shape(entry.shape, layout.shape(0))) {
    name.misfit(detail::to_text(entry) + " must be " + detail::to_text(layout.shape(0)) +
                ", as what it is loaded into");
  }
  detail::decode_any_into(file, entry, into);
}

/// Reads the average out of the object saved under a name, or of a part of it ("opt.averager.1"), without the object:
/// into parameters of its size, in storage order, rounded to their scalar; a Compensated one without its residue. Of an
/// Averaged with several averagers name one ("opt.averager.1"): those without an average yet do not count.
/// Verifies the whole file first, and throws as load does; std::invalid_argument, which names the entries there are,
/// where the name is that of weights, where there is no average yet, or more than one. Sparse models keep their
/// averages in another form: load the model.
template <Parameters P>
void load_average(const std::filesystem::path& path, std::string_view object_name, P&& into) {
  const detail::FileName name{"polyak::load_average", path.string()};
  const detail::FileBytes bytes(name, detail::checkpoint_format::magic, detail::checkpoint_format::what);
  const detail::Checkpoint file = detail::read_checkpoint(name, bytes.get());
  const detail::CheckpointEntry* average = nullptr;
  for (const detail::CheckpointEntry* const entry : file.with_prefix(std::string(object_name) + '.')) {
    if (entry->role != EntryRole::average) continue;
    if (average) file.misfit_listing("there are several averages in \"" + std::string(object_name) + '"');
    average = entry;
  }
  if (!average) file.misfit_listing("there is no average in \"" + std::string(object_name) + '"');
  if (average->size() == 0) file.misfit_listing("the average in \"" + std::string(object_name) + "\" is empty");
  detail::decode_any_into(file, *average, into);
}

}  // namespace polyak
