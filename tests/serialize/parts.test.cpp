#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>

#include "parts/averagers.hpp"
#include "parts/optimizers.hpp"
#include "parts/schedules.hpp"
#include "parts/wrappers.hpp"
#include "serialize/checks.hpp"

// What must hold of every part that is saved and loaded, in double. One file has it all, since what takes long to
// compile is to save, load and train them.

using namespace polyak;
using serialize::Bytes;
using serialize::Run;
using serialize::Saveable;

namespace {

using Part = serialize::Trainable<double>;

void train(const Part& part, std::size_t steps, Eigen::Index n = 5) {
  const Run<double> run(n, steps);
  auto theta = run.start;
  for (const auto& gradient : run.gradients) part.step(theta, gradient);
}

/// Loading threw, or what it did is no danger to the next step. Under the sanitizers this says more.
void use_whatever_it_is(const Part& part, const Bytes& bytes) {
  try {
    part.load(bytes);
    train(part, 2);
  } catch (const std::exception&) {
  }
}

/// A state that breaks off, or is damaged, leaves everything as it was.
void check_damage(const std::string& name, const Part& fresh) {
  const Part object = fresh, other = fresh;
  train(object, 3);
  const Bytes whole = object.saved();
  train(other, 2, 3);
  const Bytes before = other.saved();
  serialize::check_truncated(name, whole, [&](const Bytes& bytes) { other.load(bytes); });
  INFO(name);
  CHECK(other.saved() == before);
  other.load(whole);
  CHECK(other.saved() == whole);

  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x80}) {
      Bytes damaged = whole;
      damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ flip);
      use_whatever_it_is(Part(fresh), damaged);
    }
  }
}

void check_part(const std::string& name, const Part& fresh) {
  {
    INFO(name);
    serialize::check_trainable_resuming(fresh, Run<double>());
  }
  check_damage(name, fresh);
  serialize::check_version(name, fresh);
}

/// Parts that differ in one option only: with(option, which) is one where it is one of the examples.
void check_options(const std::string& part, std::span<const parts::Option> options,
                   const std::function<Saveable(const parts::Option&, int)>& with) {
  for (const auto& option : options) {
    int which = 0;
    for (const auto& difference : option.differences) {
      if (difference.saved == nullptr) break;
      const Saveable saved = with(option, which++), present = with(option, which++);
      CHECK(serialize::error_between(saved, present) ==
            serialize::refused(part, option.name, difference.saved, difference.present));
      CHECK(serialize::error_between(saved, saved) == "nothing");
    }
  }
}

template <class Row, class Construct>
void check_row(Row row, const Construct& construct) {
  check_options(row.name, row.options, [&](const parts::Option& option, int which) {
    auto options = parts::base<Row>();
    option.set_example(&options, which);
    return Saveable(construct(options));
  });
  for (const auto& options : row.variants()) check_part(row.name, Part(construct(options)));
}

}  // namespace

TEST_CASE("every optimizer is saved and loaded", "[serialize]") {
  parts::for_each(parts::optimizers, [](auto row) {
    check_row(row, [](const auto& options) { return typename decltype(row)::template type<double>(options); });
  });
}

TEST_CASE("every averager is saved and loaded", "[serialize]") {
  parts::for_each(parts::averagers, [](auto row) {
    check_row(row, [](const auto& options) { return typename decltype(row)::template type<double>(options); });
  });
  check_part("Ema", Part(Ema<double>{{.decay = [](std::uint64_t) { return 0.5; }, .every = 2}}));
  check_damage("Lawa", Part(Lawa<double>{{.window = 1000}}));
}

TEST_CASE("every wrapper is saved and loaded, and the optimizer inside", "[serialize]") {
  const Sgd sgd{{.learning_rate = LinearWarmup({.steps = 2}), .momentum = 0.5}};
  parts::for_each(parts::wrappers, [&](auto row) {
    using Row = decltype(row);
    const auto around = [](const Sgd<>& optimizer) {
      return [optimizer](const auto& options) { return parts::wrapped<Row>(optimizer, options); };
    };
    check_row(row, around(sgd));
    const typename Row::Options options = parts::base<Row>();
    CHECK(serialize::error_between(Saveable(around(Sgd<>())(options)),
                                   Saveable(around(Sgd<>{{.learning_rate = 0.5}})(options))) ==
          serialize::refused("Sgd", "learning_rate", "0.01", "0.5"));
  });
}

TEST_CASE("every schedule is compared with the saved one", "[serialize]") {
  const auto check = [](auto row) {
    using Row = decltype(row);
    const auto construct = [](const typename Row::Options& options) { return Saveable(parts::made<Row>(options)); };
    check_options(row.name, row.options, [&](const parts::Option& option, int which) {
      auto options = parts::base<Row>();
      option.set_example(&options, which);
      return construct(options);
    });
    for (const auto& options : row.variants()) serialize::check_version(row.name, construct(options));
  };
  parts::for_each(parts::schedules, check);
  parts::for_each(parts::decays, check);
}
