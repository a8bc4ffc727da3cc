#include <polyak/averaged.hpp>
#include <polyak/averagers/compensated.hpp>
#include <polyak/averagers/ema.hpp>
#include <polyak/averagers/guarded.hpp>
#include <polyak/averagers/lawa.hpp>
#include <polyak/averagers/tail_average.hpp>
#include <polyak/optimizers/sgd.hpp>

#include <cstddef>
#include <cstdint>

#include "serialize/resume.hpp"

using namespace polyak;
using Eigen::VectorXd;
using serialize::check_resuming;
using serialize::Digest;

namespace {

/// Iterates of which two are not finite, shown to an averager.
template <class Averager>
void check_with_accidents(const Averager& fresh) {
  const serialize::Run<double> run;
  check_resuming(
      fresh, VectorXd(run.start), run.gradients.size(),
      [&](Averager& averager, VectorXd& theta, std::size_t t) {
        theta = run.gradients[t];
        if (t == 4) theta[0] = support::not_a_number;
        if (t == 7) theta[36] = support::infinity;
        averager.update(theta);
      },
      [](const Averager& averager, const VectorXd&) {
        Digest digest;
        digest.add_object(averager);
        return digest;
      });
}

}  // namespace

TEST_CASE("a compensated average goes on with its residue", "[serialize]") {
  check_resuming<float>(Ema<Compensated<float>>{{.decay = 0.9}});
  check_resuming<float>(Ema<Compensated<float>>{{.decay = 0.9, .bias_correction = false, .start = 3}});
  check_resuming<double>(TailAverage<Compensated<double>>{{.start = 2, .every = 2}});
  check_resuming<float>(TailAverage<Compensated<float, std::int8_t>>{});
  check_resuming<Eigen::half>(Ema<Compensated<Eigen::half>>{{.decay = 0.9}});
  check_resuming<Eigen::bfloat16>(Ema<Compensated<Eigen::bfloat16>>{{.decay = 0.9}});
}

TEST_CASE("a guarded average goes on with what it has left out", "[serialize]") {
  check_with_accidents(Guarded{Ema<double>{{.decay = 0.9}}});
  check_with_accidents(Guarded{Ema<double>{{.decay = 0.9, .bias_correction = false, .start = 2}}});
  check_with_accidents(Guarded{Lawa<double>{{.window = 3}}});
  check_with_accidents(Guarded{TailAverage<double>{}, {.non_finite = NonFinite::propagate}});
  check_with_accidents(Guarded{Ema<Compensated<double>>{{.decay = 0.9}}});
  check_with_accidents(Guarded{TailAverage<Compensated<float>>{{.every = 2}}});
  check_resuming<double>(Averaged{Sgd{{.learning_rate = 0.1}}, Guarded{Ema<Compensated<double>>{{.decay = 0.9}}},
                                  Guarded{Lawa<double>{{.window = 2}}}});
}

TEST_CASE("a guarded average saved by one rule is not taken up by another", "[serialize]") {
  Guarded skipping{Ema<double>{}};
  Guarded raising{Ema<double>{}, {.non_finite = NonFinite::raise}};
  CHECK(support::error_of([&] { serialize::load(serialize::save(skipping), raising); }) ==
        "invalid_argument: polyak::Guarded: non_finite must be skip as in the saved state, got raise");
}
