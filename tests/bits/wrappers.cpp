#include "parts/wrappers.hpp"

#include "bits/bits.hpp"

using namespace polyak;

/// Every wrapper around two optimizers that move coordinate by coordinate: alone, inside an average, around one, and
/// between two. Around one that steps whole: between two.
void bits::add_wrappers(Report& report) {
  const Course course{.steps = 10, .spoilt_every = 4};
  for_each_scalar([&](auto scalar) {
    using Scalar = decltype(scalar);
    const auto add_around = [&](const std::string& inside, const auto& optimizer) {
      const Averaged averaged{optimizer, Ema{{.decay = 0.75}}};
      for_each_variant(parts::wrappers, [&](auto row, const std::string& name, const auto& options) {
        const auto around = parts::wrapped<decltype(row)>(averaged, options);
        report.add<Scalar>(name + " between two averages of " + inside, Averaged{around, TailAverage{}}, course);
        if constexpr (!std::same_as<std::remove_cvref_t<decltype(optimizer)>, Whole<Scalar>>) {
          const auto wrapped = parts::wrapped<decltype(row)>(optimizer, options);
          report.add<Scalar>(name + " around " + inside, wrapped, course);
          report.add<Scalar>(name + " in an average of " + inside, Averaged{wrapped, TailAverage{}}, course);
          report.add<Scalar>(name + " around an average of " + inside, around, course);
        }
      });
    };
    add_around("Sgd", Sgd<Scalar>{{.learning_rate = 0.125, .momentum = 0.5, .weight_decay = 0.1}});
    add_around("AdamW", AdamW<Scalar>{{.learning_rate = 0.1}});
    add_around("a whole step", Whole<Scalar>());
  });
}
