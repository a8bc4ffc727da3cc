#include "bits/bits.hpp"

using namespace polyak;

/// Wrappers, averages and guards three deep and deeper, over 40 steps with gradients that are not finite: as a set,
/// with detours, and as one block. And one nesting for many sizes of a block.
void bits::add_nestings(Report& report) {
  for_each_scalar([&](auto scalar) {
    using Scalar = decltype(scalar);
    const auto add = [&](const std::string& name, const auto& part) {
      Course course{.sizes = {0, 33, 1025}, .steps = 40, .spoilt_every = 7};
      report.add<Scalar, Thorough>(name, part, course);
      course.detour_every = 5;
      report.add<Scalar, Thorough>(name + " saved and swapped in", part, course);
      report.add<Scalar, Thorough>(name + " of one block", part, {.sizes = {1025}, .steps = 40, .spoilt_every = 7});
    };
    const Sgd<Scalar> sgd{{.learning_rate = 0.125}};
    const GuardedOptions raise{.non_finite = NonFinite::raise};

    add("Averaged{Lookahead{Averaged{Sgd Guarded{Ema}}} TailAverage}",
        Averaged{Lookahead{Averaged{sgd, Guarded{Ema{}}}, {.every = 3}}, TailAverage{}});
    add("Averaged{Lookahead{Averaged{Sgd Guarded{Ema}}} Guarded{TailAverage}} raising inside",
        Averaged{Lookahead{Averaged{sgd, Guarded{Ema{}, raise}}, {.every = 2}}, Guarded{TailAverage{}}});
    add("Averaged{Accumulate{ClipNorm{AdamW}} Ema}",
        Averaged{Accumulate{ClipNorm{AdamW<Scalar>{}}, {.micro_batches = 3}}, Ema{{.bias_correction = false}}});
    add("ClipNorm{Averaged{SkipNonFinite{Lookahead{Adam}} Lawa}}",
        ClipNorm{Averaged{SkipNonFinite{Lookahead{Adam<Scalar>{}}}, Lawa{{.window = 3}}}});
    add("Averaged{Averaged{Sgd Guarded{Lawa}} Guarded{Ema}} raising outside",
        Averaged{Averaged{sgd, Guarded{Lawa{}}}, Guarded{Ema{}, raise}});
    add("Lookahead{Accumulate{Averaged{ClipValue{Sgd} Ema Guarded{PowerEma}}}} compensated and raising",
        Lookahead{Accumulate{Averaged{ClipValue{sgd}, Ema<Compensated<float>>{}, Guarded{PowerEma{}, raise}}}});
    add("Averaged{ClipNorm{Lookahead{Averaged{a whole step Guarded{Ema}}}} Guarded{Swa}} raising twice",
        Averaged{ClipNorm{Lookahead{Averaged{Whole<Scalar>(), Guarded{Ema{}, raise}}, {.every = 2}}},
                 Guarded{Swa{}, raise}});

    const Averaged sized{ClipNorm{AdamW<Scalar>{}}, Ema{{.decay = 0.75}}, Lawa{{.window = 2}}};
    for (const std::size_t n : {0u, 1u, 15u, 33u, 1023u, 1025u, 4097u}) {
      report.add<Scalar, Thorough>("Averaged{ClipNorm{AdamW} Ema Lawa} of " + std::to_string(n), sized, {.sizes = {n}});
    }
  });
}
