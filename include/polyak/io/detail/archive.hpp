#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <locale>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "polyak/detail/errors.hpp"
#include "polyak/detail/finite.hpp"
#include "polyak/detail/serialize.hpp"
#include "polyak/detail/swap.hpp"
#include "polyak/io/detail/tensors.hpp"

// The archives that serialize() of an object is given: its arrays are tensors, everything else is a text, each under
// the name of the object, of the parts it is in, and its own: "opt.averager.0.average". Long, as saving and loading,
// also into what differs from the saved, must be read side by side.

namespace polyak::detail {

/// What is kept as a text: numbers, enums, bool, std::string, and generators of random numbers as streams have them.
template <class T>
concept RandomEngine = std::is_class_v<T> && requires(T& engine, std::ostream& out, std::istream& in) {
  T::min();
  engine();
  out << engine;
  in >> engine;
};
template <class T>
concept Textual = (FileScalar<T> && !is_wide<T>) || std::same_as<T, std::string> || RandomEngine<T>;

template <Textual T>
[[nodiscard]] std::string text_of(const T& x) {
  if constexpr (RandomEngine<T>) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << x;
    return out.str();
  } else if constexpr (std::same_as<T, std::string>) {
    return x;
  } else if constexpr (std::is_enum_v<T>) {
    return text_of(static_cast<std::underlying_type_t<T>>(x));
  } else if constexpr (FloatingPoint<T>) {
    return to_text(static_cast<double>(x));
  } else {
    return nlohmann::json(x).dump();
  }
}

/// False where the text is not one of a T.
template <Textual T>
[[nodiscard]] bool read_text(const std::string& text, T& x) {
  if constexpr (RandomEngine<T>) {
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    return static_cast<bool>(in >> x);
  } else if constexpr (std::same_as<T, std::string>) {
    x = text;
    return true;
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> number;
    if (!read_text(text, number)) return false;
    x = static_cast<T>(number);
    return true;
  } else if constexpr (FloatingPoint<T>) {
    const bool negative = text.starts_with('-');
    const std::string digits = text.substr(negative ? 1 : 0);
    const auto json = nlohmann::json::parse(digits, nullptr, false);  // whatever the locale
    const bool is_special = digits == "inf" || digits == "nan";
    if ((!json.is_number() || digits.starts_with('-')) && !is_special) return false;
    using Limits = std::numeric_limits<double>;
    const double size = json.is_number()  ? json.get<double>()
                        : digits == "inf" ? Limits::infinity()
                                          : Limits::quiet_NaN();
    x = static_cast<T>(negative ? -size : size);
    return is_special || is_finite(static_cast<double>(x));  // else it is out of range
  } else {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (std::same_as<T, bool> ? !json.is_boolean() : !json.is_number_integer()) return false;
    x = json.get<T>();
    return nlohmann::json(x).dump() == json.dump();  // else it is out of range
  }
}

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

 protected:
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string of(std::string_view name) const { return std::string(path_).append(".").append(name); }
  /// What a class of the user's saves without a name is numbered, in each part from 0 on.
  [[nodiscard]] std::string next() { return of(std::to_string(counts_[path_]++)); }

 private:
  std::string path_;
  std::vector<std::size_t> ends_;
  std::map<std::string, int> counts_;
};

template <class T, class Archive>
concept SerializableBy = std::is_class_v<T> && requires(T& object, Archive& archive) { object.serialize(archive, 0u); };

class StateSaver : public NamePath {
 public:
  using is_loading = std::false_type;
  using is_saving = std::true_type;

  StateSaver(TensorWriter& file, std::string_view object) : NamePath(object), file_(file) {}

  template <class T>
    requires Textual<std::remove_const_t<T>>
  StateSaver& operator&(T& x) {
    file_.add_text(next(), text_of(x));
    return *this;
  }
  template <SerializableBy<StateSaver> T>
  StateSaver& operator&(T& object) {
    require_nothing_swapped(object);
    object.serialize(*this, 0u);
    return *this;
  }

  template <Textual T>
  void value(std::string_view name, const T& x) {
    file_.add_text(of(name), text_of(x));
  }
  void option(std::string_view, std::string_view name, std::string_view text) {
    file_.add_text(of(name), std::string(text));
  }
  /// An averager and its gains say it twice.
  void type(std::string_view who, std::string_view name) {
    if (const std::string* const known = file_.text(of(name)); !known || *known != who) option(who, name, who);
  }

  void array_size(std::string_view, const std::uint64_t&) noexcept {}
  /// The numbers must stay where they are until the file is written.
  template <FileScalar T>
  void array(std::string_view name, const T* data, std::size_t n) {
    file_.add(of(name), Block<const T>{data, {n, 1, false}}, {n});
  }

 private:
  TensorWriter& file_;
};

/// What two blocks have in common, from one into the other: the upper left corner.
template <class T>
void copy_common(const T* from, const BlockShape& from_shape, T* to, const BlockShape& to_shape) noexcept {
  for (std::size_t c = 0; c < std::min(from_shape.cols, to_shape.cols); ++c) {
    for (std::size_t r = 0; r < std::min(from_shape.rows, to_shape.rows); ++r) {
      to[index_of(to_shape, r, c)] = from[index_of(from_shape, r, c)];
    }
  }
}

/// Parameters that are given with other blocks than the file has, and what they are where it has none.
struct Reshaped {
  std::vector<BlockShape> saved, present;
  std::vector<double> weights;
  bool changed = true;  // or as they were: the state of such parameters must not be taken for that of others
};

/// What is told to a StateLoader that goes on with what the object has, and what it tells.
struct Differences {
  std::vector<std::string>& told;
  std::vector<Reshaped> reshaped = {};
};

/// Thrown by a StateLoader that goes on for a part that is not in the file, or is of another class there.
struct OtherState : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// Throws std::invalid_argument for what does not fit. Given Differences, it goes on with the options, the parts and
/// the blocks that the object has, and tells what is other in the file.
class StateLoader : public NamePath {
 public:
  using is_loading = std::true_type;
  using is_saving = std::false_type;

  StateLoader(const TensorFile& file, std::string_view object, Differences* differences)
      : NamePath(object), file_(file), differences_(differences) {
    for_each_entry([this](const std::string&) { is_there_ = true; });
  }

  template <Textual T>
  StateLoader& operator&(T& x) {
    read(next(), x);
    return *this;
  }
  template <SerializableBy<StateLoader> T>
  StateLoader& operator&(T& object) {
    if (!differences_) {
      object.serialize(*this, 0u);
      return *this;
    }
    NamePath before = *this;
    try {
      object.serialize(*this, 0u);
    } catch (const OtherState& other) {
      static_cast<NamePath&>(*this) = std::move(before);
      if constexpr (requires { object.reset(); }) object.reset();
      differences_->told.push_back('"' + path() + "\" starts anew: " + other.what());
      for_each_entry([this](const std::string& name) { used_.insert(name); });
    }
    return *this;
  }

  template <Textual T>
  void value(std::string_view name, T& x) {
    read(of(name), x);
  }
  void option(std::string_view who, std::string_view name, std::string_view present) {
    const std::string* const saved = find(of(name));
    if (saved && *saved != present) differs(who, name, *saved, present);
  }
  void type(std::string_view who, std::string_view name) {
    const std::string* const saved = find(of(name), name == "class");
    if (saved && *saved != who) refuse(std::string(who) + ": the saved state is of " + *saved);
  }
  void differs(std::string_view who, std::string_view name, std::string_view saved, std::string_view present) {
    if (!differences_) throw_other_option(who, name, saved, present);
    differences_->told.push_back('"' + of(name) + "\" was " + std::string(saved) + ", is " + std::string(present));
  }
  [[nodiscard]] bool keeps_options() const noexcept { return differences_ != nullptr; }

  /// True where the parameters have other blocks now; then `shapes` are those.
  bool reshape(std::vector<BlockShape>& shapes) {
    const auto is_saved = [&](const Reshaped& each) {
      return std::equal(each.saved.begin(), each.saved.end(), shapes.begin(), shapes.end(),
                        [](const BlockShape& a, const BlockShape& b) { return a.rows == b.rows && a.cols == b.cols; });
    };
    reshaped_ = nullptr;
    if (!differences_) return false;
    const Reshaped* place = nullptr;
    std::size_t matches = 0;
    bool changed = false;
    for (const Reshaped& each : differences_->reshaped) {
      if (!is_saved(each)) continue;
      place = &each;
      changed |= each.changed;
      ++matches;
    }
    if (!changed) return false;
    if (matches > 1) {
      file_.name().misfit('"' + path() + "\" is the state of one of several parameters that were saved with the same " +
                          "blocks and have others now: load each with its own in a call");
    }
    reshaped_ = place;
    shapes = place->present;
    return true;
  }
  void array_size(std::string_view name, std::uint64_t& n) {
    const Tensor* const tensor = find_tensor(name);
    if (!tensor) return;
    n = length_of(*tensor);
    if (const auto note = file_.texts().find(of(name) + std::string(note_suffix));
        note != file_.texts().end() && tensor->shape.size() == 2 && tensor->shape[1] == bytes_in_file<long double>) {
      n = tensor->shape[0];
    }
    if (reshaped_ && n == size_of(reshaped_->saved)) n = size_of(reshaped_->present);
  }
  template <FileScalar T>
  void array(std::string_view name, T* data, std::size_t n) {
    const Tensor* const tensor = find_tensor(name);
    if (!tensor) {
      std::fill_n(data, n, T(0));
      return;
    }
    if (reshaped_ && n == size_of(reshaped_->present)) {
      std::vector<T> saved(size_of(reshaped_->saved));
      const Reshaped& blocks = *std::exchange(reshaped_, nullptr);
      array(name, saved.data(), saved.size());
      reshaped_ = &blocks;
      // Averages and the slow weights of a Lookahead begin as the weights, all else as 0.
      const bool is_weights = name == "average" || name == "slow" || name.starts_with("iterate.");
      for (std::size_t i = 0; i < n; ++i) data[i] = is_weights ? static_cast<T>(blocks.weights[i]) : T(0);
      const T* from = saved.data();
      for (std::size_t i = 0; i < std::min(blocks.saved.size(), blocks.present.size()); ++i) {
        copy_common(from, blocks.saved[i], data, blocks.present[i]);
        from += blocks.saved[i].size();
        data += blocks.present[i].size();
      }
      return;
    }
    if (tensor->dtype != dtype_of<T>() || tensor->end - tensor->begin != n * bytes_in_file<T>) {
      file_.name().misfit(to_text(of(name), *tensor) + " must have " + std::to_string(n) + " numbers of " +
                          std::string(dtype_of<T>()));
    }
    decode(file_.scalars(*tensor), n, data);
    used_.insert(of(name) + std::string(note_suffix));
  }

  /// What of the object was not asked for.
  void finish() {
    for_each_entry([this, prefix = path().size() + 1](const std::string& name) {
      const std::size_t end = name.rfind(".class");  // of a part
      if (!differences_ || used_.contains(name) || end == name.npos || end + 6 != name.size() || end <= prefix) return;
      enter(std::string_view(name).substr(prefix, end - prefix));
      differences_->told.push_back('"' + path() + "\" is left out");
      for_each_entry([this](const std::string& inside) { used_.insert(inside); });
      leave();
    });
    for_each_entry([this](const std::string& name) {
      if (used_.contains(name)) return;
      if (!differences_) file_.name().misfit('"' + name + "\" must be part of what it is loaded into");
      differences_->told.push_back('"' + name + "\" is left out");
    });
  }

 private:
  /// Calls f(name) for all in the file that belongs to the part at hand.
  template <class F>
  void for_each_entry(const F& f) const {
    const std::string prefix = path() + '.';
    const auto of = [&](const auto& entries) {
      for (auto i = entries.lower_bound(prefix); i != entries.end() && i->first.starts_with(prefix); ++i) f(i->first);
    };
    of(file_.tensors());
    of(file_.texts());
  }
  [[nodiscard]] static std::size_t size_of(const std::vector<BlockShape>& shapes) noexcept {
    std::size_t size = 0;
    for (const BlockShape& shape : shapes) size += shape.size();
    return size;
  }
  /// Null where it may be missing and is.
  [[nodiscard]] const std::string* find(const std::string& name, bool must = false) {
    const auto place = file_.texts().find(name);
    if (place == file_.texts().end()) return missing(name, must), nullptr;
    used_.insert(name);
    return &place->second;
  }
  [[nodiscard]] const Tensor* find_tensor(std::string_view name) {
    const auto place = file_.tensors().find(of(name));
    if (place == file_.tensors().end()) return missing(of(name), false), nullptr;
    used_.insert(of(name));
    return &place->second;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    if (differences_) throw OtherState(what);
    throw std::invalid_argument(what);
  }
  void missing(const std::string& name, bool must) {
    if (!is_there_) file_.misfit_listing("there is no object \"" + name.substr(0, name.find_last_of('.')) + '"');
    if (must || !differences_) refuse(file_.name().text("there is no \"" + name + '"'));
    if (used_.insert(name).second) differences_->told.push_back('"' + name + "\" is not in the file");
  }
  template <class T>
  void read(const std::string& name, T& x) {
    const std::string* const text = find(name);
    if (text && !read_text(*text, x)) {
      file_.name().misfit('"' + name + "\" must be a number of its kind, got \"" + *text + '"');
    }
  }

  const TensorFile& file_;
  Differences* differences_;
  const Reshaped* reshaped_ = nullptr;  // of the part that is loaded
  std::set<std::string> used_;
  bool is_there_ = false;  // something of the object
};

}  // namespace polyak::detail
