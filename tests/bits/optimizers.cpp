#include "parts/optimizers.hpp"

#include "bits/bits.hpp"

using namespace polyak;

/// Every optimizer alone, with options by block, and in one loop with two averages that fold in different steps.
void bits::add_optimizers(Report& report) {
  std::vector<BlockOptions> blocks;
  for (std::size_t i = 0; i < Course().sizes.size(); ++i) {
    blocks.push_back({.learning_rate_factor = 0.25 * static_cast<double>(i), .weight_decay_factor = i % 2 ? 0.0 : 1.0});
  }
  for_each_scalar([&](auto scalar) {
    using Scalar = decltype(scalar);
    for_each_variant(parts::optimizers, [&](auto row, const std::string& name, auto options) {
      using Optimizer = typename decltype(row)::template type<Scalar>;
      const Optimizer optimizer(options);
      report.add<Scalar>(name, optimizer);
      report.add<Scalar>(name + " with two averages",
                         Averaged{optimizer, Ema<Scalar>{{.decay = 0.75}}, TailAverage{{.start = 3, .every = 2}}});
      options.blocks = blocks;
      report.add<Scalar>(name + " by block", Optimizer(options));
    });
  });
}
