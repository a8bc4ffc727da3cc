#include "logistic_regression/schedules.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace examples {

namespace {

struct NamedSchedule {
  std::string name;
  std::string what;
  std::function<polyak::Hyperparameter(const ScheduleSettings&)> make;
};

/// A share of the training, in steps.
std::uint64_t share(const ScheduleSettings& s, std::uint64_t parts) {
  return std::max<std::uint64_t>(1, s.steps / parts);
}

const std::vector<NamedSchedule>& schedules() {
  using Settings = ScheduleSettings;
  static const std::vector<NamedSchedule> all = {
      {"constant", "RATE", [](const Settings& s) { return polyak::Constant{s.rate}; }},
      {"inverse-time", "RATE (1 + 10 t/T)^-2/3",
       [](const Settings& s) {
         const auto timescale = static_cast<double>(s.steps) / 10;
         return polyak::InverseTime{{.initial = s.rate, .timescale = timescale, .power = 2.0 / 3}};
       }},
      {"bottou", "RATE / (1 + l2 RATE t)",
       [](const Settings& s) { return polyak::BottouDecay{{.initial = s.rate, .lambda = s.l2}}; }},
      {"step-decay", "RATE, a tenth of it after T/3, a hundredth after 2T/3",
       [](const Settings& s) { return polyak::StepDecay{{.initial = s.rate, .factor = 0.1, .period = share(s, 3)}}; }},
      {"cosine", "from RATE to 0 along a cosine",
       [](const Settings& s) { return polyak::Cosine{{.initial = s.rate, .steps = s.steps}}; }},
      {"warmup", "rises from 0 to RATE in T/10 steps and stays there",
       [](const Settings& s) {
         return polyak::LinearWarmup{{.start_factor = 0, .steps = share(s, 10), .then = s.rate}};
       }},
      {"triangular", "up from RATE/10 to RATE and down again, ten times",
       [](const Settings& s) {
         return polyak::Triangular{{.min = s.rate / 10, .max = s.rate, .half_period = share(s, 20)}};
       }},
      {"linear-cycle", "from RATE down to RATE/10 between one snapshot of the SWA and the next",
       [](const Settings& s) {
         return polyak::LinearCycle{{.max = s.rate, .min = s.rate / 10, .period = s.snapshot}};
       }},
      {"swa-anneal", "RATE up to T/2, then down to RATE/2 along a cosine",
       [](const Settings& s) {
         return polyak::SwaAnneal{
             {.before = s.rate, .start = s.steps / 2, .anneal_steps = share(s, 10), .target = s.rate / 2}};
       }},
  };
  return all;
}

}  // namespace

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const auto& schedule : schedules()) names.push_back(schedule.name);
  return names;
}

std::string describe_schedules() {
  std::string text;
  for (const auto& schedule : schedules()) {
    constexpr std::size_t width = 16;
    const std::string gap(width - schedule.name.size(), ' ');
    text += "  " + schedule.name + gap + schedule.what + "\n";
  }
  return text;
}

polyak::Hyperparameter make_schedule(const std::string& name, const ScheduleSettings& settings) {
  for (const auto& schedule : schedules()) {
    if (schedule.name == name) return schedule.make(settings);
  }
  throw std::invalid_argument("there is no schedule named " + name);
}

}  // namespace examples
