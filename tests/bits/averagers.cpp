#include "parts/averagers.hpp"

#include "bits/bits.hpp"

using namespace polyak;

/// Every averager in the loop of a step, behind a step that is taken whole, and alone; compensated; and guarded from
/// iterates that are infinite, huge or NaN: in a fold, next to one, and where the first fold takes its start.
void bits::add_averagers(Report& report) {
  const std::pair<const char*, NonFinite> rules[] = {{" guarded by propagate", NonFinite::propagate},
                                                     {" guarded by skip", NonFinite::skip},
                                                     {" guarded by raise", NonFinite::raise}};
  const Course spoilt{.sizes = {33, 0, 1025}, .steps = 24, .spoilt_every = 5};
  for_each_scalar([&](auto scalar) {
    using Scalar = decltype(scalar);
    const Sgd<Scalar> sgd{{.learning_rate = 0.125}};
    Blocks<Scalar> start;
    for (const std::size_t n : Course().sizes) start.emplace_back(n, Scalar(0.5f));

    for_each_variant(parts::averagers, [&](auto row, const std::string& name, const auto& options) {
      using Row = decltype(row);
      using Narrow = typename Row::template type<Scalar>;
      const typename Row::template type<wide_t<Scalar>> wide(options);
      report.add<Scalar>(name + " in a step", Averaged{sgd, wide});
      report.add<Scalar>(name + " behind a whole step", Averaged{Whole<Scalar>(), wide});
      report.add<Scalar>(name + " alone", Narrow(options));
      for (const auto& [rule, non_finite] : rules) {
        const GuardedOptions guard{.non_finite = non_finite};
        report.add<Scalar>(name + rule + " in a step", Averaged{sgd, Guarded{wide, guard}}, spoilt);
        report.add<Scalar>(name + rule + " alone", Guarded{Narrow(options), guard}, spoilt);
      }
      if constexpr (GainAverager<Narrow>) {
        Narrow started(options);
        started.start_from(start);
        report.add<Scalar>(name + " alone from a start", started);
        if constexpr (!std::same_as<Scalar, long double>) {
          const typename Row::template type<Compensated<Scalar>> compensated(options);
          report.add<Scalar>(name + " compensated alone", compensated);
        }
      }
    });
    report.add<Scalar>("Ema without the start that it needs", Ema<Scalar>{{.bias_correction = false}});
    report.add<Scalar>("Ema compensated by 8 bits", Ema<Compensated<float, std::int8_t>>{{.decay = 0.75}});
  });
}
