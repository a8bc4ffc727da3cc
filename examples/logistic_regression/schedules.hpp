#pragma once

#include <polyak/polyak.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace examples {

struct ScheduleSettings {
  double rate = 0.1;           ///< the highest
  double l2 = 1e-3;            ///< of the objective
  std::uint64_t steps = 1;     ///< of the whole training
  std::uint64_t snapshot = 1;  ///< steps between the snapshots of SWA
};

/// The names --schedule takes.
[[nodiscard]] std::vector<std::string> schedule_names();
/// A line for each, for --help.
[[nodiscard]] std::string describe_schedules();

/// Throws std::invalid_argument on a name that is none of schedule_names().
[[nodiscard]] polyak::Hyperparameter make_schedule(const std::string& name, const ScheduleSettings& settings);

}  // namespace examples
