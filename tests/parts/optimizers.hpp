#pragma once

#include <polyak/optimizers/adagrad.hpp>
#include <polyak/optimizers/adam.hpp>
#include <polyak/optimizers/lion.hpp>
#include <polyak/optimizers/nadam.hpp>
#include <polyak/optimizers/rmsprop.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstdint>
#include <vector>

#include "parts/options.hpp"

namespace polyak::parts {

/// The factors of one of two blocks.
template <class Options, std::size_t Block, auto Factor>
constexpr Option block_option(const char* name) {
  return {name,
          nonnegative,
          true,
          [](void* o, double x) {
            auto& blocks = static_cast<Options*>(o)->blocks;
            blocks.resize(2);
            blocks[Block].*Factor = x;
          },
          [](void* o, int which) {
            auto& blocks = static_cast<Options*>(o)->blocks;
            blocks.resize(2);
            if (which == 0) blocks[Block].*Factor = 0.5;
          },
          {{{"0.5", "1"}}}};
}

/// The options of an optimizer behind those that all have: the learning rate, the weight decay and those of blocks.
template <class Options, class... Own>
constexpr std::array<Option, 6 + sizeof...(Own)> with_common(const Own&... own) {
  const Option blocks{"number of blocks with options",
                      any,
                      false,
                      nullptr,
                      [](void* o, int which) { static_cast<Options*>(o)->blocks.resize(which == 0 ? 2 : 0); },
                      {{{"2", "0"}}}};
  const Option frozen{"frozen of block 1",
                      any,
                      false,
                      nullptr,
                      [](void* o, int which) {
                        auto& all = static_cast<Options*>(o)->blocks;
                        all.resize(2);
                        all[1].frozen = which == 0;
                      },
                      {{{"true", "false"}}}};
  return {number<&Options::learning_rate>("learning_rate", nonnegative),
          number<&Options::weight_decay>("weight_decay", nonnegative),
          blocks,
          frozen,
          block_option<Options, 1, &BlockOptions::learning_rate_factor>("learning_rate_factor of block 1"),
          block_option<Options, 0, &BlockOptions::weight_decay_factor>("weight_decay_factor of block 0"),
          own...};
}

/// A learning rate that falls, and a weight decay that rises.
inline Hyperparameter falling() { return polyak::Cosine({.initial = 0.1, .final = 0.01, .steps = 9}); }
inline Hyperparameter rising() { return polyak::Cosine({.initial = 0.04, .final = 0.4, .steps = 9}); }
/// A momentum that comes and goes, so that its buffer is started late, and rests.
inline double resting(std::uint64_t t) { return t < 3 || t % 4 == 0 ? 0 : 0.5 + 0.01 * static_cast<double>(t); }

struct Sgd {
  template <class Scalar>
  using type = polyak::Sgd<Scalar>;
  using Options = SgdOptions;
  static constexpr const char* name = "Sgd";
  static Options base() { return {.momentum = 0.5}; }  // which nesterov needs
  static constexpr auto options = with_common<Options>(
      number<&Options::momentum>("momentum", nonnegative), number<&Options::dampening>("dampening", finite),
      flag<&Options::nesterov>("nesterov"), flag<&Options::decoupled_weight_decay>("decoupled_weight_decay"));
  static std::vector<Options> variants() {
    return {
        {.learning_rate = 0.1},
        {.learning_rate = falling(), .momentum = 0.5, .dampening = 0.2, .weight_decay = 0.1},
        {.learning_rate = 0.1, .momentum = resting, .dampening = 0.25, .decoupled_weight_decay = true},
        {.learning_rate = 0.1, .weight_decay = rising()},
        {.learning_rate = 0.1, .weight_decay = rising(), .decoupled_weight_decay = true},
        {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1, .decoupled_weight_decay = true}};
  }
};

struct Adam {
  template <class Scalar>
  using type = polyak::Adam<Scalar>;
  using Options = AdamOptions;
  static constexpr const char* name = "Adam";
  static constexpr auto options =
      with_common<Options>(number<&Options::beta1>("beta1", below_1), number<&Options::beta2>("beta2", below_1),
                           number<&Options::epsilon>("epsilon", nonnegative), flag<&Options::amsgrad>("amsgrad"));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.1},
            {.learning_rate = falling(), .weight_decay = 0.1},
            {.learning_rate = 0.1, .weight_decay = rising()},
            {.learning_rate = 0.1, .beta2 = 0.5, .weight_decay = 0.1, .amsgrad = true}};
  }
};

struct AdamW {
  template <class Scalar>
  using type = polyak::AdamW<Scalar>;
  using Options = AdamWOptions;
  static constexpr const char* name = "AdamW";
  static constexpr auto options =
      with_common<Options>(number<&Options::beta1>("beta1", below_1), number<&Options::beta2>("beta2", below_1),
                           number<&Options::epsilon>("epsilon", nonnegative), flag<&Options::amsgrad>("amsgrad"));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.1},
            {.learning_rate = falling(), .beta2 = 0.9, .weight_decay = 0.1},
            {.learning_rate = 0.1, .weight_decay = rising()},
            {.learning_rate = 0.1, .weight_decay = 0.1, .amsgrad = true}};
  }
};

struct NAdam {
  template <class Scalar>
  using type = polyak::NAdam<Scalar>;
  using Options = NAdamOptions;
  static constexpr const char* name = "NAdam";
  static constexpr auto options =
      with_common<Options>(number<&Options::beta1>("beta1", below_1), number<&Options::beta2>("beta2", below_1),
                           number<&Options::epsilon>("epsilon", nonnegative),
                           number<&Options::momentum_decay>("momentum_decay", nonnegative));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.1},
            {.learning_rate = 0.1, .weight_decay = rising()},
            {.learning_rate = falling(), .beta2 = 0.9, .weight_decay = 0.1, .momentum_decay = 0.5}};
  }
};

struct RMSprop {
  template <class Scalar>
  using type = polyak::RMSprop<Scalar>;
  using Options = RMSpropOptions;
  static constexpr const char* name = "RMSprop";
  static constexpr auto options =
      with_common<Options>(number<&Options::alpha>("alpha", below_1), number<&Options::epsilon>("epsilon", nonnegative),
                           number<&Options::momentum>("momentum", nonnegative), flag<&Options::centered>("centered"));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.05, .alpha = 0.9},
            {.learning_rate = falling(), .alpha = 0.9, .momentum = 0.9},
            {.learning_rate = 0.05, .alpha = 0.9, .centered = true},
            {.learning_rate = 0.05, .alpha = 0.9, .weight_decay = rising(), .momentum = resting},
            {.learning_rate = 0.05, .alpha = 0.9, .weight_decay = 0.1, .momentum = 0.5, .centered = true}};
  }
};

struct Adagrad {
  template <class Scalar>
  using type = polyak::Adagrad<Scalar>;
  using Options = AdagradOptions;
  static constexpr const char* name = "Adagrad";
  static constexpr auto options =
      with_common<Options>(number<&Options::learning_rate_decay>("learning_rate_decay", nonnegative),
                           number<&Options::initial_accumulator>("initial_accumulator", nonnegative),
                           number<&Options::epsilon>("epsilon", nonnegative));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.1},
            {.learning_rate = 0.1, .weight_decay = rising()},
            {.learning_rate = 0.1, .learning_rate_decay = 0.1, .weight_decay = 0.1, .initial_accumulator = 0.5}};
  }
};

struct Lion {
  template <class Scalar>
  using type = polyak::Lion<Scalar>;
  using Options = LionOptions;
  static constexpr const char* name = "Lion";
  static constexpr auto options =
      with_common<Options>(number<&Options::beta1>("beta1", below_1), number<&Options::beta2>("beta2", below_1));
  static std::vector<Options> variants() {
    return {{.learning_rate = 0.1},
            {.learning_rate = 0.1, .weight_decay = rising()},
            {.learning_rate = falling(), .beta2 = 0.9, .weight_decay = 0.1}};
  }
};

inline constexpr std::tuple<Sgd, Adam, AdamW, NAdam, RMSprop, Adagrad, Lion> optimizers;

/// Calls check(name, optimizer) with every variant of every optimizer of this scalar.
template <class Scalar, class Check>
void for_each_optimizer(const Check& check) {
  for_each(optimizers, [&](auto row) {
    for (const auto& options : row.variants()) check(row.name, typename decltype(row)::template type<Scalar>(options));
  });
}

}  // namespace polyak::parts
