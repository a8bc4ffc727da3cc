#pragma once

#include <string>

#include "checks.hpp"
#include "parts/optimizers.hpp"

namespace checks {

/// The table of optimizers takes this many files, so that none is slow to compile: each has every third row.
inline constexpr std::size_t files = 3;

/// What every optimizer of this scalar must pass, tried with the rows of one of the files.
template <std::size_t File, class Scalar>
void check_rows() {
  polyak::parts::for_each_of<File, files>(polyak::parts::optimizers, [](auto row) {
    using Row = decltype(row);
    using Optimizer = typename Row::template type<Scalar>;
    using InDouble = typename Row::template type<double>;
    int variant = 0;
    for (const auto& options : row.variants()) {
      std::string name(row.name);  // not by +, of which GCC 12 has false warnings at -O3
      name.append(" ").append(std::to_string(variant++));
      check_holders(name, Optimizer(options));
      check_sizes(name, Optimizer(options));
      check_against_double(name, Optimizer(options), InDouble(options));
    }
  });
}

/// What has little to do with the scalar.
template <std::size_t File, class Scalar>
void check_lives() {
  polyak::parts::for_each_of<File, files>(polyak::parts::optimizers, [](auto row) {
    using Row = decltype(row);
    using Optimizer = typename Row::template type<Scalar>;
    for (const auto& options : row.variants()) {
      check_life(row.name, Optimizer(options));
      check_blocks<Optimizer>(row.name, options);
      check_schedules<Optimizer>(row.name, options);
    }
    check_refusals<Optimizer, typename Row::Options>(row.name);
  });
}

}  // namespace checks
