#pragma once

#include <polyak/averaged.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "serialize/archive.hpp"
#include "support.hpp"

/// What must hold for everything that can be saved: a run that is saved after any step and taken up by a fresh object
/// goes on bit by bit as if nothing had been.

namespace serialize {

template <class T>
inline constexpr std::size_t averagers_of = 0;
template <class Optimizer, class... Averagers>
inline constexpr std::size_t averagers_of<polyak::Averaged<Optimizer, Averagers...>> =
    std::max<std::size_t>(1, sizeof...(Averagers));

/// Everything that can be read from an object, as bytes.
class Digest {
 public:
  template <class Scalar>
  void add(const Scalar* data, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) add_bytes(data + i, std::min<std::size_t>(sizeof(Scalar), 10));
  }
  template <class Matrix>
  void add_matrix(const Matrix& matrix) {
    add(matrix.data(), static_cast<std::size_t>(matrix.size()));
  }
  template <class T>
  void add_number(T x) {
    add_bytes(&x, sizeof x);
  }

  template <class T>
  void add_object(const T& object) {
    if constexpr (requires { object.steps(); }) add_number(object.steps());
    if constexpr (requires { object.learning_rate(); }) add_number(object.learning_rate());
    if constexpr (requires { object.weight_decay(); }) add_number(object.weight_decay());
    if constexpr (requires { object.momentum(); }) add_number(object.momentum());
    if constexpr (requires { object.count(); }) add_number(object.count());
    if constexpr (requires { object.effective_sample_size(); }) add_number(object.effective_sample_size());
    if constexpr (requires { object.mean_age(); }) add_number(object.mean_age());
    if constexpr (requires { object.start_mass(); }) add_number(object.start_mass());
    if constexpr (requires { object.in_use(); }) add_number(object.in_use());
    if constexpr (requires { object.pending(); }) add_number(object.pending());
    if constexpr (requires { object.norm(); }) add_number(object.norm());
    if constexpr (requires { object.clipped(); }) add_number(object.clipped());
    if constexpr (requires { object.skipped(); }) add_number(object.skipped());
    if constexpr (requires { object.sweeps(); }) add_number(object.sweeps());
    if constexpr (requires { object.weights(); }) add_matrix(object.weights());
    if constexpr (requires { object.intercept(); }) add_matrix(object.intercept());
    if constexpr (averagers_of<T> == 0) {
      if constexpr (requires { object.average(); }) {
        if (object.has_average()) add_matrix(object.average());
      }
    }
    if constexpr (requires { object.average_intercept(); }) {
      if (object.has_average()) add_matrix(object.average_intercept());
    }
    if constexpr (requires { object.optimizer(); }) add_object(object.optimizer());
    add_averagers<0>(object);
  }

  bool operator==(const Digest&) const = default;

 private:
  template <std::size_t I, class T>
  void add_averagers(const T& object) {
    if constexpr ((averagers_of<T> > I)) {
      add_object(object.template averager<I>());
      add_averagers<I + 1>(object);
    }
  }
  void add_bytes(const void* data, std::size_t n) {
    const auto at = bytes_.size();
    bytes_.resize(at + n);
    std::memcpy(bytes_.data() + at, data, n);
  }

  Bytes bytes_;
};

/// Weights and one gradient a step.
template <class Scalar>
struct Run {
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  explicit Run(Eigen::Index n = 37, std::size_t steps = 12, std::uint64_t seed = 5) {
    support::Random random(seed);
    start = random.vector<Scalar>(n);
    for (std::size_t t = 0; t < steps; ++t) gradients.push_back(random.vector<Scalar>(n));
  }

  Vector start;
  std::vector<Vector> gradients;
};

/// One step, or where the object only averages, one fold of weights that move without it.
template <class T, class Vector>
void take_step(T& object, Vector& theta, const Vector& gradient) {
  if constexpr (requires { object.step(theta, gradient); }) {
    object.step(theta, gradient);
  } else if constexpr (requires { object.update(theta); }) {
    theta -= static_cast<typename Vector::Scalar>(0.25f) * gradient;
    object.update(theta);
  }
}

/// What can be saved, with its type forgotten, so that what is done with it is compiled once for all types.
class Saveable {
 public:
  template <class T>
    requires(!std::derived_from<T, Saveable>)
  explicit Saveable(T object) : functions_(&functions_of<T>), object_(new T(std::move(object))) {}
  Saveable(const Saveable& other) : functions_(other.functions_), object_(functions_->copy(other.object_)) {}
  Saveable& operator=(const Saveable&) = delete;
  ~Saveable() { functions_->destroy(object_); }

  [[nodiscard]] Bytes saved() const { return functions_->save(object_); }
  void load(const Bytes& bytes) const { functions_->load(object_, bytes); }

 protected:
  [[nodiscard]] void* object() const { return object_; }

 private:
  struct Functions {
    void* (*copy)(const void*);
    void (*destroy)(void*);
    Bytes (*save)(void*);
    void (*load)(void*, const Bytes&);
  };
  template <class T>
  static constexpr Functions functions_of{
      [](const void* o) -> void* { return new T(*static_cast<const T*>(o)); },
      [](void* o) { delete static_cast<T*>(o); }, [](void* o) { return serialize::save(*static_cast<T*>(o)); },
      [](void* o, const Bytes& bytes) { serialize::load(bytes, *static_cast<T*>(o)); }};

  const Functions* functions_;
  void* object_;
};

/// The same of what is trained with weights of this scalar.
template <class Scalar>
class Trainable : public Saveable {
 public:
  using Vector = typename Run<Scalar>::Vector;

  template <class T>
    requires(!std::derived_from<T, Saveable>)
  explicit Trainable(T of)
      : Saveable(std::move(of)),
        step_([](void* o, Vector& theta, const Vector& gradient) { take_step(*static_cast<T*>(o), theta, gradient); }),
        digest_([](const void* o) {
          Digest digest;
          digest.add_object(*static_cast<const T*>(o));
          return digest;
        }) {}

  void step(Vector& theta, const Vector& gradient) const { step_(object(), theta, gradient); }
  [[nodiscard]] Digest digest() const { return digest_(object()); }

 private:
  void (*step_)(void*, Vector&, const Vector&);
  Digest (*digest_)(const void*);
};

template <class Scalar>
[[nodiscard]] Bytes save(Trainable<Scalar>& object) {
  return object.saved();
}
template <class Scalar>
void load(const Bytes& bytes, Trainable<Scalar>& object) {
  object.load(bytes);
}

/// step(object, world, t) takes step t on the world, which is what the object does not own, such as the weights;
/// digest(object, world) is all there is to see. Checked after every step, of every resumption by a copy of `fresh`.
template <class Object, class World, class Step, class DigestOf>
void check_resuming(const Object& fresh, const World& start, std::size_t steps, const Step& step,
                    const DigestOf& digest_of) {
  std::vector<Bytes> saved;
  std::vector<World> worlds;
  std::vector<Digest> digests;
  Object whole = fresh;
  World world = start;
  for (std::size_t t = 0; t <= steps; ++t) {
    saved.push_back(save(whole));
    worlds.push_back(world);
    digests.push_back(digest_of(whole, world));
    if (t < steps) step(whole, world, t);
  }
  std::string differs;
  for (std::size_t t = 0; t <= steps; ++t) {
    Object resumed = fresh;
    // Then again by one that has been elsewhere in between, which is no worse.
    for (const char* who : {"a fresh object", "one that was in use"}) {
      load(saved[t], resumed);
      World its_world = worlds[t];
      for (std::size_t s = t;; ++s) {
        if (differs.empty() && !(digest_of(resumed, its_world) == digests[s] && save(resumed) == saved[s])) {
          differs =
              std::string(who) + " differs after step " + std::to_string(s) + ", saved after " + std::to_string(t);
        }
        if (s == steps) break;
        step(resumed, its_world, s);
      }
    }
  }
  REQUIRE_FALSE(digests.front() == digests.back());
  CHECK(differs == "");
}

template <class Scalar>
void check_trainable_resuming(const Trainable<Scalar>& fresh, const Run<Scalar>& run) {
  using Vector = typename Run<Scalar>::Vector;
  check_resuming(
      fresh, run.start, run.gradients.size(),
      [&](const Trainable<Scalar>& object, Vector& theta, std::size_t t) { object.step(theta, run.gradients[t]); },
      [](const Trainable<Scalar>& object, const Vector& theta) {
        Digest digest = object.digest();
        digest.add_matrix(theta);
        return digest;
      });
}

/// The same for what has step(weights, gradient), or update(weights) alone.
template <class Scalar, class Object>
void check_resuming(const Object& fresh, const Run<Scalar>& run = Run<Scalar>()) {
  check_trainable_resuming(Trainable<Scalar>(fresh), run);
}

}  // namespace serialize
