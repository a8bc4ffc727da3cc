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
  (T::min)();
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
    using Limits = std::numeric_limits<double>;
    static const std::map<std::string_view, double> not_in_json = {
        {"inf", Limits::infinity()}, {"-inf", -Limits::infinity()}, {"nan", Limits::quiet_NaN()}, {"-0", -0.0}};
    if (const auto special = not_in_json.find(text); special != not_in_json.end()) {
      x = static_cast<T>(special->second);
      return true;
    }
    const auto json = nlohmann::json::parse(text, nullptr, false);  // whatever the locale
    if (!json.is_number()) return false;
    x = static_cast<T>(json.get<double>());
    return is_finite(static_cast<double>(x));  // else it is out of range
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
  explicit NamePath(std::string_view object) : paths_{std::string(object)} {}

  void enter(std::string_view name) { paths_.push_back(of(name)); }
  void leave() { paths_.pop_back(); }

 protected:
  [[nodiscard]] const std::string& path() const noexcept { return paths_.back(); }
  [[nodiscard]] std::string of(std::string_view name) const { return std::string(path()).append(".").append(name); }
  /// What a class of the user's saves without a name is numbered, in each part from 0 on.
  [[nodiscard]] std::string next() { return std::to_string(counts_[path()]++); }

 private:
  std::vector<std::string> paths_;
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
    value(next(), x);
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
    const auto known = file_.texts().find(of(name));
    if (known == file_.texts().end() || known->second != who) option(who, name, who);
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

/// Parameters that are given with other blocks than the file has, and what they are where it has none.
struct Reshaped {
  std::vector<BlockShape> saved, present;
  std::vector<double> weights;
  bool changed = true;  // or as they were: the state of such parameters must not be taken for that of others
};

/// What is told to a StateLoader that goes on with what the object has, and what it tells.
struct Differences {
  std::vector<std::string> told = {};
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
    value(next(), x);
    return *this;
  }
  template <SerializableBy<StateLoader> T>
  StateLoader& operator&(T& object) {
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
    const std::string* const text = find(file_.texts(), of(name));
    if (text && !read_text(*text, x)) {
      file_.name().misfit('"' + of(name) + "\" must be a number of its kind, got \"" + *text + '"');
    }
  }
  void option(std::string_view who, std::string_view name, std::string_view present) {
    const std::string* const saved = find(file_.texts(), of(name));
    if (saved && *saved != present) differs(who, name, *saved, present);
  }
  void type(std::string_view who, std::string_view name) {
    const std::string* const saved = find(file_.texts(), of(name), name == "class");
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
    std::vector<const Reshaped*> places;
    for (const Reshaped& each : differences_->reshaped) {
      if (is_saved(each)) places.push_back(&each);
    }
    if (std::none_of(places.begin(), places.end(), [](const Reshaped* place) { return place->changed; })) return false;
    if (places.size() > 1) {
      file_.name().misfit('"' + path() + "\" is the state of one of several parameters that were saved with the same " +
                          "blocks and have others now: load each with its own in a call");
    }
    reshaped_ = places[0];
    shapes = reshaped_->present;
    return true;
  }
  void array_size(std::string_view name, std::uint64_t& n) {
    const Tensor* const tensor = find(file_.tensors(), of(name));
    if (!tensor) return;
    n = file_.length_of(of(name), *tensor);
    if (reshaped_ && n == size_of(reshaped_->saved)) n = size_of(reshaped_->present);
  }
  template <FileScalar T>
  void array(std::string_view name, T* data, std::size_t n) {
    const Tensor* const tensor = find(file_.tensors(), of(name));
    if (!tensor) {
      std::fill_n(data, n, T(0));
      return;
    }
    const bool is_reshaped = reshaped_ && n == size_of(reshaped_->present);
    const std::size_t saved = is_reshaped ? size_of(reshaped_->saved) : n;
    const std::size_t bytes = tensor->end - tensor->begin;  // divided, as blocks that are left out may be of any size
    if (tensor->dtype != dtype_of<T>() || bytes % bytes_in_file<T> != 0 || bytes / bytes_in_file<T> != saved) {
      file_.name().misfit(to_text(of(name), *tensor) + " must have " + std::to_string(saved) + " numbers of " +
                          std::string(dtype_of<T>()));
    }
    used_.insert(of(name) + note_suffix);
    const std::byte* from = file_.scalars(*tensor);
    if (!is_reshaped) return decode(from, n, data);
    // Averages and the slow weights of a Lookahead begin as the weights, all else as 0.
    const bool is_weights = name == "average" || name == "slow" || name.starts_with("iterate.");
    for (std::size_t i = 0; i < n; ++i) data[i] = is_weights ? static_cast<T>(reshaped_->weights[i]) : T(0);
    for (std::size_t i = 0; i < (std::min)(reshaped_->saved.size(), reshaped_->present.size()); ++i) {
      const BlockShape &before = reshaped_->saved[i], &now = reshaped_->present[i];
      decode_block(from, {before.row_major, false, &before}, Block<T>{data, now});
      from += before.size() * bytes_in_file<T>;
      data += now.size();
    }
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
  template <class Entries>
  [[nodiscard]] const typename Entries::mapped_type* find(const Entries& entries, const std::string& name,
                                                          bool must = false) {
    const auto place = entries.find(name);
    if (place != entries.end()) {
      used_.insert(name);
      return &place->second;
    }
    if (!is_there_) file_.misfit_listing("there is no object \"" + name.substr(0, name.find_last_of('.')) + '"');
    if (must || !differences_) refuse(file_.name().text("there is no \"" + name + '"'));
    if (used_.insert(name).second) differences_->told.push_back('"' + name + "\" is not in the file");
    return nullptr;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    if (differences_) throw OtherState(what);
    throw std::invalid_argument(what);
  }

  const TensorFile& file_;
  Differences* differences_;
  const Reshaped* reshaped_ = nullptr;  // of the part that is loaded
  std::set<std::string> used_;
  bool is_there_ = false;  // something of the object
};

}  // namespace polyak::detail
