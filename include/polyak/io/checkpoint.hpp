#pragma once

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/io/detail/archive.hpp"
#include "polyak/io/detail/file.hpp"
#include "polyak/io/detail/scalars.hpp"
#include "polyak/io/detail/tensors.hpp"
#include "polyak/io/named.hpp"
#include "polyak/lanes.hpp"
#include "polyak/parameters.hpp"

/// Weights, averages and whole training runs in files of the safetensors format, that are always whole.
///
///     polyak::save("run.safetensors", polyak::named("weights", theta), polyak::named("opt", opt));
///     polyak::load("run.safetensors", polyak::named("weights", theta), polyak::named("opt", opt));
///     polyak::load_average("run.safetensors", "opt", theta);   // to ship; needs no optimizer
///
/// Every array is a tensor under its name, "weights", "opt.optimizer.velocity", "opt.averager.0.average", the blocks of
/// a set "weights.0", "weights.1", …; everything else is a text in __metadata__. Matrices are in row-major order,
/// whatever theirs is; the arrays inside an object have one dimension.
///
/// What is wrong with a file is a std::runtime_error, what does not fit the objects a std::invalid_argument, what the
/// system refuses a std::system_error. Long, as every kind of thing that can be saved is here.

namespace polyak {

/// An argument of load: the objects go on with the options and parts that they have, and what is other in the file is
/// told, a sentence each.
struct OtherOptions {
  std::vector<std::string> differences;  ///< of the last load
};

namespace detail {

template <class T>
concept TextItem = std::convertible_to<const T&, std::string_view>;
/// Whole numbers, or enums, in a row.
template <class T>
concept IntegerArray = !ReadableParameters<T&> && !TextItem<T> && !EigenDense<T> && std::ranges::contiguous_range<T&> &&
                       std::ranges::sized_range<T&> && FileScalar<std::ranges::range_value_t<T&>>;
template <class T>
concept ArrayItem = ReadableParameters<T&> || IntegerArray<T> || is_wide<std::remove_const_t<T>>;
template <class T>
concept Expression = EigenDense<T> && FloatingPoint<typename T::Scalar>;
template <class T>
concept Saveable = ArrayItem<T> || TextItem<T> || Textual<T> || Expression<T> ||
                   (SerializableBy<T, StateSaver> && SerializableBy<T, StateLoader>);

/// Whether what is loaded into a T outlives the call: an object that has a name, or a view.
template <class T>
concept KeepsWhatIsLoaded =
    std::is_lvalue_reference_v<T> || is_parameter_set<std::remove_cvref_t<T>> || (Scalars<T> && OutlivesCall<T>) ||
    (Blocks<T> && OutlivesCall<std::ranges::range_value_t<T>>) || (!EigenDense<T> && std::ranges::borrowed_range<T>);

/// Names for what has none: "weights" for parameters and "state" for the rest, "weights_2" the second time.
struct ItemNames {
  int weights = 0, states = 0;

  /// Calls f(name, object) for what was given, with a name or without.
  template <bool Loads, class T, class F>
  void with(const Named<T>& given, const F& f) {
    static_assert(Saveable<std::remove_cvref_t<T>>,
                  "polyak: saved and loaded are parameters, numbers, enums, arrays of whole numbers, std::string, "
                  "generators of random numbers, and classes with serialize");
    static_assert(!Loads || KeepsWhatIsLoaded<T>,
                  "polyak::load: what is loaded into a temporary is lost: name the object, or a view of it");
    if constexpr (Saveable<std::remove_cvref_t<T>>) {
      f(given.name, const_cast<std::remove_reference_t<T>&>(given.object));  // to write through a view
    }
  }
  template <bool Loads, class T, class F>
    requires(!is_named<std::remove_cvref_t<T>>)
  void with(T&& given, const F& f) {
    constexpr bool parameters = ReadableParameters<T> || Expression<std::remove_cvref_t<T>>;
    const int number = ++(parameters ? weights : states);
    const std::string name = (parameters ? "weights" : "state") + (number == 1 ? "" : '_' + std::to_string(number));
    with<Loads>(Named<T>{name, std::forward<T>(given)}, f);
  }
};

/// Calls f(name, block, dimensions) for each array that an item is made of; of the blocks of a set, which are named
/// "weights.0", "weights.1", …, those of one column have one dimension.
template <ArrayItem T, class F>
void for_each_array(const std::string& name, T& item, std::string_view who, const F& f) {
  if constexpr (ReadableParameters<T&>) {
    for (std::size_t i = 0; i < count_blocks(item); ++i) {
      const auto block = block_at(item, i, who);
      f(Scalars<T&> ? name : name + '.' + std::to_string(i), block, dimensions_of<T&>(block.shape));
    }
  } else if constexpr (IntegerArray<T>) {
    using Element = std::remove_reference_t<std::ranges::range_reference_t<T&>>;
    const std::size_t n = std::ranges::size(item);
    f(name, Block<Element>{std::ranges::data(item), {n, 1, false}}, Dimensions{n});
  } else {
    f(name, Block<T>{&item, {1, 1, false}}, Dimensions{});
  }
}

template <class T>
void save_item(TensorWriter& file, const std::string& name, T& item) {
  using Item = std::remove_const_t<T>;
  const auto add = [&](auto& arrays, const std::shared_ptr<const void>& owner) {
    for_each_array(name, arrays, file.name().who, [&](const std::string& of, const auto& block, const auto& shape) {
      file.add(of, Block<const std::remove_cvref_t<decltype(*block.data)>>{block.data, block.shape}, shape, owner);
    });
  };
  if constexpr (Expression<Item>) {
    if constexpr (EigenMemory<Item>) {
      if (is_contiguous(item)) return add(item, nullptr);
    }
    const auto evaluated = std::make_shared<const typename Item::PlainObject>(item);
    add(*evaluated, evaluated);
  } else if constexpr (ArrayItem<T>) {
    add(item, nullptr);
  } else if constexpr (Textual<Item>) {
    file.add_text(name, text_of<Item>(item));
  } else if constexpr (TextItem<Item>) {
    file.add_text(name, std::string(std::string_view(item)));
  } else {
    StateSaver(file, name) & const_cast<Item&>(item);  // which only reads while it saves
  }
}

/// Where the scalars of a tensor lie, which must be such and fit the block. Throws std::invalid_argument.
template <FileScalar T>
[[nodiscard]] const std::byte* scalars_for(const TensorFile& file, const std::string& name, const BlockShape& shape) {
  const Tensor& tensor = file.tensor(name);
  if (const auto dimensions = file.shape_of<T>(name, tensor); !dimensions || !fits(*dimensions, shape)) {
    std::string what = to_text(name, tensor) + " must be ";
    what.append(is_wide<T> ? note_of<T>() : dtype_of<T>()).append(", ").append(std::to_string(shape.rows));
    file.name().misfit(what + " x " + std::to_string(shape.cols) + ", as what it is loaded into");
  }
  return file.scalars(tensor);
}

/// Does all that can throw, and returns what cannot: what puts the loaded into its place. Given differences, what of
/// the blocks of parameters fits is loaded; the rest stays, and is told.
template <ArrayItem T>
[[nodiscard]] std::function<void()> prepare_arrays(const TensorFile& file, const std::string& name, T& item,
                                                   Differences* differences) {
  std::vector<std::function<void()>> commits;
  Reshaped all;
  const std::size_t told = differences ? differences->told.size() : 0;
  const auto tell = [&](const std::string& of, const std::string& what) {
    differences->told.push_back('"' + of + "\" " + what);
  };
  for_each_array(name, item, file.name().who, [&](const std::string& of, const auto& block, const auto& dimensions) {
    using Scalar = std::remove_reference_t<decltype(*block.data)>;
    static_assert(!std::is_const_v<Scalar>, "polyak: what is loaded into must not be const");
    BlockShape saved = block.shape;
    if constexpr (ReadableParameters<T&>) {
      all.present.push_back(block.shape);
      if (differences) {
        for (const auto x : block.flat()) all.weights.push_back(static_cast<double>(x));
        const auto place = file.tensors().find(of);
        if (place == file.tensors().end()) return tell(of, "is not in the file");
        const Dimensions& shape = place->second.shape;
        if (shape.size() == dimensions.size() && shape != dimensions) {
          tell(of, "was " + to_text(shape) + ", is " + to_text(dimensions));
          saved.rows = shape.size() == 2 || saved.cols == 1 ? shape[0] : 1;
          saved.cols = saved.cols == 1 ? 1 : shape.back();
        }
        all.saved.push_back(saved);
      }
    }
    if constexpr (!std::is_const_v<Scalar>) {
      const std::byte* const from = scalars_for<Scalar>(file, of, saved);
      commits.push_back([from, saved, block] { decode_block(from, {true, false, &saved}, block); });
    }
  });
  for (std::size_t i = all.present.size(); Blocks<T&>; ++i) {
    const auto left_out = file.tensors().find(name + '.' + std::to_string(i));
    if (left_out == file.tensors().end()) break;
    if (!differences) {
      file.misfit_listing('"' + name + "\" must have as many blocks as were saved, got " + std::to_string(i));
    }
    tell(left_out->first, "is left out");
    const Dimensions& shape = left_out->second.shape;
    all.saved.push_back({shape.empty() ? 1 : shape[0], shape.size() == 2 ? shape[1] : 1, false});
  }
  if (differences && ReadableParameters<T&>) {
    all.changed = differences->told.size() > told;
    differences->reshaped.push_back(std::move(all));
  }
  return [commits = std::move(commits)] {
    for (const auto& commit : commits) commit();
  };
}

/// The same for whatever can be loaded.
template <class T>
[[nodiscard]] std::function<void()> prepare_item(const TensorFile& file, const std::string& name, T& item,
                                                 Differences* differences) {
  constexpr bool takes_size = IntegerArray<T> && requires { item.resize(1u); };
  if constexpr (ArrayItem<T> && !takes_size) {
    return prepare_arrays(file, name, item, differences);
  } else {
    static_assert(!std::is_const_v<T>, "polyak: what is loaded into must not be const");
    static_assert(
        std::is_copy_constructible_v<T> && std::is_nothrow_move_constructible_v<T>,
        "polyak: to be loaded whole or not at all, an object must be copyable, and movable without exceptions");
    const auto copy = std::make_shared<T>(item);
    if constexpr (IntegerArray<T>) {
      copy->resize(file.length_of(name, file.tensor(name)));
      prepare_arrays(file, name, *copy, nullptr)();
    } else if constexpr (Textual<T>) {
      if (const std::string& text = file.text(name); !read_text(text, *copy)) {
        file.name().misfit('"' + name + "\" must be what it is loaded into, got \"" + text.substr(0, 100) + '"');
      }
    } else {
      TensorWriter unused(file.name());
      StateSaver(unused, name) & item;  // throws while an average in it is swapped in, which the copy cannot tell
      StateLoader loader(file, name, differences);
      try {
        copy->serialize(loader, 0u);
      } catch (const OtherState& other) {  // of the whole object: nothing is left that could go on
        throw std::invalid_argument(other.what());
      }
      loader.finish();
    }
    return [copy, &item] {
      if constexpr (std::is_nothrow_move_assignable_v<T>) {
        item = std::move(*copy);
      } else {  // as what holds a lambda
        std::destroy_at(&item);
        std::construct_at(&item, std::move(*copy));
      }
    };
  }
}

template <class... Objects>
void load_all(const std::filesystem::path& path, OtherOptions* other, Objects&&... objects) {
  static_assert(sizeof...(Objects) > 0, "polyak::load: there is nothing to load");
  TensorFile file({"polyak::load", path.string()});
  file.read_data();
  Differences differences;
  std::vector<std::function<void()>> commits;
  for (const bool parameters : {true, false}) {  // which objects may have to know of
    ItemNames names;
    const auto prepare = [&]<class T>(const std::string& name, T& object) {
      if (parameters == ReadableParameters<T&>) {
        commits.push_back(prepare_item(file, name, object, other ? &differences : nullptr));
      }
    };
    (names.with<true>(std::forward<Objects>(objects), prepare), ...);
  }
  for (const auto& commit : commits) commit();
  if (other) other->differences = std::move(differences.told);
}

}  // namespace detail

/// Writes objects into one file, which takes the place of `path` whole, after it has reached the disk: at whatever
/// moment the process is killed or the machine stops, `path` is the old file or the new one. A link is followed;
/// permissions of the old file are kept.
///
/// @param path the file, whose folder there is
/// @param objects parameters of any kind and Eigen expressions, which are evaluated; classes with serialize (all of
/// polyak's); numbers, enums, bool, arrays of whole numbers, texts, generators of random numbers. Each is named, or
/// without a name "weights", "weights_2", … if it is parameters, else "state", "state_2", … A long double is kept as 16
/// bytes; a text beside it, "<name>.scalar", says so. What a class of one's own hands to `array` must stay where it is
/// until save returns.
/// @throws std::invalid_argument for names that are equal, begin as the parts of another do ("opt.x" beside "opt") or
/// cannot be names (empty, of more than 1000 bytes or with a control character, "__metadata__", "polyak.…"),
/// std::logic_error while an average of one of the objects is swapped in (weights alone cannot tell),
/// std::system_error. On any error the old file is left as it is, and no other, but for one in the very end: that the
/// directory cannot be brought to the disk.
///
/// O(bytes), with 64 KiB of memory.
template <class... Objects>
void save(const std::filesystem::path& path, const Objects&... objects) {
  static_assert(sizeof...(Objects) > 0, "polyak::save: there is nothing to save");
  detail::TensorWriter file({"polyak::save", path.string()});
  detail::ItemNames names;
  std::vector<std::string> all, with_parts;
  const auto save = [&]<class T>(const std::string& name, T& object) {
    detail::save_item(file, name, object);
    all.push_back(name);
    if constexpr (detail::Blocks<T&> || !(detail::ArrayItem<T> || detail::Expression<T> || detail::TextItem<T> ||
                                          detail::Textual<std::remove_const_t<T>>)) {
      with_parts.push_back(name + '.');
    }
  };
  (names.with<false>(objects, save), ...);
  for (const std::string& prefix : with_parts) {
    for (const std::string& name : all) {
      if (name.starts_with(prefix)) file.name().misfit('"' + name + "\" must not begin as the parts of another do");
    }
  }
  file.write(path);
}

/// Loads objects from a file, under the names they have in it: all of them, or none. First the whole file is read and
/// checked, one that polyak wrote by its checksum; then everything is loaded into copies, which take the places of the
/// objects when nothing can fail any more. What belongs to none of the names is left alone, so that weights are loaded
/// without their optimizer, and a part of an object by its name: named("opt.optimizer", adam).
///
/// Scalars and options must be those saved. A matrix is loaded into one of its shape; a tensor that is flat but for
/// dimensions of 1, or has none, or more than two, into a row or a column of as many numbers. A std::vector of whole
/// numbers takes the size that was saved.
///
/// @throws std::runtime_error for a file that is damaged, std::invalid_argument for what is missing, left over or does
/// not fit, std::logic_error while an average of one of the objects is swapped in; then nothing has changed.
///
/// O(bytes); takes the memory of the file, and of a copy of the objects that are not parameters.
template <class... Objects>
void load(const std::filesystem::path& path, Objects&&... objects) {
  detail::load_all(path, nullptr, std::forward<Objects>(objects)...);
}
/// The same into objects that are made with other options: the state goes on and their own options hold, as a longer
/// schedule, another decay or a setting that was changed while training. An averager, or a guard of one, that is not in
/// the file starts anew, and counts its steps from here; an array that is not is zero. Parameters may have other
/// blocks, or larger or smaller ones: what both have in common, from the upper left corner on, is loaded, the rest
/// stays; in the state of an optimizer of those parameters the rest is zero, in averages it is the weights. What
/// differs is told in `other`, a sentence each.
template <class... Objects>
void load(const std::filesystem::path& path, OtherOptions& other, Objects&&... objects) {
  detail::load_all(path, &other, std::forward<Objects>(objects)...);
}

/// A tensor of a file, or a text beside them.
struct EntryInfo {
  std::string name;                ///< as saved
  std::string dtype;               ///< as the format names it: "F32"; "text" of a text
  std::vector<std::size_t> shape;  ///< none of a text
  std::string text;                ///< that of a text
};

/// What is in a file, in the order of the names, tensors first. Reads the header alone, and throws as load does.
[[nodiscard]] inline std::vector<EntryInfo> entries(const std::filesystem::path& path) {
  const detail::TensorFile file({"polyak::entries", path.string()});
  std::vector<EntryInfo> result;
  for (const auto& [name, tensor] : file.tensors()) result.push_back({name, tensor.dtype, tensor.shape, {}});
  for (const auto& [name, text] : file.texts()) result.push_back({name, "text", {}, text});
  return result;
}

/// Reads the average out of the object saved under a name, or of a part of it ("opt.averager.1"), without the object:
/// into parameters of its size, in storage order, rounded to their scalar; a Compensated one without its residue. Of an
/// Averaged with several averagers name one ("opt.averager.1"): those without an average yet do not count.
///
/// Checks the whole file first, and throws as load does; std::invalid_argument, which names the tensors there are,
/// where there is no average of that name yet, or more than one. Sparse models keep their averages in another form:
/// load the model.
template <ReadableParameters P>
  requires detail::KeepsWhatIsLoaded<P>
void load_average(const std::filesystem::path& path, std::string_view object_name, P&& into) {
  detail::TensorFile file({"polyak::load_average", path.string()});
  file.read_data();
  const std::string object(object_name), prefix = object + '.';
  const std::pair<const std::string, detail::Tensor>* average = nullptr;
  for (const auto& entry : file.tensors()) {
    if (!entry.first.starts_with(prefix) || !entry.first.ends_with(".average")) continue;
    if (average) file.misfit_listing("there are several averages in \"" + object + '"');
    average = &entry;
  }
  if (!average) file.misfit_listing("there is no average in \"" + object + '"');
  const std::string& name = average->first;
  const detail::Tensor& tensor = average->second;
  const std::size_t n = detail::ShapesOf(into, file.name().who).size();
  const auto load_as = [&]<class From>(From) {
    if (!file.shape_of<From>(name, tensor) || tensor.end - tensor.begin != n * detail::bytes_in_file<From>) {
      return false;
    }
    const std::byte* from = file.scalars(tensor);
    detail::for_each_block(into, file.name().who, [&](std::size_t, auto target) {
      for (auto& x : target) {
        x = lanes::convert<scalar_of<P>>(detail::decode_one<From>(from));
        from += detail::bytes_in_file<From>;
      }
    });
    return true;
  };
  if (load_as(0.0) || load_as(0.0F) || load_as(Eigen::half()) || load_as(Eigen::bfloat16()) || load_as(0.0L)) return;
  file.name().misfit(detail::to_text(name, tensor) + " must be " + std::to_string(n) +
                     " numbers, as what it is loaded into");
}

}  // namespace polyak
